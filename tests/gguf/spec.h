// spec.h — a GGUF file as a struct, so that a test can make a valid one, put one thing wrong and
// write down the bytes.
//
// Every number of the file is a field of its own and is written as it stands: a length may lie
// about its name, a count about its table, an offset about the data.
#ifndef LATHE_TESTS_GGUF_SPEC_H
#define LATHE_TESTS_GGUF_SPEC_H

#include "base/arena.h"
#include "gguf/gguf.h"

enum { SPEC_MAX_KEYS = 40, SPEC_MAX_TENSORS = 32, SPEC_MAX_DIMS = 6 };

typedef struct {
    Str name;
    uint64_t name_bytes; // as stated
    uint32_t type;
    Str value; // encoded
} KeySpec;

typedef struct {
    Str name;
    uint64_t name_bytes; // as stated
    uint32_t n_dims;
    uint64_t dims[SPEC_MAX_DIMS];
    uint32_t type;
    uint64_t offset;
    Str data; // instead of the pattern; empty for the pattern
} TensorSpec;

typedef struct {
    Arena arena;
    char magic[4];
    uint32_t version;
    uint64_t n_keys, n_tensors; // as stated
    size_t keys_there, tensors_there;
    KeySpec keys[SPEC_MAX_KEYS];
    TensorSpec tensors[SPEC_MAX_TENSORS];
    size_t alignment; // of the data
    size_t data_bytes;
} FileSpec;

// A valid version 3 file without keys and tensors.
void spec_init(FileSpec *s);
// The file of most tests: keys of several types, then tensors
//     a.weight F32 [8, 2]    b.weight Q8_0 [64, 2]    c.weight F16 [4]
void spec_init_sample(FileSpec *s);
void spec_free(FileSpec *s);

KeySpec *spec_add_key(FileSpec *s, const char *name, uint32_t type, const void *value, size_t n);
KeySpec *spec_add_u32(FileSpec *s, const char *name, uint32_t value);
KeySpec *spec_add_string(FileSpec *s, const char *name, const char *value);
KeySpec *spec_add_f32(FileSpec *s, const char *name, float value);
KeySpec *spec_add_bool(FileSpec *s, const char *name, bool value);
KeySpec *spec_add_strings(FileSpec *s, const char *name, const char *const *items, size_t n);
KeySpec *spec_add_i32s(FileSpec *s, const char *name, const int32_t *items, size_t n);
// Lays the tensor behind the others.
TensorSpec *spec_add_tensor(FileSpec *s, const char *name, const char *type, uint32_t n_dims,
                            const uint64_t *dims);

KeySpec *spec_key(FileSpec *s, const char *name);
TensorSpec *spec_tensor(FileSpec *s, const char *name);
void spec_set_value(FileSpec *s, const char *key, const void *value, size_t n);
// Takes a key or a tensor out again; the data stay where they are.
void spec_drop_key(FileSpec *s, const char *name);
void spec_drop_tensor(FileSpec *s, const char *name);
// The first weights of an F32 tensor.
void spec_set_floats(FileSpec *s, const char *tensor, const float *values, size_t n);

// The file's bytes, in the spec's arena. Byte i of the data is i modulo 251 where nothing was set.
Str spec_bytes(FileSpec *s);

// Little-endian pieces of values.
void put_le(StrBuf *out, uint64_t value, unsigned n_bytes);
void put_str(StrBuf *out, const char *s);

#endif
