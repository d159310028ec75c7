// writer.c — builds the header in memory and writes tensor data directly from their mapping.
#include "gguf/writer.h"

#include <assert.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/size.h"
#include "gguf/parse.h"

static void put_le(StrBuf *out, uint64_t value, unsigned n) {
    for (unsigned i = 0; i < n; i++) strbuf_add_char(out, (char)(value >> (8 * i)));
}

static void put_str(StrBuf *out, Str s) {
    put_le(out, s.len, 8);
    strbuf_add(out, s);
}

static void put_header(StrBuf *out, size_t alignment, const GgufKey *const *keys, size_t n_keys,
                       const TensorInfo *const *tensors, size_t n_tensors) {
    strbuf_add(out, STR("GGUF"));
    put_le(out, 3, 4);
    put_le(out, n_tensors, 8);
    put_le(out, n_keys, 8);
    for (size_t i = 0; i < n_keys; i++) {
        put_str(out, keys[i]->name);
        put_le(out, keys[i]->type, 4);
        strbuf_add(out, keys[i]->encoded);
    }
    uint64_t offset = 0;
    for (size_t i = 0; i < n_tensors; i++) {
        const TensorInfo *t = tensors[i];
        put_str(out, t->name);
        put_le(out, t->n_dims, 4);
        for (unsigned d = 0; d < t->n_dims; d++) put_le(out, t->dims[d], 8);
        put_le(out, t->type->id, 4);
        put_le(out, offset, 8);
        offset = round_up(offset + t->n_bytes, alignment);
    }
    strbuf_extend(out, (size_t)round_up(out->len, alignment) - out->len);
}

// Zeros from `at` to the next multiple of `alignment`, which moves `at` there.
static bool write_padding(int fd, const char *path, uint64_t *at, size_t alignment, Err *err) {
    static const char zeros[4096];
    for (uint64_t end = round_up(*at, alignment); *at < end;) {
        size_t n = min_size((size_t)(end - *at), sizeof zeros);
        if (!file_write_at(fd, *at, zeros, n, path, err)) return false;
        *at += n;
    }
    return true;
}

static bool write_data(int fd, const char *path, uint64_t at, size_t alignment,
                       const TensorInfo *const *tensors, size_t n_tensors, Err *err) {
    for (size_t i = 0; i < n_tensors; i++) {
        if (!file_write_at(fd, at, tensors[i]->data, tensors[i]->n_bytes, path, err)) return false;
        at += tensors[i]->n_bytes;
        if (!write_padding(fd, path, &at, alignment, err)) return false;
    }
    return true;
}

// What a reader of the file will take the alignment to be.
static uint64_t stated_alignment(const GgufKey *const *keys, size_t n_keys) {
    uint64_t alignment = GGUF_DEFAULT_ALIGNMENT;
    for (size_t i = 0; i < n_keys; i++)
        if (str_is(keys[i]->name, "general.alignment")) gguf_u64(keys[i], 0, &alignment);
    return alignment;
}

bool gguf_write(const char *path, size_t alignment, const GgufKey *const *keys, size_t n_keys,
                const TensorInfo *const *tensors, size_t n_tensors, Err *err) {
    assert(alignment == stated_alignment(keys, n_keys));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return err_errno(err, "%s: cannot create", path);
    StrBuf header = {0};
    put_header(&header, alignment, keys, n_keys, tensors, n_tensors);
    bool ok = file_write_at(fd, 0, header.at, header.len, path, err) &&
              write_data(fd, path, header.len, alignment, tensors, n_tensors, err);
    strbuf_free(&header);
    if (ok && fsync(fd) != 0) ok = err_errno(err, "%s: cannot sync", path);
    if (close(fd) != 0 && ok) ok = err_errno(err, "%s: cannot close", path);
    return ok;
}
