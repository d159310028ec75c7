// conversion.c — the wrong steps: each changes its input or what the true step wrote.
#include "mutants/conversion.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"

static const MutantConversion *conversion_of(const ConvertSteps *steps) {
    return (const MutantConversion *)steps;
}

// The compiler is given the model as the mutant reads it, in the plan of the true one.
static bool compile_misread(const ConvertSteps *steps, CompiledShard *shard, const Model *model,
                            const ShardPlan *plan, const ShardRange *range, Arena *arena,
                            Err *err) {
    const MutantConversion *m = conversion_of(steps);
    (void)model;
    *m->is_put = true;
    return plan_keeps_eps(plan, &m->reading->model.contract, err) &&
           convert_steps.compile(steps, shard, &m->reading->model, plan, range, arena, err);
}

static bool write_misread(const ConvertSteps *steps, const ShardWriting *w, Arena *arena,
                          Err *err) {
    const Contract *read = &conversion_of(steps)->reading->model.contract;
    ShardWriting misread = *w;
    misread.pack.head_dim = read->head_dim;
    return convert_steps.write_package(steps, &misread, arena, err);
}

static const char *weight_path(const ShardWriting *w, uint32_t file, Arena *arena) {
    const char *folder = path_join(arena, w->path, "Data/com.apple.CoreML/weights");
    return path_join(arena, folder, mil_weight_name(file, arena));
}

// The file at `path` in memory, `n` bytes; NULL after a failure.
static uint8_t *read_copy(const char *path, size_t *n, Err *err) {
    FileMap map;
    if (!map_file(&map, path, err)) return NULL;
    uint8_t *bytes = big_alloc(map.len, "a weight file", err);
    if (bytes) memcpy(bytes, map.at, map.len);
    *n = map.len;
    unmap_file(&map);
    return bytes;
}

static bool edit_bytes(const MutantConversion *m, const ShardWriting *w, Arena *arena, Err *err) {
    uint32_t n_files = blob_plan_files(&w->shard->blobs), n_read = 0;
    uint8_t *files[BLOB_MAX_FILES] = {0};
    size_t n[BLOB_MAX_FILES];
    bool ok = true;
    for (; ok && n_read < n_files; n_read++) {
        files[n_read] = read_copy(weight_path(w, n_read, arena), &n[n_read], err);
        ok = files[n_read] != NULL;
    }
    bool is_changed = ok && m->mutant->bytes(w->shard, m->truth, files);
    for (uint32_t i = 0; ok && is_changed && i < n_files; i++)
        ok = file_write(weight_path(w, i, arena), files[i], n[i], err);
    *m->is_put |= is_changed;
    for (uint32_t i = 0; i < n_read; i++) free(files[i]);
    return ok;
}

static bool write_wrong(const ConvertSteps *steps, const ShardWriting *w, Arena *arena, Err *err) {
    const MutantConversion *m = conversion_of(steps);
    const BundleMutant *mutant = m->mutant;
    if (mutant->kind == MUTANT_GRAPH &&
        !graph_edit(w->shard, mutant, &m->truth->contract, m->is_put, arena, err))
        return false;
    if (mutant->kind == MUTANT_ROWS) *m->is_put |= mutant->rows(w->shard, m->truth);
    return convert_steps.write_package(steps, w, arena, err) &&
           (mutant->kind != MUTANT_BYTES || edit_bytes(m, w, arena, err));
}

static bool write_wrong_keys(const ConvertSteps *steps, const HostWriting *w, Arena *arena,
                             Err *err) {
    const MutantConversion *m = conversion_of(steps);
    *m->is_put |= m->mutant->keys(w->keys, w->n_keys, m->truth, arena);
    return convert_steps.write_host(steps, w, arena, err);
}

void mutant_conversion(MutantConversion *m, const Model *truth, const BundleMutant *mutant,
                       const Reading *reading, bool *is_put) {
    *m = (MutantConversion){convert_steps, truth, mutant, reading, is_put};
    *is_put = false;
    if (reading) {
        m->steps.compile = compile_misread;
        m->steps.write_package = write_misread;
    } else if (mutant->kind == MUTANT_KEYS) {
        m->steps.write_host = write_wrong_keys;
    } else if (mutant->kind == MUTANT_HOST) {
        *is_put = true; // the host that runs the bundle is wrong; nothing on disk is
    } else {
        m->steps.write_package = write_wrong;
    }
}
