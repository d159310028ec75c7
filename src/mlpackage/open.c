// open.c — opens a package. After that every constant can be read without further checks.
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/reader.h"
#include "base/size.h"
#include "mlpackage/manifest.h"
#include "mlpackage/model.h"

// Checks a blob's record and data against the type that refers to it.
static bool check_blob(const FileMap *weights, const MilValue *v, Err *err) {
    uint64_t at = v->data->offset;
    if (!str_eq(v->data->file, STR(MIL_WEIGHT_FILE)))
        return err_set(err, ERR_FORMAT, "constant in file '%.*s', expected %s",
                       STR_ARG(v->data->file), MIL_WEIGHT_FILE);
    if (!weights->at)
        return err_set(err, ERR_FORMAT, "constant in file '%s', but the package has no weights",
                       MIL_WEIGHT_FILE);
    // mil_validate() has checked that it is a multiple of 64 after the header.
    if (at > weights->len || weights->len - at < BLOB_RECORD_BYTES)
        return err_set(err, ERR_FORMAT,
                       "weight record at offset %" PRIu64 " is outside weight.bin (%zu bytes)", at,
                       weights->len);
    const uint8_t *record = weights->at + at;
    uint64_t n_bytes = load_le(record + 8, 8), data_at = load_le(record + 16, 8);
    if (load_le(record, 4) != BLOB_SENTINEL)
        return err_set(err, ERR_FORMAT, "no weight record at offset %" PRIu64, at);
    if (load_le(record + 4, 4) != mil_dtypes[v->type.dtype].blob_id)
        return err_set(err, ERR_FORMAT,
                       "weight record at offset %" PRIu64 " has type %" PRIu64 ", expected %u (%s)",
                       at, load_le(record + 4, 4), mil_dtypes[v->type.dtype].blob_id,
                       mil_dtypes[v->type.dtype].name);
    size_t expected = 0;
    mil_type_bytes(&v->type, &expected);
    if (n_bytes != expected)
        return err_set(err, ERR_FORMAT,
                       "weight record at offset %" PRIu64 " holds %" PRIu64 " bytes, expected %zu",
                       at, n_bytes, expected);
    if (data_at != at + BLOB_RECORD_BYTES || n_bytes > weights->len - data_at)
        return err_set(err, ERR_FORMAT,
                       "weights of the record at offset %" PRIu64
                       " must follow it inside weight.bin (%zu bytes)",
                       at, weights->len);
    uint64_t padding = load_le(record + 24, 8), bits = mil_dtypes[v->type.dtype].bits;
    size_t count = 0;
    mil_type_count(&v->type, &count);
    if (padding != 8 * n_bytes - count * bits)
        return err_set(err, ERR_FORMAT,
                       "weight record at offset %" PRIu64 " has %" PRIu64
                       " bits of padding, expected %" PRIu64,
                       at, padding, 8 * n_bytes - count * bits);
    return true;
}

static bool check_blobs(const Package *p, Err *err) {
    for (uint32_t i = 0; i < p->program->n_functions; i++) {
        const MilFunction *f = p->program->functions[i];
        for (uint32_t k = 0; k < f->n_values; k++) {
            const MilValue *v = &f->values[k];
            if (v->data && v->data->is_blob && !check_blob(&p->weights, v, err))
                return err_prefix(err, "function '%.*s': '%.*s'", STR_ARG(f->name),
                                  STR_ARG(v->name));
        }
    }
    return true;
}

static bool check_weights(const FileMap *weights, Err *err) {
    if (!weights->at) return true;
    if (weights->len >= BLOB_HEADER_BYTES && load_le(weights->at + 4, 4) == BLOB_VERSION)
        return true;
    return err_set(err, ERR_FORMAT, "weight.bin: not a weight file of version %d", BLOB_VERSION);
}

bool package_decode(Package *p, Arena *arena, Err *err) {
    return check_weights(&p->weights, err) &&
           model_decode(p, arena, p->model.at, p->model.len, err) &&
           mil_validate(p->program, "program", err) && check_blobs(p, err);
}

// An empty file exists but is not mapped; it lacks a version.
static bool open_weights(Package *p, const char *path, Err *err) {
    if (!path_exists(path)) return true; // a program without weights has none
    if (!map_file(&p->weights, path, err)) return false;
    return p->weights.at ||
           err_set(err, ERR_FORMAT, "%s: not a weight file of version %d", path, BLOB_VERSION);
}

bool package_open(Package *p, Arena *arena, const char *path, Err *err) {
    *p = (Package){.path = arena_cstr(arena, str_of(path))};
    const char *model, *weights;
    if (!path_exists(path)) return err_errno(err, "%s", path);
    if (!path_is_dir(path))
        return err_set(err, ERR_FORMAT, "%s: a file, expected an .mlpackage, which is a folder",
                       path);
    if (!manifest_read(path, arena, &model, &weights, err)) return false;
    const char *data = path_join(arena, path, "Data");
    const char *model_path = path_join(arena, data, model);
    if (!path_exists(model_path))
        return err_set(err, ERR_FORMAT, "%s: missing, but Manifest.json names it", model_path);
    if (!map_file(&p->model, model_path, err)) goto fail;
    if (weights) {
        const char *dir = path_join(arena, data, weights);
        if (!open_weights(p, path_join(arena, dir, "weight.bin"), err)) goto fail;
    }
    if (package_decode(p, arena, err)) return true;
    err_prefix(err, "%s", path);

fail:
    package_close(p);
    return false;
}

void package_close(Package *p) {
    unmap_file(&p->model);
    unmap_file(&p->weights);
    *p = (Package){0};
}

const void *package_data(const Package *p, const MilValue *v, size_t *n_bytes) {
    if (!v->data->is_blob) {
        *n_bytes = v->data->n_bytes;
        return v->data->bytes;
    }
    mil_type_bytes(&v->type, n_bytes);
    return p->weights.at + v->data->offset + BLOB_RECORD_BYTES;
}

const char *package_note(const Package *p, const char *key) {
    for (size_t i = 0; i < p->n_notes; i++)
        if (strcmp(p->notes[i].key, key) == 0) return p->notes[i].value;
    return NULL;
}
