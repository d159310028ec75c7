// header.c — one file of a model: maps it, checks its version and counts, and reads its two tables.
// split.c does this for each part, gguf.c for a model in one file.
#include <inttypes.h>
#include <string.h>

#include "gguf/parse.h"

static bool check_version(const Reader *r, unsigned version, Err *err) {
    if (r->short_read || version == 2 || version == 3) return true;
    // A small number with its bytes turned round.
    if ((version & 0xFFFF) == 0 && version != 0)
        return err_set(err, ERR_FORMAT,
                       "a big-endian GGUF file; lathe reads little-endian ones (llama.cpp's "
                       "gguf_convert_endian.py turns one into the other)");
    return err_set(err, ERR_FORMAT,
                   "GGUF version %u, expected 2 or 3; a current llama.cpp can convert the model "
                   "again",
                   version);
}

bool gguf_has_magic(const void *bytes, size_t n) {
    static const char magic[] = "GGUF";
    enum { HEAD = 8 };
    if (n < strlen(magic) || memcmp(bytes, magic, strlen(magic)) != 0) return false;
    return n < HEAD || memchr((const char *)bytes + strlen(magic), 0, HEAD - strlen(magic));
}

bool gguf_read_file(GgufFile *file, Arena *arena, const void *bytes, size_t n, Err *err) {
    Reader r = reader_over(bytes, n);
    Str magic = read_str(&r, 4);
    if (!str_is(magic, "GGUF"))
        return err_set(err, ERR_FORMAT, "not a GGUF file: the first four bytes are not \"GGUF\"");
    file->version = read_u32(&r);
    if (!check_version(&r, file->version, err)) return false;
    uint64_t n_tensors = read_u64(&r), n_keys = read_u64(&r);
    if (r.short_read)
        return err_set(err, ERR_FORMAT, "the file ends inside its header, after %zu bytes", n);
    // A record takes at least so many bytes, so a false count cannot make us allocate.
    enum { LEAST_KEY_BYTES = 8 + 1 + 4 + 1, LEAST_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8 };
    if (n_keys > reader_left(&r) / LEAST_KEY_BYTES || n_keys > GGUF_MAX_KEYS)
        return err_set(err, ERR_FORMAT,
                       "%" PRIu64 " keys, expected at most %d and no more than %zu bytes can hold; "
                       "the file is cut off or damaged",
                       n_keys, GGUF_MAX_KEYS, n);
    if (n_tensors > reader_left(&r) / LEAST_TENSOR_BYTES || n_tensors > GGUF_MAX_TENSORS)
        return err_set(err, ERR_FORMAT,
                       "%" PRIu64
                       " tensors, expected at most %d and no more than %zu bytes can hold; "
                       "the file is cut off or damaged",
                       n_tensors, GGUF_MAX_TENSORS, n);
    file->n_keys = (size_t)n_keys;
    file->n_tensors = (size_t)n_tensors;
    file->keys = arena_array(arena, file->n_keys, GgufKey);
    file->tensors = arena_array(arena, file->n_tensors, TensorInfo);
    return gguf_read_keys(file, &r, arena, err) &&
           gguf_read_tensors(file, &r, arena, bytes, n, err);
}

void gguf_adopt(Gguf *g, Arena *arena, const GgufFile *file) {
    g->version = file->version;
    g->alignment = file->alignment;
    g->keys = file->keys;
    g->n_keys = file->n_keys;
    g->tensors = file->tensors;
    g->n_tensors = file->n_tensors;
    gguf_set_index(g, arena, file->key_rows, file->tensor_rows);
}

bool gguf_open_part(Gguf *g, GgufFile *file, Arena *arena, const char *path, size_t part,
                    Err *err) {
    GgufPart *p = &g->parts[part];
    p->path = arena_cstr(arena, str_of(path));
    if (!map_file(&p->map, path, err)) return false;
    g->n_bytes += p->map.len;
    return gguf_read_file(file, arena, p->map.at, p->map.len, err) || err_prefix(err, "%s", path);
}
