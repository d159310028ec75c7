// reference.h — the model in fp32, directly from its contract and its stored weights: the truth
// that lathe compares with.
//
// It is short enough to read in one sitting, and independent: it uses nothing of compile/, mil/,
// engine/ or runtime/. Weights are decoded row by row when they are used. A KV cache holds the
// tokens fed.
#ifndef LATHE_REFERENCE_REFERENCE_H
#define LATHE_REFERENCE_REFERENCE_H

#include "base/pool.h"
#include "base/progress.h"
#include "contract/contract.h"
#include "contract/use.h"
#include "contract/weights.h"

// Gives row `row` of the matrix (or row 0 of the vector) `role` of `layer` as floats, in the source
// file's row order. Returns false to let the reference use the GGUF's row. Called from several
// threads at once.
typedef bool WeightRow(void *context, WeightRole role, uint32_t layer, size_t row, float *out,
                       size_t n);

// The places that a tap sees in each layer, in order: rows [n_tokens, width]. A layer has the norms
// of its placement and a gate only where its kind says so (contract.h).
typedef enum {
    TAP_STREAM,      // [d_model] the residual stream entering the layer; once more, with layer ==
                     // n_layers, what enters the final norm
    TAP_ATTN_NORMED, // [d_model]
    TAP_QKV,     // [heads and kv heads · head_dim, kv heads · head_dim_v] projected, with biases
    TAP_ROTATED, // the same after rotary embedding, as keys and values enter the cache
    // [heads · head_dim_v] the weighted sums of values, before the output projection
    TAP_ATTN_CONTEXT,
    TAP_ATTN_OUT,           // [d_model] the attention branch with its bias, before residual_scale
    TAP_ATTN_OUT_NORMED,    // [d_model] the same after its norm, in layers that have one
    TAP_POST_ATTN_RESIDUAL, // [d_model] the stream between the branches
    TAP_FFN_NORMED,         // [d_model]
    TAP_GATE,               // [d_ff] projected, before the activation
    TAP_UP,                 // [d_ff]
    TAP_GATED,              // [d_ff] activation(gate) · up
    TAP_FFN_OUT,            // [d_model] the feed-forward branch, before residual_scale
    TAP_FFN_OUT_NORMED,     // [d_model] the same after its norm
} TapPlace;

// Called between two parts of a layer; rows are valid until it returns.
typedef void LayerTap(void *context, TapPlace place, uint32_t layer, const float *rows,
                      size_t width, size_t n_tokens);

// Called before the tap of each place with all of its rows [n], and with the scores of each query
// of each head before the softmax, of these from several threads at once. It may change them, and
// the model continues with the changed numbers: this shows how much a rounding there changes the
// result. `which` differs for every call between two rewinds, and is the same in every run. Its
// lower half is 0 in the first call for a place of a layer, and for its scores.
typedef void LayerNudge(void *context, uint64_t which, float *rows, size_t n);

typedef struct {
    uint32_t n_positions;     // that the cache holds
    RopeFactors rope_factors; // which of LongRoPE's sets applies at which length
    WeightRow *weights;       // NULL: the file's
    void *weights_context;
    LayerTap *tap; // may be NULL
    void *tap_context;
    LayerNudge *nudge; // may be NULL
    void *nudge_context;
} ReferenceOptions;

typedef struct Reference Reference;
// `model` (and the file behind it) and `pool` must outlive the reference. The contract used is
// `contract`, which may differ from model->contract in anything that is not a shape: this is how
// the vote scores misreadings.
Reference *reference_open(const Model *model, const Contract *contract,
                          const ReferenceOptions *options, Pool *pool, Err *err);

// Feeds `n` tokens at the next positions: one forward pass over the sequence of all tokens so far,
// whose length decides the factor set. If the set changes, earlier tokens are computed again first;
// taps see new tokens only. `logits`: NULL, or [n_vocab] of the last token, or with `all_logits`
// [n, n_vocab].
bool reference_feed(Reference *r, const uint32_t *tokens, size_t n, float *logits, bool all_logits,
                    Err *err);
// The same in pieces: the caller will feed a sequence of `length` tokens by several calls before it
// wants logits, so the factor set of that length is used from now on, until a rewind. If `progress`
// cancels (ERR_STOPPED), the tokens computed again so far stay.
bool reference_expect(Reference *r, uint32_t length, const Progress *progress, Err *err);
// Uses one factor set from now on and computes nothing again, as a runtime does that does not know
// the rule. In effect until the reference is closed.
void reference_force_factors(Reference *r, bool is_long);
uint32_t reference_position(const Reference *r); // tokens fed
// Whether the long factors rotate a sequence of `length` tokens, and how many tokens would have to
// be computed again for it.
bool reference_is_long(const Reference *r, size_t length);
uint32_t reference_rereads(const Reference *r, size_t length);
// As reference_feed from layer `first` to before layer `end`, on residual rows [n, d_model] given
// by the caller and replaced by the result: one shard's worth. Positions are those of the layers'
// own caches; the factor set is that of the length after the call, and must be the one that the
// caches were filled under.
bool reference_run_layers(Reference *r, uint32_t first, uint32_t end, float *rows, size_t n,
                          Err *err);
// Final norm and head over one row [d_model], or over rows [n, d_model] to logits [n, n_vocab]:
// each row of weights is then decoded once per batch.
void reference_head(Reference *r, const float *row, float *logits);
void reference_head_rows(Reference *r, const float *rows, size_t n, float *logits);

// Fills positions [n_fed, until) of the caches with copies of [0, n_fed), again and again, and
// continues at `until`: a long context at the cost of a short one, for gates.
void reference_repeat(Reference *r, uint32_t n_fed, uint32_t until);
void reference_rewind(Reference *r, uint32_t position); // forgets the tokens from `position` on
void reference_close(Reference *r);

#endif
