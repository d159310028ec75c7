#include "gates/device_loads.h"

#include "base/json.h"
#include "base/size.h"
#include "decoder/ports.h"

static json_t *loads_of(Proof *p) {
    json_t *loads = json_object_get(p->sections, "loads");
    if (loads) return loads;
    proof_section(p, "loads", json_array());
    return json_object_get(p->sections, "loads");
}

static json_t *number(uint64_t n) {
    return json_integer((json_int_t)n);
}

static json_t *times_json(const RunnerTimes *t) {
    double warm = t->n_runs > 1 ? t->warm_runs / (double)(t->n_runs - 1) : 0;
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:o}", "first_load",
                     t->first_load, "first_run", t->first_run, "load", t->load, "cold_run",
                     t->cold_run, "warm_run", warm, "runs", number(t->n_runs), "reloads",
                     number(t->n_reloads), "declined", number(t->n_declined), "padded",
                     number(t->n_padded), "held", number(t->n_held));
}

void device_loads_add(Proof *p, const Shards *s) {
    for (size_t i = 0; i < p->bundle.chain.n_shards; i++) {
        const Shard *shard = &s->shards[i];
        ShardRole functions[SHARD_MAX_ROLES];
        size_t n = shard_roles(shard, functions);
        for (size_t k = 0; k < n; k++) {
            const Runner *r = functions[k].runner;
            RunnerTimes times;
            if (!r->ops->times) continue;
            r->ops->times(r, &times);
            json_t *row = times_json(&times);
            json_object_set_new(row, "gate", json_string(p->running));
            json_object_set_new(row, "package", json_of_str(shard->chain->package));
            json_object_set_new(row, "function", json_string(functions[k].role));
            if (times.log) json_object_set_new(row, "log", json_string(times.log));
            json_array_append_new(loads_of(p), row);
        }
    }
}
