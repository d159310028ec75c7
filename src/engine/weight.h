// weight.h — a constant (or computed) operand of conv, linear, matmul and gather, read piece by
// piece.
//
// Weights stay as the package stores them: int8 codes with scales, palettes, halves. Ops decode
// only the piece that they multiply next. In fp16 arithmetic a decoded weight of dtype fp16 is
// rounded to binary16, as Core ML's are; in fp32 arithmetic scale times code is left as float.
#ifndef LATHE_ENGINE_WEIGHT_H
#define LATHE_ENGINE_WEIGHT_H

#include "engine/engine.h"
#include "kernels/kernels.h"

typedef enum {
    WEIGHT_TENSOR,  // a dense tensor: computed, or unpacked
    WEIGHT_RAW,     // elements of `dtype`, bit-packed below 8 bits
    WEIGHT_SCALED,  // scale (code - offset), one pair per block
    WEIGHT_PALETTE, // an index into a table, one table per block
    WEIGHT_SPARSE,  // values where a mask has a bit, zero elsewhere
} WeightStorage;

typedef struct Weight Weight;

// A tensor cut into equal blocks, each with an index of its own. Axes that the cut does not
// distinguish are merged, so that the last axis is as long as possible.
typedef struct {
    int rank;
    size_t dims[MIL_MAX_RANK];
    size_t block[MIL_MAX_RANK];  // elements of one block along the axis
    size_t stride[MIL_MAX_RANK]; // in block indices, between neighbour blocks along the axis
} Blocks;

struct Weight {
    WeightStorage storage;
    size_t count;
    bool rounds;
    const Kernels *k;

    const EngineTensor *tensor; // WEIGHT_TENSOR
    MilDtype dtype;             // WEIGHT_RAW
    const void *bytes;

    const Weight *codes; // of SCALED, PALETTE; the values of SPARSE
    Blocks blocks;       // of SCALED, PALETTE
    const float *scale;  // SCALED: one per block
    const float *offset; // the same, or NULL
    const float *table;  // PALETTE: [blocks, entries, vector]
    size_t entries, vector;
    size_t vector_size, vector_inner; // vector > 1: codes along vector_axis, elements inside it
    const uint8_t *mask;              // SPARSE: one bit an element
    const uint32_t *ranks;            // number of set bits before every MASK_STEP elements
};
enum { MASK_STEP = 4096 };

// The cut of `dims` by `cuts` (each divides its dim).
Blocks blocks_of(int rank, const int64_t *dims, const int64_t *cuts);

// Elements [first, first + n) in row-major order, as float.
void weight_decode(const Weight *w, size_t first, size_t n, float *out);
// Σ w[first + i] x[i]
float weight_dot(const Weight *w, size_t first, size_t n, const float *x);
// The block of `rows` x `cols` whose row r starts at element first + r row_stride: into out[r][c],
// or with `transpose` out[c][r]; out_stride floats between rows of out. `scratch` holds `cols`
// floats.
void weight_block(const Weight *w, size_t first, size_t row_stride, size_t rows, size_t cols,
                  bool transpose, float *out, size_t out_stride, float *scratch);
// The whole weight as floats if it is in memory as floats, else NULL.
const float *weight_floats(const Weight *w);

// Constant integers [first, first + n) of `dtype` from packed bytes.
void decode_ints(MilDtype dtype, const void *bytes, size_t first, size_t n, int32_t *out);
// The same for any dtype, as float.
void decode_floats(const Kernels *k, MilDtype dtype, const void *bytes, size_t first, size_t n,
                   float *out);

#endif
