// parse.h — the pieces of reading one GGUF file. Internal to gguf/.
#ifndef LATHE_GGUF_PARSE_H
#define LATHE_GGUF_PARSE_H

#include "base/reader.h"
#include "gguf/gguf.h"

enum {
    GGUF_HEADER_BYTES = 24,
    GGUF_MAX_KEY_BYTES = 65535, // docs/gguf.md: keys are at most 2^16 - 1 bytes
    GGUF_MAX_NAME_BYTES = 64,   // docs/gguf.md: tensor names are at most 64 bytes
    GGUF_DEFAULT_ALIGNMENT = 32,
};

// One file of a model: what its header says.
typedef struct {
    const char *path;
    unsigned version;
    size_t alignment;
    GgufKey *keys;
    TensorInfo *tensors;
    size_t n_keys, n_tensors;
} GgufFile;

// Parses the `n` bytes at `bytes`. Views go into them, arrays into the arena.
bool gguf_parse_file(GgufFile *file, Arena *arena, const void *bytes, size_t n, Err *err);
bool gguf_parse_keys(GgufFile *file, Reader *r, Arena *arena, Err *err);
bool gguf_parse_tensors(GgufFile *file, Reader *r, Arena *arena, const uint8_t *start, size_t n,
                        Err *err);

// A string as the file stores one: u64 length, bytes.
Str gguf_read_str(Reader *r);

// Sorts rows by name so that equal names are neighbours and lookups can halve.
typedef struct {
    Str name;
    size_t row;
} NameRow;
void name_rows_sort(NameRow *rows, size_t n);
const NameRow *name_rows_twins(const NameRow *rows,
                               size_t n); // the first of two equal names, or NULL
const NameRow *name_rows_find(const NameRow *rows, size_t n, Str name);

#endif
