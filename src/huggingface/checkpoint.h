// checkpoint.h — the tensors of a safetensors file.
//
//     u64 bytes of the header   JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, …}, spaces
//     the tensors' bytes, without gaps; offsets count from here
//
// Source: huggingface/safetensors, README.md ("Format"). Everything in it is untrusted: after
// checkpoint_read() succeeds each tensor lies wholly inside the bytes, its shape and its length agree, no name
// occurs twice, no two tensors overlap and none of the bytes are outside all of them.
#ifndef LATHE_HUGGINGFACE_CHECKPOINT_H
#define LATHE_HUGGINGFACE_CHECKPOINT_H

#include "gguf/gguf.h"

enum {
    CHECKPOINT_MAX_HEADER = 100 * 1000 * 1000, // as the publisher's reader
    CHECKPOINT_MAX_TENSORS = 1 << 16,
};

typedef struct {
    TensorInfo *at; // dims innermost first, as in a GGUF file; names in the arena
    size_t count;
} Checkpoint;

// Reads the `n` bytes of a file. Messages name the tensor, not the file. F32, F16 and BF16 are read.
bool checkpoint_read(Checkpoint *c, Arena *arena, const void *bytes, size_t n, Err *err);

#endif
