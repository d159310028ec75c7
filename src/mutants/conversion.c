// conversion.c — the wrong steps: each changes what it is given or what the true step wrote.
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

static bool edit_bytes(const MutantConversion *m, const ShardWriting *w, Arena *arena, Err *err) {
    const char *path = path_join(arena, w->path, "Data/com.apple.CoreML/weights/weight.bin");
    FileMap map;
    if (!map_file(&map, path, err)) return false;
    uint8_t *bytes = big_alloc(map.len, "a weight file", err);
    if (bytes) memcpy(bytes, map.at, map.len);
    size_t n = map.len;
    unmap_file(&map);
    bool is_changed = bytes && m->mutant->bytes(w->shard, m->truth, bytes);
    bool ok = bytes && (!is_changed || file_write(path, bytes, n, err));
    *m->is_put |= is_changed;
    free(bytes);
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
