// open.c — opens a package. After that every constant can be read without further checks.
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/reader.h"
#include "base/size.h"
#include "mlpackage/manifest.h"
#include "mlpackage/model.h"

// The name of a weight file within the folder; empty when it is not in there.
static Str name_in_folder(Str file) {
    if (!str_starts(file, STR(MIL_WEIGHT_FOLDER))) return STR("");
    size_t n = strlen(MIL_WEIGHT_FOLDER);
    Str name = {file.at + n, file.len - n};
    bool is_safe = name.len > 0 && name.at[0] != '.' && !memchr(name.at, '/', name.len) &&
                   !memchr(name.at, 0, name.len);
    return is_safe ? name : STR("");
}

static const WeightFile *file_of(const Package *p, const MilValue *v) {
    Str name = name_in_folder(v->data->file);
    for (size_t i = 0; i < p->n_weights; i++)
        if (str_eq(p->weights[i].name, name)) return &p->weights[i];
    return NULL;
}

// Checks a blob's record and data against the type that refers to it.
static bool check_blob(const WeightFile *file, const MilValue *v, Err *err) {
    const FileMap *weights = &file->map;
    uint64_t at = v->data->offset;
    // mil_validate() has checked that it is a multiple of 64 after the header.
    if (at > weights->len || weights->len - at < BLOB_RECORD_BYTES)
        return err_set(err, ERR_FORMAT,
                       "weight record at offset %" PRIu64 " is outside %.*s (%zu bytes)", at,
                       STR_ARG(file->name), weights->len);
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
                       " must follow it inside %.*s (%zu bytes)",
                       at, STR_ARG(file->name), weights->len);
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

// An empty file exists but is not mapped; it lacks a version.
static bool check_version(const WeightFile *file, Err *err) {
    const FileMap *weights = &file->map;
    if (weights->len >= BLOB_HEADER_BYTES && load_le(weights->at + 4, 4) == BLOB_VERSION)
        return true;
    return err_set(err, ERR_FORMAT, "%.*s: not a weight file of version %d", STR_ARG(file->name),
                   BLOB_VERSION);
}

// Where weight files come from, and the file that is the next to be added.
typedef struct {
    Package *p;
    Arena *arena;
    OpenWeights *open;
    void *context;
    size_t cap;
} Opening;

static bool add_file(Opening *o, Str name, Err *err) {
    Package *p = o->p;
    if (p->n_weights == o->cap) {
        o->cap = o->cap ? 2 * o->cap : 4;
        WeightFile *bigger = arena_array(o->arena, o->cap, WeightFile);
        if (p->n_weights) memcpy(bigger, p->weights, p->n_weights * sizeof *bigger);
        p->weights = bigger;
    }
    WeightFile *file = &p->weights[p->n_weights];
    *file = (WeightFile){.name = arena_str(o->arena, name)};
    if (!o->open(o->context, file, err)) return false;
    p->n_weights++;
    return check_version(file, err);
}

// A blob's file, opened when it is the first that names it, and the blob in it.
static bool take_blob(Opening *o, const MilValue *v, Err *err) {
    Str name = name_in_folder(v->data->file);
    if (!name.len)
        return err_set(err, ERR_FORMAT, "constant in file '%.*s', expected one in %s",
                       STR_ARG(v->data->file), MIL_WEIGHT_FOLDER);
    if (!file_of(o->p, v) && !add_file(o, name, err)) return false;
    return check_blob(file_of(o->p, v), v, err);
}

static bool take_blobs(Opening *o, Err *err) {
    const MilProgram *program = o->p->program;
    for (uint32_t i = 0; i < program->n_functions; i++) {
        const MilFunction *f = program->functions[i];
        for (uint32_t k = 0; k < f->n_values; k++) {
            const MilValue *v = &f->values[k];
            if (v->data && v->data->is_blob && !take_blob(o, v, err))
                return err_prefix(err, "function '%.*s': '%.*s'", STR_ARG(f->name),
                                  STR_ARG(v->name));
        }
    }
    return true;
}

bool package_decode(Package *p, Arena *arena, OpenWeights *open, void *context, Err *err) {
    Opening o = {p, arena, open, context, 0};
    return model_decode(p, arena, p->model.at, p->model.len, err) &&
           mil_validate(p->program, "program", err) && take_blobs(&o, err);
}

typedef struct {
    const char *dir; // NULL: the manifest names no folder of weights
    Arena *arena;
} Folder;

static bool open_in_folder(void *context, WeightFile *file, Err *err) {
    const Folder *folder = context;
    const char *path =
        folder->dir ? path_join(folder->arena, folder->dir, arena_cstr(folder->arena, file->name))
                    : NULL;
    if (!path || !path_exists(path))
        return err_set(err, ERR_FORMAT,
                       "constant in file '" MIL_WEIGHT_FOLDER "%.*s', which the package lacks",
                       STR_ARG(file->name));
    return map_file(&file->map, path, err);
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
    Folder folder = {weights ? path_join(arena, data, weights) : NULL, arena};
    if (package_decode(p, arena, open_in_folder, &folder, err)) return true;
    err_prefix(err, "%s", path);

fail:
    package_close(p);
    return false;
}

void package_close(Package *p) {
    unmap_file(&p->model);
    for (size_t i = 0; i < p->n_weights; i++) unmap_file(&p->weights[i].map);
    *p = (Package){0};
}

uint64_t package_weight_bytes(const Package *p) {
    uint64_t sum = 0;
    for (size_t i = 0; i < p->n_weights; i++) sum += p->weights[i].map.len;
    return sum;
}

uint64_t package_bytes(const Package *p) {
    return p->model.len + package_weight_bytes(p);
}

const void *package_data(const Package *p, const MilValue *v, size_t *n_bytes) {
    if (!v->data->is_blob) {
        *n_bytes = v->data->n_bytes;
        return v->data->bytes;
    }
    mil_type_bytes(&v->type, n_bytes);
    return file_of(p, v)->map.at + v->data->offset + BLOB_RECORD_BYTES;
}

const char *package_note(const Package *p, const char *key) {
    for (size_t i = 0; i < p->n_notes; i++)
        if (strcmp(p->notes[i].key, key) == 0) return p->notes[i].value;
    return NULL;
}
