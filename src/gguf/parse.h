// parse.h — the parts of reading one GGUF file. Internal to gguf/.
//
// gguf.c opens a model, split.c joins its parts, header.c reads one file, read_keys.c and
// read_tensors.c its two tables, names.c finds by name and finds duplicates, values.c converts items.
#ifndef LATHE_GGUF_PARSE_H
#define LATHE_GGUF_PARSE_H

#include "base/reader.h"
#include "gguf/gguf.h"

enum {
    GGUF_MAX_KEY_BYTES = 65535, // docs/gguf.md: keys are at most 2^16 - 1 bytes
    GGUF_MAX_NAME_BYTES = 64,   // docs/gguf.md: tensor names are at most 64 bytes
    GGUF_DEFAULT_ALIGNMENT = 32,
    GGUF_MAX_ALIGNMENT = 1 << 24,
    // A record takes more bytes in memory than its minimum in a file, so a huge file of zeros could
    // take more memory than its own size. The largest models have some thousand keys and tensors,
    // and vocabularies with their merges stay below a million strings.
    GGUF_MAX_KEYS = 1 << 16,
    GGUF_MAX_TENSORS = 1 << 16,
    GGUF_MAX_STRINGS = 1 << 24, // in all arrays of one file
};

// A name and its row, kept sorted by name.
typedef struct {
    Str name;
    size_t row;
} NameRow;

void name_rows_sort(NameRow *rows, size_t n);
const NameRow *name_rows_find_duplicate(const NameRow *rows,
                                        size_t n); // one of two equal names, or NULL
const NameRow *name_rows_find(const NameRow *rows, size_t n, Str name);

// One file of a model: the contents of its header.
typedef struct {
    unsigned version;
    size_t alignment;
    size_t n_keys, n_tensors, n_strings;
    GgufKey *keys;
    TensorInfo *tensors;
    NameRow *key_rows, *tensor_rows; // sorted
} GgufFile;

// Reads the header in the `n` bytes at `bytes`. Views go into them, arrays into the arena. Messages
// do not name the file: the caller puts its path before them.
bool gguf_read_file(GgufFile *file, Arena *arena, const void *bytes, size_t n, Err *err);
// Its two tables. `r` is at the first record; n_keys, n_tensors and their arrays are set.
bool gguf_read_keys(GgufFile *file, Reader *r, Arena *arena, Err *err);
bool gguf_read_tensors(GgufFile *file, Reader *r, Arena *arena, const uint8_t *bytes, size_t n,
                       Err *err);
const GgufKey *gguf_file_key(const GgufFile *file, const char *name); // or NULL
// The value of a key that must be one integer.
bool gguf_file_u64(const GgufFile *file, const char *name, uint64_t *value);

// Reads a name of 1 to `max` bytes of printable ASCII, which is safe in any message; `what` says
// whose name it is. If the file ends first, r->short_read is set.
bool gguf_read_name(Str *name, Reader *r, size_t max, const char *what, Err *err);
// A name shortened for a message, so that the rest of the message still fits.
static inline Str name_in_message(Str name) {
    return (Str){name.at, name.len < 100 ? name.len : 100};
}
#define NAME_ARG(name) STR_ARG(name_in_message(name))

// Maps and reads the file at `path` as part `part` of `g`.
bool gguf_open_part(Gguf *g, GgufFile *file, Arena *arena, const char *path, size_t part, Err *err);
// Makes the keys and tensors of `file` those of the model.
void gguf_adopt(Gguf *g, Arena *arena, const GgufFile *file);
void gguf_set_index(Gguf *g, Arena *arena, NameRow *key_rows, NameRow *tensor_rows);
// Replaces the keys of `g` by others, among which no name occurs twice.
void gguf_replace_keys(Gguf *g, Arena *arena, const GgufKey *keys, size_t n);
// Likewise tensors; `rows` are their names, sorted.
void gguf_replace_tensors(Gguf *g, Arena *arena, const TensorInfo *tensors, size_t n,
                          NameRow *rows);

// "STEM-00002-of-00005.gguf"
typedef struct {
    Str stem;
    unsigned number, count;
} SplitName;
bool gguf_split_name(SplitName *name, const char *path);
bool gguf_open_split(Gguf *g, Arena *arena, const char *path, const SplitName *name, Err *err);

// Size and name of a value type, by its number.
typedef struct {
    const char *name;
    unsigned n_bytes; // of one item; 0 for strings and arrays
    bool is_integer, is_signed;
} GgufTypeRow;
const GgufTypeRow *gguf_type_row(GgufType type);

#endif
