// weights.h — the tensors of a package: which rows of which source tensors they hold, and how they
// are written to the weight file.
//
// Matrices that read the same input are stacked, so that a layer has four convolutions: q, k and v;
// the attention output; gate and up; down. A matrix that would stream at half speed as a whole is
// cut into pieces by rows (pieces.h). Weights are quantised directly from the source's blocks and
// streamed in blocks of rows, so memory does not grow with the model.
#ifndef LATHE_COMPILE_WEIGHTS_H
#define LATHE_COMPILE_WEIGHTS_H

#include "base/pool.h"
#include "base/progress.h"
#include "compile/pieces.h"
#include "compile/plan.h"
#include "mlpackage/blobs.h"

enum { PACKED_MAX_PARTS = 3 };
#define NO_LAYER UINT32_MAX

// One source of the packed tensor's rows [first_row, first_row + rows.n_rows).
typedef struct {
    const char *role; // the name of the field in LayerWeights or ModelWeights: "q", "down"
    Rows rows;
    uint32_t first_row;
    bool is_deinterleaved; // rotated pairs (2i, 2i + 1) of each head become (i, i + rope_dim / 2)
    // What each weight is multiplied by: a power of two (condition.h), or sqrt(d_model) for norms of
    // the form l2 (norm.c).
    float factor;
} PackedPart;

// Rows [first_row, first_row + n_rows) of a packed tensor as a value and as records of their own.
typedef struct {
    Str name; // of the value in the program: "layer_03_qkv", "layer_03_down_1"
    uint32_t first_row, n_rows;
    MilPlace data_at;  // records in the package's weight files
    MilPlace scale_at; // int8 forms only; in the same file
} PackedPiece;

typedef struct {
    Str name;                // "layer_03_qkv": of the whole
    uint32_t layer;          // NO_LAYER for the head's
    uint32_t rope_dim;       // of the layer's kind, for is_deinterleaved
    uint32_t n_rows, n_cols; // n_cols 1 for norm weights and biases
    PackFormat form;         // WEIGHTS_F16 for norm weights and biases
    PackedPart parts[PACKED_MAX_PARTS];
    size_t n_parts;
    float offset; // added to each weight (norms), before the part's factor
    // in the order of rows; with int8-tensor they share one scale
    PackedPiece pieces[PACKED_MAX_PIECES];
    size_t n_pieces;
} PackedTensor;

typedef enum {
    PACKED_ATTN_NORM,
    PACKED_ATTN_NORM_BIAS,
    PACKED_QKV,
    PACKED_QKV_BIAS,
    PACKED_Q_NORM,
    PACKED_K_NORM,
    PACKED_ATTN_OUT,
    PACKED_ATTN_OUT_BIAS,
    PACKED_ATTN_POST_NORM,
    PACKED_FFN_NORM,
    PACKED_FFN_NORM_BIAS,
    PACKED_GATE_UP,
    PACKED_GATE_UP_BIAS,
    PACKED_DOWN,
    PACKED_DOWN_BIAS,
    PACKED_FFN_POST_NORM,
    PACKED_PER_LAYER,
} PackedSlot;

// The tensors of a layer by slot; those the model lacks have n_parts 0. They have no place in the
// weight file yet.
void packed_layer(PackedTensor out[PACKED_PER_LAYER], const Model *model,
                  const CompileOptions *options, uint32_t layer, const LayerScaling *condition,
                  Arena *arena);
// Whether each row of a packed tensor may have a factor of its own without changing its codes:
// false where all rows share one scale. There the graph multiplies values and up instead.
bool weight_form_scales_rows(PackFormat form);
PackedTensor packed_output_norm(const Model *model, const CompileOptions *options);
PackedTensor packed_output_norm_bias(const Model *model); // n_parts 0 without one
// Rows [first, end) of the head's bias; n_parts 0 without one.
PackedTensor packed_head_bias(const Model *model, uint32_t first, uint32_t end, Arena *arena);
// Rows [first, end) of the head, in one piece.
PackedTensor packed_head(const Model *model, PackFormat form, uint32_t first, uint32_t end,
                         Arena *arena);

// Scales of a piece: one a row, one for all, or 0.
uint32_t packed_scales(const PackedTensor *t, const PackedPiece *piece);
// Bytes the tensor takes in a weight file, records included.
uint64_t packed_bytes(const PackedTensor *t);
// Bytes of one piece, likewise.
uint64_t packed_piece_bytes(const PackedTensor *t, const PackedPiece *piece);
// Reserves a piece's places in the weight files.
void packed_place(PackedTensor *t, PackedPiece *piece, BlobPlan *blobs, Arena *arena);

// Takes `n` bytes of the blob at record `place`, `at` bytes into its data.
typedef bool PutBytes(void *context, MilPlace place, uint64_t at, const void *bytes, size_t n,
                      Err *err);

typedef struct {
    PutBytes *put;
    void *put_context;
    Pool *pool;
    const Progress *progress; // in source bytes; may be NULL
    uint64_t *done_bytes;     // source bytes read so far, over all calls
    uint64_t total_bytes;
    uint32_t head_dim;   // for is_deinterleaved
    bool is_conditioned; // factors come from measured ranges
} PackJob;

// Streams the tensor's data (and scales). Fails when a weight is not finite in fp16, either as
// stored or as decoded from its code and scale. The message names tensor, row, value and what to
// do.
bool pack_weights(const PackedTensor *t, const PackJob *job, Err *err);

#endif
