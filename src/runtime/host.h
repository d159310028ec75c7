// host.h — what the host computes for a step of a bundle: embedding rows, rotary tables, mask and
// the place in the KV state, once a step for all packages; and where the sequence is.
//
// What each number means is said by decoder/ports.h. The host writes into buffers of its own
// (HostStep); whoever runs packages copies them into the packages' inputs (shards.h).
#ifndef LATHE_RUNTIME_HOST_H
#define LATHE_RUNTIME_HOST_H

#include "contract/contract.h"
#include "contract/use.h"
#include "gguf/gguf.h"

typedef struct HostOps HostOps;

// What layers of one kind take in a step (contract.h: LayerKind).
typedef struct {
    float *cosines, *sines; // [rope_dim / 2, n_rows]
    float *mask;            // [n_rows, host_n_columns()] of the kind
} HostTables;

// Where the rows of a step go in caches of one length.
typedef struct {
    int32_t begin, end; // slots, where they lie one after another
    float *write_mask;  // [rows of the caches, n_rows]; NULL when no package takes it
} HostPlace;

// One forward pass over rows [position, position + n_rows).
typedef struct {
    uint32_t position, n_rows;
    HostTables kinds[CONTRACT_MAX_KINDS]; // [contract_n_kinds()]
    HostPlace whole, ring;                // of caches of the whole context, and of rings
} HostStep;

typedef struct {
    uint32_t context;    // positions that a session may use
    uint32_t state_rows; // slots of the KV states, at least as many
    uint32_t ring_slots; // of rings (decoder/rings.h): slots that positions go round, and
    uint32_t ring_rows;  // rows; 0: there is none
    uint32_t most_rows;  // of a step
    uint32_t least_rows; // that a step of one row stores: more where it is widened (wide_step.h)
    RopeFactors rope_factors;
    bool has_write_mask; // packages are of the overwrite form (--kv)
    bool masks_new_rows; // of the rows form: a step's own rows are not in the caches yet
} HostShape;

typedef struct {
    const HostOps *ops;
    const Contract *contract;
    const TensorInfo *embedding; // [n_vocab, d_model]
    HostShape shape;
    uint32_t position; // tokens fed
    uint32_t written;  // position up to which rows were stored since it was last 0, padding too
    bool is_long;      // which of LongRoPE's factor sets the tables are made of
    uint32_t n_kinds;  // of layers
    // Of each kind [rope_dim / 2], by the short and the long set: radians a position.
    double *frequencies[CONTRACT_MAX_KINDS][2];
    HostStep step; // the last one filled
    float *row;    // [d_model], scratch
} Host;

// The host's work, as a table: another host (a server's, a test's) replaces single entries of
// `host_ops` and calls the originals. Its own data follows the table in a struct that begins with
// it.
struct HostOps {
    // Allocates and fills what depends on h->contract and h->shape alone.
    bool (*open)(Host *h, Err *err);
    // Embedding rows of `n` tokens into columns of x [d_model, n_rows]; the columns after them
    // repeat the last token: padding must be real rows, since a row of zeros is a norm's worst case.
    void (*embed)(const Host *h, const uint32_t *tokens, size_t n, float *x, size_t n_rows);
    // Fill the step's tables for its rows: rotary table and mask of one kind of layers, and the
    // place in the KV state.
    void (*fill_rope)(const Host *h, HostStep *step, uint32_t kind);
    void (*fill_mask)(const Host *h, HostStep *step, uint32_t kind);
    void (*fill_place)(const Host *h, HostStep *step);
    // Whether a sequence of `length` tokens is rotated by LongRoPE's long factors (contract/use.h).
    bool (*is_long)(const Host *h, size_t length);
    // How many of the tokens fed are of no use to a sequence of `length` tokens, and have to be fed
    // again: they lie in the KV states under another factor set, or rings no longer hold rows that
    // the next one sees.
    uint32_t (*n_stale)(const Host *h, size_t length);
    // Row `at` of what leaves the last layer, x [d_model, n_rows], for the head: [d_model].
    void (*take_row)(const Host *h, const float *x, size_t n_rows, size_t at, float *row);
    // Puts the logits of tokens [first, first + n) at their place among all: logits [n_vocab].
    void (*put_logits)(const Host *h, float *logits, size_t first, const float *slice, size_t n);
    // A step of `n_rows` rows, of which the first `n` are tokens, has run.
    void (*advance)(Host *h, size_t n, size_t n_rows);
    // Tokens from `position` on are forgotten; a position not reached yet changes nothing.
    void (*rewind)(Host *h, uint32_t position);
    // Whether a row at `position`, tokens fed or fewer, would find all it sees in the rings.
    bool (*remembers)(const Host *h, uint32_t position);
};
extern const HostOps host_ops;

// The contract, the embedding table and `ops` must outlive the host. Starts at position 0 with the
// factor set of an empty sequence.
bool host_open(Host *h, const HostOps *ops, const Contract *contract, const TensorInfo *embedding,
               const HostShape *shape, Err *err);
void host_close(Host *h); // safe on a zeroed Host

// Whether caches of layers of kind `kind` are rings.
bool host_has_ring(const Host *h, uint32_t kind);
// How many rows from `position` on a step may have that later steps are to see: UINT32_MAX, but where
// rows of rings have to lie one after another (decoder/rings.h).
uint32_t host_room(const Host *h, uint32_t position);
// Columns of the mask of a kind: slots, and after them, where masks_new_rows, the step's own rows.
size_t host_n_columns(const Host *h, uint32_t kind, uint32_t n_rows);
// The column of position `p`, of the step or one that rings hold, in the mask of a kind.
size_t host_column(const Host *h, const HostStep *step, uint32_t kind, size_t p);

// Takes a factor set from now on. Rows that lie in a KV state under the other one are wrong after
// it.
void host_take_factors(Host *h, bool is_long);

// Computes h->step for `n_rows` rows at `position` and after, which must fit into the context. Good
// until the next call.
const HostStep *host_fill(Host *h, uint32_t position, uint32_t n_rows);

// frequencies[i] (of rope_dim / 2): radians that pair i rotates a position in layers of kind `k` of `c`.
// `is_long`: of LongRoPE's two factor sets the long one.
void host_rope_frequencies(const Contract *c, const LayerKind *k, bool is_long,
                           double *frequencies);

#endif
