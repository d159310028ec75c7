#include "gates/blame.h"

#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/size.h"
#include "decoder/ports.h"
#include "gates/weights.h"
#include "proof/execution.h"
#include "proof/packed.h"
#include "quant/quant.h"

// The possible causes of a difference, in the order in which they are tried; the first that
// explains the failure is reported. At landmarks of sound bundles (hello-phi3, SmolLM2) the worst
// group of channels was off by 0.05 %, 0.5 % and 12 %; bounds lie above these.
typedef enum { CAUSE_GRAPH, CAUSE_FP16, CAUSE_WEIGHTS, CAUSE_COUNT } Cause;
static const struct {
    const char *name, *doc;
    double most_off;
} causes[CAUSE_COUNT] = {
    [CAUSE_GRAPH] = {"graph", "in fp32, with the same weights", 0.005},
    [CAUSE_FP16] = {"fp16", "in fp16, with the same weights", 0.05},
    [CAUSE_WEIGHTS] = {"weights", "by its weights, against the source's", 0.3},
};

typedef struct {
    Proof *p;
    Arena *arena;
    size_t shard;
    const char *gate;
    const float *rows;
    size_t n_tokens;
    const ChainShard *chain;
} Blame;

// ---- the place

typedef struct {
    size_t mark; // of the shard's landmarks; n_landmarks when none diverges
    WorstGroup group, before;
    double cos;
    const char *role; // of the function that made it: prefill, or decode
} Place;

static WorstGroup group_of(const Watched *found, const Watched *wanted, size_t m, size_t first,
                           size_t end) {
    const ChainLandmark *mark = &found->shard->landmarks[m];
    size_t width = landmark_width(found->contract, mark->place);
    return metrics_worst_group(found->rows[m] + first * width, wanted->rows[m] + first * width,
                               end - first, width);
}

static double cos_of(const Watched *found, const Watched *wanted, size_t m) {
    size_t width = landmark_width(found->contract, found->shard->landmarks[m].place);
    Metrics metrics = {0};
    for (size_t t = 0; t < found->n_tokens; t++)
        metrics_add(&metrics, found->rows[m] + t * width, wanted->rows[m] + t * width, width);
    return metrics_cos(&metrics);
}

// Rows that full chunks took went through prefill, if there is one, the rest one by one through decode.
static const char *role_of(const Blame *b, const Watched *found, const Watched *wanted, size_t m,
                           double most_off) {
    size_t chunk = b->p->bundle.chain.prefill_rows;
    size_t n_chunked = chunk ? b->n_tokens / chunk * chunk : 0;
    bool has_prefill = chain_function(b->chain, FUNCTION_PREFILL) != NULL;
    if (!has_prefill || n_chunked == 0 || group_of(found, wanted, m, 0, n_chunked).off <= most_off)
        return FUNCTION_DECODE;
    return FUNCTION_PREFILL;
}

static bool are_finite(const Watched *w, size_t m) {
    size_t n = w->n_tokens * landmark_width(w->contract, w->shard->landmarks[m].place);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(w->rows[m][i])) return false;
    return true;
}

static Place find_place(const Blame *b, const Watched *found, const Watched *wanted, Cause cause) {
    Place place = {0};
    double most_off = causes[cause].most_off;
    for (; place.mark < b->chain->n_landmarks; place.mark++) {
        place.group = group_of(found, wanted, place.mark, 0, b->n_tokens);
        if (!(place.group.off <= most_off)) break;
        place.before = place.group;
    }
    // Where the package's own weights leave the finite numbers, no graph can be told from another.
    if (place.mark < b->chain->n_landmarks && cause != CAUSE_WEIGHTS &&
        !are_finite(wanted, place.mark))
        place.mark = b->chain->n_landmarks;
    if (place.mark == b->chain->n_landmarks) return place;
    place.cos = cos_of(found, wanted, place.mark);
    place.role = role_of(b, found, wanted, place.mark, most_off);
    return place;
}

// ---- the ops

// The ops between landmarks that agree and the op `at`: its ancestors, up to a value of a landmark
// before `mark`. What was written to a state belongs to those who read it.
static void mark_ancestors(const Blame *b, const MilFunction *f, size_t mark, uint32_t at,
                           bool *is_suspect);

static void mark_value(const Blame *b, const MilFunction *f, size_t mark, const MilValue *v,
                       bool *is_suspect) {
    if (v->is_constant || v->op == MIL_NO_OP || is_suspect[v->op]) return;
    for (size_t m = 0; m < mark; m++)
        if (str_eq(b->chain->landmarks[m].value, v->name)) return;
    is_suspect[v->op] = true;
    mark_ancestors(b, f, mark, v->op, is_suspect);
}

static void mark_write(const Blame *b, const MilFunction *f, size_t mark, uint32_t read,
                       bool *is_suspect) {
    ValueId state = mil_operand(f, &f->ops[read], 0);
    for (uint32_t i = read; i-- > 0;) {
        const MilOp *op = &f->ops[i];
        if (op->info->opcode != MIL_OP_write_state || is_suspect[i] ||
            mil_operand(f, op, mil_param(op->info, "input")).at != state.at)
            continue;
        is_suspect[i] = true;
        mark_ancestors(b, f, mark, i, is_suspect);
        return;
    }
}

static void mark_ancestors(const Blame *b, const MilFunction *f, size_t mark, uint32_t at,
                           bool *is_suspect) {
    const MilOp *op = &f->ops[at];
    if (op->info->opcode == MIL_OP_read_state) mark_write(b, f, mark, at, is_suspect);
    for (uint32_t p = 0; p < op->info->n_params; p++)
        for (uint32_t k = 0; k < op->args[p].count; k++)
            mark_value(b, f, mark, mil_value(f, f->operands[op->args[p].first + k]), is_suspect);
}

static json_t *list_suspects(const Blame *b, const MilFunction *f, size_t mark, const MilOp *op,
                             StrBuf *text) {
    enum { MOST = 12 };
    bool *is_suspect = arena_array(b->arena, f->n_ops, bool);
    mark_ancestors(b, f, mark, (uint32_t)(op - f->ops), is_suspect);
    json_t *list = json_array();
    for (uint32_t i = 0; i < f->n_ops; i++) {
        if (!is_suspect[i]) continue;
        size_t n = json_array_size(list);
        if (n < MOST)
            strbuf_printf(text, "%s%.*s", n ? ", " : "; or the values it is computed from: ",
                          STR_ARG(f->ops[i].name));
        json_array_append_new(list, json_stringn(f->ops[i].name.at, f->ops[i].name.len));
    }
    if (json_array_size(list) > MOST)
        strbuf_printf(text, " and %zu more", json_array_size(list) - MOST);
    return list;
}

static void add_weight(const MilFunction *f, const MilOp *op, StrBuf *text) {
    int param = mil_param(op->info, "weight");
    if (param < 0) return;
    strbuf_printf(text, "; it reads '%.*s'",
                  STR_ARG(mil_value(f, mil_operand(f, op, param))->name));
}

// ---- saying it

static void say(const Blame *b, const Place *place, Cause cause) {
    const Package *package = &b->p->bundle.packages[b->shard];
    const ChainLandmark *mark = &b->chain->landmarks[place->mark];
    const MilFunction *f =
        mil_find_function(package->program, chain_function(b->chain, place->role)->name);
    const MilOp *op = watch_op(f, mark);
    StrBuf text = {0};
    strbuf_printf(&text,
                  "%s: '%.*s' (%s, %s of layer %02u) is the first to diverge %s, in %s: cos=%.7f, "
                  "channels %zu..%zu off by %.3g %%",
                  causes[cause].name, STR_ARG(op->name), op->info->name,
                  landmark_names[mark->place], mark->layer, causes[cause].doc, place->role,
                  place->cos, place->group.first, place->group.end - 1, 100 * place->group.off);
    if (place->mark) {
        const ChainLandmark *before = mark - 1;
        strbuf_printf(&text, "; %s of layer %02u before it is off by %.3g %% at most",
                      landmark_names[before->place], before->layer, 100 * place->before.off);
    }
    json_t *suspects = json_array();
    if (cause == CAUSE_WEIGHTS) {
        add_weight(f, op, &text);
    } else {
        json_decref(suspects);
        suspects = list_suspects(b, f, place->mark, op, &text);
    }
    json_t *figures = json_pack(
        "{s:s, s:s%, s:s, s:s, s:i, s:s, s:o, s:o, s:o}", "cause", causes[cause].name, "op",
        op->name.at, op->name.len, "type", op->info->name, "place", landmark_names[mark->place],
        "layer", (int)mark->layer, "function", place->role, "cos", json_of_real(place->cos), "off",
        json_of_real(place->group.off), "suspects", suspects);
    char scope[48];
    snprintf(scope, sizeof scope, "blame %02u..%02u", b->chain->first_layer,
             b->chain->end_layer - 1);
    proof_result(b->p, b->gate, false, figures, scope, "%.*s", STR_ARG(strbuf_str(&text)));
    strbuf_free(&text);
}

static void say_nothing_found(const Blame *b) {
    char scope[48];
    snprintf(scope, sizeof scope, "blame %02u..%02u", b->chain->first_layer,
             b->chain->end_layer - 1);
    proof_result(b->p, b->gate, false, NULL, scope,
                 "no landmark adds more than %.2g %% in the graph, %.2g %% in fp16 or %.2g %% by "
                 "its weights: smaller errors have added up",
                 100 * causes[CAUSE_GRAPH].most_off, 100 * causes[CAUSE_FP16].most_off,
                 100 * causes[CAUSE_WEIGHTS].most_off);
}

static bool watch_arithmetic(const Blame *b, Watched *w, Arithmetic arithmetic, Err *err) {
    Shards shards;
    if (!proof_open_shards(b->p, &shards, arithmetic, err)) return false;
    bool ok =
        watch_engine(w, b->arena, b->p, &shards, b->shard, WATCH_ALL, b->rows, b->n_tokens, err);
    shards_close(&shards);
    return ok;
}

// The pair of runs that only `cause` makes differ; `packed` is known.
static bool watch_pair(const Blame *b, Cause cause, const Watched *packed, Watched *found,
                       Watched *wanted, Err *err) {
    *found = *wanted = *packed;
    switch (cause) {
    case CAUSE_GRAPH: return watch_arithmetic(b, found, ARITHMETIC_FP32, err);
    case CAUSE_FP16: return watch_arithmetic(b, found, ARITHMETIC_FP16, err);
    default:
        return watch_reference(wanted, b->arena, b->p, false, b->shard, WATCH_ALL, b->rows,
                               b->n_tokens, err);
    }
}

bool blame_shard(Proof *p, const char *gate, size_t i, const float *rows, size_t n_tokens,
                 Err *err) {
    Arena arena = {0};
    Blame b = {p, &arena, i, gate, rows, n_tokens, &p->bundle.chain.shards[i]};
    Watched packed, found, wanted;
    bool ok = watch_reference(&packed, &arena, p, true, i, WATCH_ALL, rows, n_tokens, err);
    bool is_found = false;
    for (int cause = 0; ok && !is_found && cause < CAUSE_COUNT; cause++) {
        ok = watch_pair(&b, (Cause)cause, &packed, &found, &wanted, err);
        if (!ok) break;
        Place place = find_place(&b, &found, &wanted, (Cause)cause);
        is_found = place.mark < b.chain->n_landmarks;
        if (is_found) say(&b, &place, (Cause)cause);
    }
    if (ok && !is_found) say_nothing_found(&b);
    arena_free(&arena);
    return ok;
}

// ---- a weight

static Str package_of(const Proof *p, const ChainTensor *t) {
    const Chain *c = &p->bundle.chain;
    size_t i = 0;
    while (t < c->shards[i].tensors || t >= c->shards[i].tensors + c->shards[i].n_tensors) i++;
    return c->shards[i].package;
}

bool blame_weight(Proof *p, const char *gate, const WeightFault *fault, Err *err) {
    PackedWeights *packed = packed_weights_open(p, err);
    if (!packed) return false;
    const TensorInfo *source = fault->rows.tensor;
    PackedPlace place = packed_weight_place(packed, fault->role, fault->layer, fault->row);
    Str package = package_of(p, place.tensor);

    // The row, or all of a vector, as the package has it beside the source's.
    Arena arena = {0};
    bool is_matrix = source->n_dims > 1;
    size_t n = is_matrix ? source->dims[0] : fault->rows.n_rows;
    float *found = arena_array(&arena, n, float);
    float *wanted = arena_array(&arena, source->dims[0], float);
    packed_weight_row(packed, fault->role, fault->layer, is_matrix ? fault->row : 0, found, n);
    decode_row(source, is_matrix ? fault->rows.first_row + fault->row : 0, wanted);
    Metrics m = {0};
    metrics_add(&m, found, is_matrix ? wanted : wanted + fault->rows.first_row, n);
    double cos = metrics_cos(&m), times = m.dot / m.norm_wanted;
    arena_free(&arena);

    bool is_of_layer = fault->layer < p->model.contract.n_layers;
    json_t *figures = json_pack(
        "{s:s, s:s%, s:s%, s:s, s:o, s:I, s:I, s:s%, s:I, s:o, s:o}", "cause", "weight", "tensor",
        place.tensor->name.at, place.tensor->name.len, "package", package.at, package.len, "role",
        fault->name, "layer", is_of_layer ? json_integer(fault->layer) : json_null(), "row",
        (json_int_t)fault->row, "bad_rows", (json_int_t)fault->n_bad_rows, "source",
        source->name.at, source->name.len, "source_row",
        (json_int_t)(fault->rows.first_row + fault->row), "cos", json_of_real(cos), "times",
        json_of_real(times));
    proof_result(p, gate, false, figures, "blame weights",
                 "weight: '%.*s' in %.*s, row %zu of its %s (row %zu of '%.*s'): %zu of %zu rows "
                 "there are wrong; %s comes out as %.3g times the source's, cos=%.7f",
                 STR_ARG(place.tensor->name), STR_ARG(package), fault->row, fault->name,
                 fault->rows.first_row + fault->row, STR_ARG(source->name), fault->n_bad_rows,
                 is_matrix ? fault->rows.n_rows : 1, is_matrix ? "this one" : "the vector", times,
                 cos);
    return true;
}
