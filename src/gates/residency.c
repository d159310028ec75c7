// residency.c — predicts by published rules which ops of each package the Neural Engine takes.
//
// A prediction: the program is judged as it is on disk, with the bytes of the files there, for the
// system that the bundle was converted for. Nothing has run on a device. The estimate of the
// segment cost model is a note, which fails nothing: it rests on measurements of one chip that
// others published, and a small model runs faster on the CPU anyway.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "gates/gates.h"
#include "gates/layer_names.h"
#include "placement/placement.h"
#include "proof/proof.h"

static json_t *sum_json(const PlacementSum *s) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "conv_ane", (json_int_t)s->conv_ane,
                     "conv_total", (json_int_t)s->conv_total, "compute_ane",
                     (json_int_t)s->compute_ane, "compute_total", (json_int_t)s->compute_total,
                     "unknown", (json_int_t)s->n_unknown, "faults", (json_int_t)s->n_faults,
                     "index_ops", (json_int_t)s->n_index);
}

static void say(Proof *p, size_t i, const Placement *placement) {
    PlacementSum s = placement_sum(placement);
    StrBuf text = {0};
    char scope[32];
    placement_print(placement, &text);
    snprintf(scope, sizeof scope, "shard %02zu", i);
    proof_result(p, "residency", placement_is_resident(placement), sum_json(&s), scope, "%.*s",
                 STR_ARG(strbuf_str(&text)));
    strbuf_free(&text);
}

static const char *verdict_name(PlacementVerdict v) {
    static const char *const names[] = {
        [PLACE_ANE] = "ane", [PLACE_UNKNOWN] = "unknown", [PLACE_NOT] = "cpu"};
    return names[v];
}

// ---- the placement section of the report

// One row of the map: ops that differ in their layer only.
typedef struct {
    Str stem; // "qkv_y" of "layer_03_qkv_y"; the whole name of an op of no layer
    const char *op;
    char *marks; // [n_layers + 1], one character a layer; the last column is for ops of no layer
} MapRow;

typedef struct {
    uint32_t first_layer, n_layers;
    MapRow *rows;
    size_t n_rows;
} Map;

static Str op_name(const MilFunction *f, const MilOp *op) {
    return op->n_outputs ? f->values[op->first_output].name : op->name;
}

static MapRow *find_row(Map *map, Str stem, const char *op, Arena *arena) {
    for (size_t i = 0; i < map->n_rows; i++)
        if (str_eq(map->rows[i].stem, stem)) return &map->rows[i];
    MapRow *row = &map->rows[map->n_rows++];
    *row = (MapRow){stem, op, arena_alloc(arena, map->n_layers + 2, 1)};
    memset(row->marks, ' ', map->n_layers + 1);
    return row;
}

static char mark_of(const FunctionPlacement *f, uint32_t op) {
    for (size_t k = 0; k < f->n_findings; k++)
        if (f->findings[k].op == op && f->findings[k].rule->effect == RULE_FAULT) return 'f';
    if (f->is_index[op]) return 'i';
    static const char marks[] = {[PLACE_ANE] = 'a', [PLACE_UNKNOWN] = 'u', [PLACE_NOT] = 'c'};
    return marks[f->verdicts[op]];
}

static json_t *map_json(const FunctionPlacement *f, Arena *arena) {
    const MilFunction *function = f->function;
    Map map = {.first_layer = UINT32_MAX, .rows = arena_array(arena, function->n_ops, MapRow)};
    uint32_t end = 0, layer;
    Str stem;
    for (uint32_t i = 0; i < function->n_ops; i++)
        if (layer_of_name(op_name(function, &function->ops[i]), &layer, &stem)) {
            if (layer < map.first_layer) map.first_layer = layer;
            if (layer >= end) end = layer + 1;
        }
    map.n_layers = end > map.first_layer ? end - map.first_layer : 0;
    for (uint32_t i = 0; i < function->n_ops; i++) {
        const MilOp *op = &function->ops[i];
        if (!placement_counts(function, op)) continue;
        Str name = op_name(function, op);
        bool has_layer = layer_of_name(name, &layer, &stem);
        MapRow *row = find_row(&map, has_layer ? stem : name, op->info->name, arena);
        row->marks[has_layer ? layer - map.first_layer : map.n_layers] = mark_of(f, i);
    }
    json_t *rows = json_array();
    for (size_t i = 0; i < map.n_rows; i++)
        json_array_append_new(rows,
                              json_pack("[s%, s, s]", map.rows[i].stem.at, map.rows[i].stem.len,
                                        map.rows[i].op, map.rows[i].marks));
    return json_pack("{s:I, s:I, s:o}", "first_layer",
                     (json_int_t)(map.n_layers ? map.first_layer : 0), "layers",
                     (json_int_t)map.n_layers, "rows", rows);
}

// Findings of one rule in one function, with the first op and how many there are.
static json_t *findings_json(const FunctionPlacement *f) {
    json_t *list = json_array();
    for (size_t k = 0; k < f->n_findings; k++) {
        const PlacementFinding *found = &f->findings[k];
        bool is_first = true;
        json_int_t n = 0;
        for (size_t i = 0; i < f->n_findings; i++) {
            if (f->findings[i].rule != found->rule) continue;
            if (i < k) is_first = false;
            n += f->findings[i].count;
        }
        if (!is_first) continue;
        Str name = placement_finding_name(f, found);
        json_array_append_new(list, json_pack("{s:s, s:I, s:s%, s:s%}", "rule", found->rule->id,
                                              "count", n, "first", name.at, name.len, "detail",
                                              found->detail.at, found->detail.len));
    }
    return list;
}

static json_t *function_json(const FunctionPlacement *f, Arena *arena) {
    const PlacementEstimate *e = &f->estimate;
    json_t *estimate =
        json_pack("{s:f, s:f, s:f, s:f, s:I, s:s}", "ane_ms", e->ane_ms, "notch_ms", e->notch_ms,
                  "cpu_ms", e->cpu_ms, "price_ms", e->price_ms, "segments",
                  (json_int_t)e->n_segments, "verdict", verdict_name(e->verdict));
    json_t *function = json_pack(
        "{s:s%, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "name",
        f->function->name.at, f->function->name.len, "conv_ane", (json_int_t)f->conv_ane,
        "conv_total", (json_int_t)f->conv_total, "compute_ane", (json_int_t)f->compute_ane,
        "compute_total", (json_int_t)f->compute_total, "unknown", (json_int_t)f->n_unknown,
        "index_ops", (json_int_t)f->n_index, "conv_bytes", (json_int_t)f->conv_bytes, "slow_bytes",
        (json_int_t)f->slow_bytes, "reach_bytes", (json_int_t)f->reach_bytes, "findings",
        findings_json(f), "estimate", estimate, "map", map_json(f, arena));
    if (f->evicted_by) json_object_set_new(function, "evicted_by", json_string(f->evicted_by->id));
    return function;
}

// The rules that spoke, so that the report can be read without the table.
static void add_rules(json_t *rules, const FunctionPlacement *f) {
    for (size_t k = 0; k < f->n_findings; k++) {
        const PlacementRule *r = f->findings[k].rule;
        json_object_set_new(rules, r->id,
                            json_pack("{s:s, s:s, s:s, s:s, s:s}", "effect",
                                      rule_effect_name(r->effect), "confidence",
                                      confidence_name(r->confidence), "text", r->text, "seen",
                                      r->seen, "source", r->source));
    }
}

static json_t *shard_json(const Proof *p, size_t i, const Placement *placement, json_t *rules) {
    Str package = p->bundle.chain.shards[i].package;
    json_t *functions = json_array();
    for (size_t k = 0; k < placement->n_functions; k++) {
        json_array_append_new(functions, function_json(&placement->functions[k], p->arena));
        add_rules(rules, &placement->functions[k]);
    }
    return json_pack("{s:s%, s:I, s:o}", "package", package.at, package.len, "bytes",
                     (json_int_t)placement->n_bytes, "functions", functions);
}

// ---- the gate

static void say_estimate(Proof *p, size_t i, const Placement *placement) {
    StrBuf text = {0};
    for (size_t k = 0; k < placement->n_functions; k++) {
        const FunctionPlacement *f = &placement->functions[k];
        static const char *const words[] = {
            [PLACE_ANE] = "ANE predicted",
            [PLACE_UNKNOWN] = "too close to call",
            [PLACE_NOT] = "CPU predicted: too small to make up for the cost of the call"};
        strbuf_printf(&text, "%s%.*s: ANE %.3g ms, CPU %.3g ms, %s", k ? "; " : "",
                      STR_ARG(f->function->name), f->estimate.ane_ms, f->estimate.cpu_ms,
                      words[f->estimate.verdict]);
    }
    char scope[48];
    snprintf(scope, sizeof scope, "shard %02zu estimate", i);
    proof_note(p, "residency", scope, "%.*s", STR_ARG(strbuf_str(&text)));
    strbuf_free(&text);
}

// Which weights stream at half speed, where any do.
static void say_stream(Proof *p, size_t i, const Placement *placement) {
    StrBuf text = {0};
    char scope[48];
    for (size_t k = 0; k < placement->n_functions; k++) {
        const FunctionPlacement *f = &placement->functions[k];
        if (f->slow_bytes == 0) continue;
        strbuf_printf(&text, "%s%.*s: %.1f of %.1f MiB", text.len ? "; " : "",
                      STR_ARG(f->function->name), (double)f->slow_bytes / (1 << 20),
                      (double)f->conv_bytes / (1 << 20));
    }
    if (text.len == 0) return;
    snprintf(scope, sizeof scope, "shard %02zu stream", i);
    proof_note(p, "residency", scope,
               "weights predicted to stream at half speed on %s [rule X01]: %.*s",
               placement_rules[RULE_X01].seen, STR_ARG(strbuf_str(&text)));
    strbuf_free(&text);
}

bool gate_residency(Proof *p, Err *err) {
    const Chain *c = &p->bundle.chain;
    PlacementTarget target;
    if (!placement_target_read(c->target, &target))
        return err_set(err, ERR_GATE,
                       "no rules for target '%.*s', expected macos27, macos26 or macos15, alone or "
                       "with a chip (macos27:m4)",
                       STR_ARG(c->target));
    if (str_is(c->sizes, "newest")) target.size_rule = SIZES_NEWEST;
    json_t *shards = json_array(), *rules = json_object();
    for (size_t i = 0; i < c->n_shards; i++) {
        const Package *package = &p->bundle.packages[i];
        Placement placement;
        placement_judge(&placement, p->arena, package->program, package_bytes(package), &target);
        say(p, i, &placement);
        say_estimate(p, i, &placement);
        say_stream(p, i, &placement);
        json_array_append_new(shards, shard_json(p, i, &placement, rules));
    }
    proof_note(p, "residency", "device",
               "skipped: no device has run these packages; on a Mac run lathe verify with --engine "
               "coreml");
    json_t *section = json_pack("{s:s, s:n, s:o, s:o}", "target", arena_cstr(p->arena, c->target),
                                "measured", "shards", shards, "rules", rules);
    if (!section) die_out_of_memory(0);
    proof_section(p, "placement", section);
    return true;
}
