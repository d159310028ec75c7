#include "settle/predict.h"

#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "decoder/ports.h"

void predict_target(PlacementTarget *t, const Chain *chain, const SettleMachine *machine) {
    const CoremlMachine *m = &machine->machine;
    char name[24];
    snprintf(name, sizeof name, "macos%u", m->os);
    bool is_bundles = !m->os && placement_target_read(chain->target, t);
    if (!is_bundles && (!m->os || !placement_target_read(str_of(name), t)))
        placement_target_read(STR("any"), t);
    if (!is_bundles) chip_labelled(str_of(m->chip), &t->chip);
    if (str_is(chain->sizes, "newest")) t->size_rule = SIZES_NEWEST;
}

// Packed weights that the function reaches.
static uint64_t weight_bytes(const MilFunction *f) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < f->n_values; i++) {
        const MilValue *v = &f->values[i];
        size_t n_bytes;
        if (v->data && v->data->is_blob && mil_type_bytes(&v->type, &n_bytes)) sum += n_bytes;
    }
    return sum;
}

typedef struct {
    double conv_ane, compute_ane, wired_bytes, decode_ms, prefill_ms;
    bool is_resident;
} Sums;

static void add_function(Sums *s, const ChainFunction *role, const FunctionPlacement *f) {
    s->conv_ane += f->conv_ane;
    s->compute_ane += f->compute_ane;
    s->wired_bytes += (double)weight_bytes(f->function);
    bool is_prefill = str_is(role->role, FUNCTION_PREFILL);
    if (!is_prefill) s->decode_ms += f->estimate.ane_ms;
    if (is_prefill || role->n_rows > 1) s->prefill_ms += f->estimate.ane_ms / role->n_rows;
}

static void add_package(Sums *s, const ChainShard *shard, const Placement *p) {
    s->is_resident = s->is_resident && placement_is_resident(p);
    for (size_t i = 0; i < p->n_functions; i++)
        for (size_t k = 0; k < shard->n_functions; k++)
            if (str_eq(shard->functions[k].name, p->functions[i].function->name))
                add_function(s, &shard->functions[k], &p->functions[i]);
    // Index arithmetic before a graph is off the engine, and the plan counts it so.
    s->is_resident = s->is_resident && placement_sum(p).n_index == 0;
}

bool predict_compute(Computed *c, const char *path, const SettleMachine *machine, Err *err) {
    Arena arena = {0};
    Bundle b;
    Sums s = {.is_resident = true};
    for (size_t i = 0; i < FIGURE_COUNT; i++) c->figures[i] = (double)NAN;
    bool ok = bundle_open(&b, &arena, path, err);
    for (size_t i = 0; ok && i < b.chain.n_shards; i++) {
        const Package *p = &b.packages[i];
        Placement placement;
        PlacementTarget target;
        predict_target(&target, &b.chain, machine);
        placement_judge(&placement, &arena, p->program, package_bytes(p), &target);
        add_package(&s, &b.chain.shards[i], &placement);
    }
    bundle_close(&b);
    arena_free(&arena);
    if (!ok) return false;
    c->figures[FIGURE_conv_ane] = s.conv_ane;
    c->figures[FIGURE_compute_ane] = s.compute_ane;
    c->figures[FIGURE_resident] = s.is_resident;
    c->figures[FIGURE_wired_mib] = s.wired_bytes / (1 << 20);
    c->figures[FIGURE_decode_ms] = s.decode_ms;
    if (s.prefill_ms > 0) c->figures[FIGURE_prefill_ms] = s.prefill_ms;
    return true;
}
