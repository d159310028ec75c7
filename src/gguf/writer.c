#include "gguf/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/size.h"

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

static bool write_data(int fd, const char *path, uint64_t at, size_t alignment,
                       const TensorInfo *const *tensors, size_t n_tensors, Err *err) {
    static const char zeros[64];
    for (size_t i = 0; i < n_tensors; i++) {
        const TensorInfo *t = tensors[i];
        if (!file_write_at(fd, at, t->data, t->n_bytes, path, err)) return false;
        at += t->n_bytes;
        for (uint64_t gap = round_up(at, alignment) - at; gap;) {
            size_t n = min_size((size_t)gap, sizeof zeros);
            if (!file_write_at(fd, at, zeros, n, path, err)) return false;
            at += n;
            gap -= n;
        }
    }
    return true;
}

bool gguf_write(const char *path, size_t alignment, const GgufKey *const *keys, size_t n_keys,
                const TensorInfo *const *tensors, size_t n_tensors, Err *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return err_errno(err, "%s: cannot write it", path);
    StrBuf header = {0};
    put_header(&header, alignment, keys, n_keys, tensors, n_tensors);
    bool ok = file_write_at(fd, 0, header.at, header.len, path, err) &&
              write_data(fd, path, header.len, alignment, tensors, n_tensors, err) &&
              (fsync(fd) == 0 || err_errno(err, "%s: cannot sync it", path));
    strbuf_free(&header);
    if (close(fd) != 0 && ok) ok = err_errno(err, "%s: cannot write it", path);
    return ok;
}
