// writer.h — writes a GGUF v3 file: keys as given, tensors streamed from existing memory (a
// mapping).
//
// Used for a bundle's host.gguf: metadata verbatim from the source, a few tensors as stored.
#ifndef LATHE_GGUF_WRITER_H
#define LATHE_GGUF_WRITER_H

#include "gguf/gguf.h"

// Writes `path` whole and syncs it: the `n_keys` keys (values byte for byte), then the `n_tensors`
// tensors, each at a multiple of `alignment`, which must equal key `general.alignment` (32 when
// absent). Only the header is copied to anonymous memory. On failure `path` holds an incomplete
// file.
bool gguf_write(const char *path, size_t alignment, const GgufKey *const *keys, size_t n_keys,
                const TensorInfo *const *tensors, size_t n_tensors, Err *err);

#endif
