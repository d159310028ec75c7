// keys.h — keys made in memory, encoded as a file has them: what a model in another format says, for the
// readers of GGUF files.
#ifndef LATHE_GGUF_KEYS_H
#define LATHE_GGUF_KEYS_H

#include "gguf/gguf.h"

// Zeroed is empty; gguf_keys_free() leaves it so.
typedef struct {
    StrBuf bytes; // name, type and value of each
    size_t count;
} GgufKeys;

void gguf_put_u32(GgufKeys *k, const char *name, uint32_t value);
void gguf_put_f32(GgufKeys *k, const char *name, float value);
void gguf_put_bool(GgufKeys *k, const char *name, bool value);
void gguf_put_str(GgufKeys *k, const char *name, Str value);
void gguf_put_u32s(GgufKeys *k, const char *name, const uint32_t *at, size_t n);
void gguf_put_i32s(GgufKeys *k, const char *name, const int32_t *at, size_t n);
void gguf_put_f32s(GgufKeys *k, const char *name, const float *at, size_t n);
void gguf_put_bools(GgufKeys *k, const char *name, const bool *at, size_t n);
void gguf_put_strs(GgufKeys *k, const char *name, const Str *at, size_t n);
void gguf_keys_add(GgufKeys *to, const GgufKeys *from); // those of `from` follow
void gguf_keys_free(GgufKeys *k);

// Opens a model of these keys, copied into `arena`, without tensors. Every check of a file's keys is made;
// messages show `name` as the path.
bool gguf_of_keys(Gguf *g, Arena *arena, const GgufKeys *k, const char *name, Err *err);
// Gives the model these tensors in place of its own. Two of one name fail.
bool gguf_put_tensors(Gguf *g, Arena *arena, const TensorInfo *tensors, size_t n, Err *err);

#endif
