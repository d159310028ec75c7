// gguf.h — read a GGUF model file.
//
// The file is mapped and never copied: names, metadata and weights are views into the mapping and
// live until gguf_close(). Every number in the file is untrusted; after gguf_open() succeeds, every
// TensorInfo lies wholly inside its mapping, its shape, type and size agree, no two tensors overlap
// and no name or key occurs twice.
//
//     offset 0   "GGUF"  u32 version (2 or 3)  u64 n_tensors  u64 n_keys
//     keys       string name, u32 type, value          string = u64 length, bytes
//     tensors    string name, u32 n_dims, u64 dims[n_dims] (innermost first), u32 type, u64 offset
//     padding to `general.alignment` (32 when absent), then the data that the offsets count from
//
// Source: ggml-org/ggml docs/gguf.md. A model split into NAME-00001-of-0000N.gguf files opens as
// one, by any of them.
#ifndef LATHE_GGUF_GGUF_H
#define LATHE_GGUF_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/progress.h"
#include "base/str.h"
#include "gguf/blocks.h"

enum { GGUF_MAX_DIMS = 4, GGUF_MAX_SPLITS = 999 };

// clang-format off
typedef enum { // numbered as in the file
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL,
    GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64,
    GGUF_TYPE_COUNT,
} GgufType;
// clang-format on

// One key and its value.
typedef struct GgufKey {
    Str name;
    GgufType type;       // of the value; GGUF_ARRAY for arrays
    GgufType item_type;  // of an array's items; otherwise equal to `type`
    size_t n_items;      // 1 unless an array
    const uint8_t *data; // the encoded items, little-endian; numbers and booleans only
    const Str *strings;  // [n_items] when items are strings
    Str encoded; // the value's bytes as in the file, type word not included: for verbatim copies
    // What the user stated about the key (settings.h). All zero after gguf_open().
    bool is_set;                    // the value is not the file's
    const struct GgufKey *replaced; // the file's own key, if it has one
    bool is_ignored;                // the user states that it changes nothing
} GgufKey;

typedef struct {
    Str name;
    unsigned n_dims;            // without trailing dims of 1
    size_t dims[GGUF_MAX_DIMS]; // innermost first; those beyond n_dims are 1
    const BlockType *type;
    size_t n_weights; // product of dims
    size_t n_bytes;
    const uint8_t *data; // n_bytes, inside a mapping
} TensorInfo;

typedef struct {
    char *path;
    FileMap map;
    bool is_borrowed; // the caller owns the bytes (gguf_open_bytes); they are not a mapping
} GgufPart;

typedef struct {
    const char *path; // of the first file, or of the folder that the model is
    unsigned version; // of the first file
    size_t alignment;
    size_t n_keys;
    const GgufKey *keys; // in file order; of the first part when split
    size_t n_tensors;
    const TensorInfo *tensors; // in file order, part after part
    size_t n_parts;
    GgufPart *parts;
    size_t n_bytes; // of all parts
    void *index;    // names -> rows, in the arena
} Gguf;

// Whether these bytes, the beginning of a file or all of it, begin as a GGUF file of any version
// does. Text that happens to begin with the same four letters does not, because a version has a
// zero byte.
bool gguf_has_magic(const void *bytes, size_t n);

// Opens `path` (any part of a split model). Arrays go into `arena`, which must outlive `g`. On
// failure sets `err`, leaves `g` closed and returns false.
bool gguf_open(Gguf *g, Arena *arena, const char *path, Err *err);
// As gguf_open over bytes already in memory, aligned to 8, which must outlive `g`; messages show
// `name` as the path.
bool gguf_open_bytes(Gguf *g, Arena *arena, const void *bytes, size_t n, const char *name,
                     Err *err);
void gguf_close(Gguf *g); // safe on a zeroed or half-opened Gguf

// Finds by name; NULL when absent, which the caller judges.
const GgufKey *gguf_find_key(const Gguf *g, Str name);
const TensorInfo *gguf_find_tensor(const Gguf *g, Str name);

const char *gguf_type_name(GgufType type); // "u32", "string", …

// Item `i` of a key as the requested type; false if the conversion would lose something (any
// integer type gives u64/i64 when in range; f32 and f64 and integers give f64; only bool gives
// bool).
bool gguf_u64(const GgufKey *k, size_t i, uint64_t *out);
bool gguf_i64(const GgufKey *k, size_t i, int64_t *out);
bool gguf_f64(const GgufKey *k, size_t i, double *out);
bool gguf_bool(const GgufKey *k, size_t i, bool *out);
bool gguf_str(const GgufKey *k, size_t i, Str *out);

// SHA-256 over the bytes of all parts, in order: the model's identity. Reads everything once.
Sha256 gguf_digest(const Gguf *g, const Progress *progress);

#endif
