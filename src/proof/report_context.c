// report_context.c — the sections of report.json that belong to no gate: what was judged, and how.
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "base/usage.h"
#include "bundle/advice.h"
#include "proof/proof.h"

static json_t *number(uint64_t n) {
    return json_integer((json_int_t)n);
}

static json_t *package_json(const ChainShard *s) {
    json_t *functions = json_array();
    for (size_t i = 0; i < s->n_functions; i++)
        json_array_append_new(functions, json_of_str(s->functions[i].name));
    return json_pack("{s:o, s:[o,o], s:[o,o], s:o, s:o}", "package", json_of_str(s->package),
                     "layers", number(s->first_layer), number(s->end_layer), "logits",
                     number(s->first_logit), number(s->end_logit), "bytes", number(s->n_bytes),
                     "functions", functions);
}

// Functions of a package share its states.
static uint64_t state_bytes(const Chain *c) {
    uint64_t total = 0;
    for (size_t s = 0; s < c->n_shards; s++)
        for (size_t i = 0; c->shards[s].n_functions && i < c->shards[s].functions[0].n_states;
             i++) {
            size_t n_bytes;
            if (mil_type_bytes(&c->shards[s].functions[0].states[i].type, &n_bytes))
                total += n_bytes;
        }
    return total;
}

static json_t *bundle_json(const Proof *p) {
    const Chain *c = &p->bundle.chain;
    StrBuf architecture = {0};
    contract_print_field(&c->contract, FIELD_architecture, &architecture);
    json_t *packages = json_array();
    for (size_t i = 0; i < c->n_shards; i++)
        json_array_append_new(packages, package_json(&c->shards[i]));
    json_t *options =
        json_pack("{s:o, s:o, s:o, s:o, s:o}", "context", number(c->context), "prefill_rows",
                  number(c->prefill_rows), "kv", json_of_str(c->kv), "weights",
                  json_of_str(c->weights), "target", json_of_str(c->target));
    json_t *bundle =
        json_pack("{s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:o, s:o, s:o, s:o, s:o}", "name",
                  json_of_str(str_of(path_file_name(p->bundle.dir))), "architecture",
                  json_of_str(strbuf_str(&architecture)), "layers", number(c->contract.n_layers),
                  "d_model", number(c->contract.d_model), "source", "name",
                  json_of_str(c->source_name), "bytes", number(c->source_bytes), "options", options,
                  "package_limit", number(c->package_limit), "packages", packages, "host_bytes",
                  number(c->host.n_bytes), "state_bytes", number(state_bytes(c)));
    strbuf_free(&architecture);
    return bundle;
}

// Long lists (rotary factors, a chat template) are named by their beginning.
static json_t *value_json(const Contract *c, FieldId field) {
    enum { MOST = 160 };
    StrBuf value = {0};
    contract_print_field(c, field, &value);
    size_t n = value.len;
    if (n > MOST) {
        n = MOST;
        while (n && ((unsigned char)value.at[n] & 0xC0) == 0x80) n--; // not inside a letter
        value.len = n;
        strbuf_add(&value, STR("…"));
    }
    json_t *json = json_of_str(strbuf_str(&value));
    strbuf_free(&value);
    return json;
}

static json_t *contract_fields_json(const Model *m) {
    json_t *fields = json_array();
    for (int f = 0; f < FIELD_COUNT; f++) {
        FieldId id = (FieldId)f;
        json_array_append_new(
            fields, json_pack("{s:s, s:o, s:s, s:s, s:o, s:s}", "field", field_name(id), "value",
                              value_json(&m->contract, id), "unit", field_unit(id), "kind",
                              source_kind_name(m->sources[f].kind), "from",
                              json_of_str(m->sources[f].text), "meaning", field_doc(id)));
    }
    return fields;
}

// ---- ranges: what was measured, and what of it the packages carry

// What the packages multiply the source's weights of that role and layer by; 1 where none are.
static double part_factor(const Chain *c, uint32_t layer, const char *role) {
    for (size_t s = 0; s < c->n_shards; s++)
        for (size_t t = 0; t < c->shards[s].n_tensors; t++) {
            const ChainTensor *tensor = &c->shards[s].tensors[t];
            for (size_t i = 0; tensor->layer == layer && i < tensor->n_parts; i++)
                if (str_is(tensor->parts[i].role, role)) return (double)tensor->parts[i].factor;
        }
    return 1;
}

static double residual_factor(const Chain *c, uint32_t layer) {
    for (size_t s = 0; s < c->n_shards; s++)
        if (layer >= c->shards[s].first_layer && layer < c->shards[s].end_layer)
            return (double)c->shards[s].residual_factor;
    return 1;
}

// [as measured, as carried]; the second is null where chain.json does not tell: rows that share one
// scale are divided in the graph.
static json_t *pair(double measured, double factor, bool is_known) {
    return is_known ? json_pack("[f, f]", measured, measured * factor)
                    : json_pack("[f, n]", measured);
}

static json_t *layer_range_json(const Chain *c, uint32_t layer) {
    const LayerRange *l = &c->ranges->layers[layer];
    float stream = l->attn_in_peak > l->ffn_in_peak ? l->attn_in_peak : l->ffn_in_peak;
    double v = part_factor(c, layer, "v"), up = part_factor(c, layer, "up");
    bool is_known = !str_is(c->weights, "int8-tensor");
    // A sum is scaled by its own weights and by what its inputs are scaled by.
    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "layer", (json_int_t)layer, "stream",
                     pair((double)stream, 1 / residual_factor(c, layer), true), "attn_sum",
                     pair((double)l->attn_out_sum, v * part_factor(c, layer, "attn_out"), is_known),
                     "ffn_sum",
                     pair((double)l->ffn_out_sum, up * part_factor(c, layer, "down"), is_known),
                     "gated", pair((double)l->gated_peak, up, is_known));
}

static json_t *conditioning_json(const Chain *c) {
    json_t *layers = json_array();
    for (uint32_t i = 0; i < c->ranges->n_layers; i++)
        json_array_append_new(layers, layer_range_json(c, i));
    return json_pack("{s:I, s:f, s:o}", "tokens", (json_int_t)c->ranges->n_tokens, "logit_peak",
                     (double)c->ranges->logit_peak, "layers", layers);
}

static json_t *run_json(const Proof *p, bool is_sealed) {
    struct utsname system;
    if (uname(&system) != 0) memset(&system, 0, sizeof system);
    char machine[200], when[32] = "";
    snprintf(machine, sizeof machine, "%.40s %.60s %.40s", system.sysname, system.release,
             system.machine);
    time_t now = time(NULL) - (time_t)(now_seconds() - p->started);
    struct tm utc;
    if (gmtime_r(&now, &utc)) strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &utc);
    return json_pack("{s:s, s:s, s:s, s:i, s:s, s:b, s:f, s:f, s:O}", "started", when, "machine",
                     machine, "kernels", p->kernels, "threads", (int)pool_threads(p->job->pool),
                     "asked", p->job->gates ? p->job->gates : "all", "sealed", (int)is_sealed,
                     "seconds", now_seconds() - p->started, "peak_bytes", peak_bytes(), "gates",
                     p->seconds);
}

// Commands for who reads the report in the folder that holds the bundle.
static json_t *commands_json(const Proof *p) {
    CommandWords w =
        command_words_beside(p->arena, p->bundle.dir, &p->bundle.chain, p->source.path);
    return json_pack("{s:o, s:o, s:o}", "bundle", json_of_str(str_of(w.bundle)), "source",
                     json_of_str(str_of(w.source)), "convert", json_of_str(str_of(w.convert)));
}

void proof_facts(Proof *p, bool is_sealed) {
    const Chain *c = &p->bundle.chain;
    const struct {
        const char *name;
        json_t *value;
    } sections[] = {
        {"bundle", bundle_json(p)},
        {"commands", commands_json(p)},
        {"contract", contract_fields_json(&p->model)},
        {"run", run_json(p, is_sealed)},
        {"conditioning", c->ranges ? conditioning_json(c) : json_null()},
    };
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (!sections[i].value) die_out_of_memory(0);
        proof_section(p, sections[i].name, sections[i].value);
    }
}
