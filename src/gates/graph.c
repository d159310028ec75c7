// graph.c — each layer of each package in fp32, against the reference with the same weights.
//
// A layer is judged by what each of its branches adds to the rows that the program itself has at
// the layer's beginning. The result therefore depends neither on the depth of the model nor on the
// size of its stream: errors of thirty layers do not add up, and a branch that is off by a
// thousandth is reported as a thousandth. All layers together prove the shard: each begins with the
// rows that the one before it ended with, the first with rows from the gate, and the last ends at
// the shard's output.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "base/json.h"
#include "base/size.h"
#include "gates/blame.h"
#include "gates/gates.h"
#include "gates/graph_bounds.h"
#include "gates/graph_checks.h"
#include "gates/graph_norm.h"
#include "gates/layer_errors.h"
#include "proof/execution.h"
#include "proof/packed.h"
#include "proof/trace.h"

enum { ATTENTION, FEED_FORWARD, N_BRANCHES };

static const struct {
    WeightRole norm, bias;
    LandmarkPlace normed, after;
    const char *name;
} branches[N_BRANCHES] = {
    [ATTENTION] = {WEIGHT_attn_norm, WEIGHT_attn_norm_bias, LANDMARK_attn_normed,
                   LANDMARK_post_attn_residual, "attention"},
    [FEED_FORWARD] = {WEIGHT_ffn_norm, WEIGHT_ffn_norm_bias, LANDMARK_ffn_normed, LANDMARK_stream,
                      "feed-forward"},
};

// ---- bounds
//
// Three things may differ between a right program in fp32 and the reference with equal weights.
//
// 1. Constants of binary16 (HALF_UNIT). The contract's own (score scale, residual scale, those of
//    an activation) are rounded before the reference gets them. A norm's gain, sqrt(d_model) or what takes its place, is
//    measured where the norm ends and given to the reference. An eps that is off counts in rows as
//    small as its root (eps_error).
// 2. The order of sums (sum_error). What a branch makes of such an error, scores that cancel or
//    softmax that sharpens it, is measured row by row: the reference runs a second time on rows
//    whose numbers are off by SHAKE up or down, and a row may be off by as many times the sums'
//    error as its branch came to be off by times SHAKE.
// 3. Adding to the stream rounds to 2^-24 of it, in program and reference both.
#define ADD_ROUNDING 0x1p-23

// Quiet channels in a loud row: a few wrong rows of a matrix hide in the length of a thousand.
#define MOST_GROUP_OFF 0.005

// The longest sum of a layer over `n_slots` slots of its state.
static size_t longest_sum(const Contract *c, size_t n_slots) {
    size_t heads = (size_t)c->n_heads * c->head_dim_v;
    return max_size(max_size(c->d_model, c->d_ff), max_size(heads, n_slots));
}

// ---- one shard

// One branch of one layer, over all rows. Errors are shares of what is allowed: 1 at most.
typedef struct {
    double gain;        // of its norm, 1 but for what a constant of binary16 is off by
    double gain_off;    // |gain - 1|
    double norm_off;    // the norm's worst row, its gain taken out
    double off;         // the worst row of what the branch adds to the stream
    double off_by;      // the same row, relative to what it should be
    double sensitivity; // the rows' root mean square: times that an error of what enters grows
} BranchError;

typedef struct {
    BranchError branches[N_BRANCHES];
    LayerError stream; // that leaves the layer
} LayerJudgement;

// One of two runs of the reference: over the program's rows, and over shaken ones.
typedef struct {
    Reference *reference;
    float *before, *middle, *after; // of the layer at hand: [n_tokens, d_model]
    size_t n_middle;                // rows of `middle` so far
    size_t width;
} Pass;

enum { EXACT, SHAKEN, N_PASSES };

typedef struct {
    Proof *p;
    Arena *arena;
    const ChainShard *shard;
    const Contract *contract; // with constants as a package can hold them
    Watched found;
    const float *entering; // the shard: [n_tokens, d_model]
    size_t n_tokens;
    PackedWeights *weights;
    LayerJudgement *layers;        // [layers of the shard]
    double *eps_slack[N_BRANCHES]; // [n_tokens], of the layer at hand: what a row may be off by eps
    Pass passes[N_PASSES];
} ShardJudge;

static BranchError *branch_at(const ShardJudge *j, uint32_t layer, int branch) {
    return &j->layers[layer - j->shard->first_layer].branches[branch];
}

// The rows that the program has before a branch of `layer`.
static const float *rows_before(const ShardJudge *j, uint32_t layer, int branch) {
    if (branch == FEED_FORWARD) return watched_rows(&j->found, layer, LANDMARK_post_attn_residual);
    if (layer == j->shard->first_layer) return j->entering;
    return watched_rows(&j->found, layer - 1, LANDMARK_stream);
}

// The bias of the branch's norm [d_model]; zeros without one.
static float *norm_bias(const ShardJudge *j, uint32_t layer, int branch) {
    size_t width = j->contract->d_model;
    float *bias = arena_array(j->arena, width, float);
    if (contract_layer(j->contract, layer)->has_norm_bias)
        packed_weight_row(j->weights, branches[branch].bias, layer, 0, bias, width);
    return bias;
}

// The norm's rows against w · x / sqrt(mean(x²) + eps) of the program's own rows before it. A branch
// without a norm of its input is judged by what it adds alone.
static void judge_norm(ShardJudge *j, uint32_t layer, int branch) {
    const Contract *c = j->contract;
    if (!watched_rows(&j->found, layer, branches[branch].normed)) {
        branch_at(j, layer, branch)->gain = 1;
        memset(j->eps_slack[branch], 0, j->n_tokens * sizeof(double));
        return;
    }
    const float *bias = norm_bias(j, layer, branch);
    size_t width = c->d_model, n = j->n_tokens;
    BranchError *e = branch_at(j, layer, branch);
    const float *x = rows_before(j, layer, branch);
    const float *y = watched_rows(&j->found, layer, branches[branch].normed);
    float *weight = arena_array(j->arena, width, float);
    double *expected = arena_array(j->arena, n * width, double), dot = 0, squares = 0;
    double *slack = j->eps_slack[branch], most_slack = 0;
    packed_weight_row(j->weights, branches[branch].norm, layer, 0, weight, width);
    for (size_t t = 0; t < n; t++) {
        double *z = expected + t * width;
        double mean = norm_row(c, weight, x + t * width, z);
        slack[t] = eps_error(mean, (double)c->norm_eps);
        most_slack = fmax(most_slack, slack[t]);
        for (size_t i = 0; i < width; i++) {
            dot += z[i] * ((double)y[t * width + i] - (double)bias[i]);
            squares += z[i] * z[i];
        }
    }
    e->gain = squares > 0 ? dot / squares : 1;
    e->gain_off = fabs(e->gain - 1) / (HALF_UNIT + most_slack + sum_error(width));
    for (size_t t = 0; t < n; t++) {
        double off = 0, all = 0;
        for (size_t i = t * width; i < (t + 1) * width; i++) {
            double d = (double)y[i] - (double)bias[i - t * width] - e->gain * expected[i];
            off += d * d;
            all += expected[i] * expected[i];
        }
        // What the gain took over from other rows' slack is this one's, too.
        double allowed = sum_error(width) + slack[t] + most_slack;
        take_worse(&e->norm_off, off == 0 ? 0 : sqrt(off / all) / allowed);
    }
}

// The package's weights with its norms' gains.
static bool weight_row_with_gain(void *context, WeightRole role, uint32_t layer, size_t row,
                                 float *out, size_t n) {
    const ShardJudge *j = context;
    if (!packed_weight_row(j->weights, role, layer, row, out, n)) return false;
    for (int b = 0; b < N_BRANCHES; b++) {
        if (role != branches[b].norm) continue;
        double gain = branch_at(j, layer, b)->gain, offset = (double)j->contract->norm_offset;
        for (size_t i = 0; i < n; i++) out[i] = (float)(gain * ((double)out[i] + offset) - offset);
    }
    return true;
}

static void see_middle(void *context, TapPlace place, uint32_t layer, const float *rows,
                       size_t width, size_t n) {
    Pass *pass = context;
    (void)layer;
    if (place != TAP_POST_ATTN_RESIDUAL) return;
    memcpy(pass->middle + pass->n_middle * width, rows, n * width * sizeof *rows);
    pass->n_middle += n;
}

static bool run_pass(Pass *pass, uint32_t layer, size_t n_tokens, Err *err) {
    memcpy(pass->after, pass->before, n_tokens * pass->width * sizeof *pass->before);
    pass->n_middle = 0;
    return reference_run_layers(pass->reference, layer, layer + 1, pass->after, n_tokens, err);
}

// What a branch added to a row, three times: in the program, in the reference, and there on shaken
// rows. Both ends of it.
typedef struct {
    const float *before[3], *after[3];
} Added;
enum { FOUND = N_PASSES };

typedef struct {
    double off, shaken_off, added; // lengths: of the error, of what shaking did, of the row itself
} RowError;

static RowError row_error(const Added *a, size_t row, size_t width) {
    double off = 0, shaken_off = 0, added = 0, length = 0;
    for (size_t i = row * width; i < (row + 1) * width; i++) {
        double expected = (double)a->after[EXACT][i] - (double)a->before[EXACT][i];
        double shaken = (double)a->after[SHAKEN][i] - (double)a->before[SHAKEN][i];
        double found = (double)a->after[FOUND][i] - (double)a->before[FOUND][i];
        off += (found - expected) * (found - expected);
        shaken_off += (shaken - expected) * (shaken - expected);
        added += expected * expected;
        length += (double)a->after[EXACT][i] * (double)a->after[EXACT][i];
    }
    double beyond = sqrt(off) - ADD_ROUNDING * sqrt(length);
    return (RowError){beyond <= 0 ? 0 : beyond, sqrt(shaken_off), sqrt(added)};
}

static void judge_branch(ShardJudge *j, uint32_t layer, int branch, const Added *a) {
    size_t width = j->contract->d_model, n = j->n_tokens;
    double sums = sum_error(longest_sum(j->contract, n)), shaken = 0, added = 0;
    BranchError *e = branch_at(j, layer, branch);
    RowError *rows = arena_array(j->arena, n, RowError);
    for (size_t t = 0; t < n; t++) {
        rows[t] = row_error(a, t, width);
        shaken += rows[t].shaken_off * rows[t].shaken_off;
        added += rows[t].added * rows[t].added;
    }
    e->sensitivity = added > 0 ? sqrt(shaken / added) / SHAKE : 0;
    for (size_t t = 0; t < n; t++) {
        // A row that the shaking happened to leave alone is as sensitive as the others.
        double own = rows[t].shaken_off / SHAKE;
        double grown = fmax(fmax(1, e->sensitivity) * rows[t].added, own);
        double share =
            rows[t].off == 0 ? 0 : rows[t].off / (grown * (sums + j->eps_slack[branch][t]));
        if (share <= e->off || isnan(e->off)) continue;
        e->off = share;
        e->off_by = rows[t].off / rows[t].added;
    }
}

static bool judge_layer(ShardJudge *j, uint32_t layer, Err *err) {
    size_t width = j->contract->d_model, n = j->n_tokens;
    const float *before = rows_before(j, layer, ATTENTION);
    const float *middle = watched_rows(&j->found, layer, LANDMARK_post_attn_residual);
    const float *after = watched_rows(&j->found, layer, LANDMARK_stream);
    Pass *exact = &j->passes[EXACT], *shaken = &j->passes[SHAKEN];
    for (int b = 0; b < N_BRANCHES; b++) judge_norm(j, layer, b);
    memcpy(exact->before, before, n * width * sizeof *before);
    shake_rows(shaken->before, before, n * width);
    if (!run_pass(exact, layer, n, err) || !run_pass(shaken, layer, n, err)) return false;
    Added attention = {{exact->before, shaken->before, before},
                       {exact->middle, shaken->middle, middle}};
    Added feed_forward = {{exact->middle, shaken->middle, middle},
                          {exact->after, shaken->after, after}};
    judge_branch(j, layer, ATTENTION, &attention);
    judge_branch(j, layer, FEED_FORWARD, &feed_forward);
    j->layers[layer - j->shard->first_layer].stream = layer_error(after, exact->after, n, width);
    return true;
}

// The largest share of what is allowed.
static double share_of(const LayerJudgement *e) {
    double worst = e->stream.m.has_bad ? (double)NAN : e->stream.group.off / MOST_GROUP_OFF;
    for (int b = 0; b < N_BRANCHES; b++) {
        take_worse(&worst, e->branches[b].gain_off);
        take_worse(&worst, e->branches[b].norm_off);
        take_worse(&worst, e->branches[b].off);
    }
    return worst;
}

// The layer to show: the first that fails, since those after it may read what it wrote; where none
// does, the one that uses most of what is allowed.
static uint32_t layer_to_show(const ShardJudge *j, uint32_t n_layers) {
    uint32_t worst = 0;
    for (uint32_t i = 0; i < n_layers; i++) {
        double share = share_of(&j->layers[i]);
        if (!(share <= 1)) return i;
        if (share > share_of(&j->layers[worst])) worst = i;
    }
    return worst;
}

// One line a shard. Every layer has to pass.
static bool report_shard(const ShardJudge *j) {
    const ChainShard *s = j->shard;
    uint32_t n = s->end_layer - s->first_layer, worst = layer_to_show(j, n);
    double share = share_of(&j->layers[worst]);
    for (uint32_t i = 0; i < n; i++)
        layer_error_record(j->p, "graph_errors", "graph_fp32", &j->layers[i].stream);
    const LayerJudgement *e = &j->layers[worst];
    bool has_passed = share <= 1;
    json_t *figures = layer_error_figures(&e->stream, s->first_layer + worst);
    json_object_set_new(figures, "most_off", json_real(MOST_GROUP_OFF));
    json_object_set_new(figures, "share_of_bound", json_of_real(share));
    for (int b = 0; b < N_BRANCHES; b++) {
        const BranchError *branch = &e->branches[b];
        json_object_set_new(
            figures, branches[b].name,
            json_pack("{s:o, s:o, s:o, s:o, s:o}", "off", json_of_real(branch->off_by),
                      "share_of_bound", json_of_real(branch->off), "sensitivity",
                      json_of_real(branch->sensitivity), "norm_gain", json_of_real(branch->gain),
                      "norm_share_of_bound", json_of_real(branch->norm_off)));
    }
    char scope[48];
    snprintf(scope, sizeof scope, "layers %02u..%02u", s->first_layer, s->end_layer - 1);
    proof_result(j->p, "graph", has_passed, figures, scope,
                 "cos=%.7f rmse=%.3g max_abs=%.3g%s at layer %02u, attention off by %.2g, "
                 "feed-forward by %.2g: %.2g of the bound",
                 metrics_cos(&e->stream.m), metrics_rmse(&e->stream.m), e->stream.m.max_abs,
                 e->stream.m.has_bad ? " NOT FINITE" : "", s->first_layer + worst,
                 e->branches[ATTENTION].off_by, e->branches[FEED_FORWARD].off_by, share);
    return has_passed;
}

static F32List rounded_list(F32List list, Arena *arena) {
    float *items = arena_array(arena, list.count, float);
    for (size_t i = 0; i < list.count; i++) items[i] = round_to_half(list.at[i]);
    return (F32List){items, list.count};
}

// The contract with its constants as a package can hold them.
static Contract rounded_contract(const Contract *c, Arena *arena) {
    Contract out = *c;
    F32List *lists[] = {&out.xielu_alpha_p, &out.xielu_alpha_n, &out.xielu_beta};
    for (size_t i = 0; i < COUNT_OF(lists); i++) *lists[i] = rounded_list(*lists[i], arena);
    out.attn_scale = round_to_half(c->attn_scale);
    out.attn_softcap = round_to_half(c->attn_softcap);
    out.residual_scale = round_to_half(c->residual_scale);
    return out;
}

static bool open_passes(ShardJudge *j, Err *err) {
    size_t width = j->contract->d_model, floats = j->n_tokens * width;
    bool ok = true;
    for (int i = 0; ok && i < N_PASSES; i++) {
        Pass *pass = &j->passes[i];
        *pass = (Pass){.before = arena_array(j->arena, floats, float),
                       .middle = arena_array(j->arena, floats, float),
                       .after = arena_array(j->arena, floats, float),
                       .width = width};
        ReferenceOptions options = {.rope_factors = j->p->use.rope_factors,
                                    .n_positions = (uint32_t)j->n_tokens,
                                    .weights = weight_row_with_gain,
                                    .weights_context = j,
                                    .tap = see_middle,
                                    .tap_context = pass};
        pass->reference = reference_open(&j->p->model, j->contract, &options, j->p->job->pool, err);
        ok = pass->reference != NULL;
    }
    return ok;
}

static bool judge_shard(Proof *p, Arena *arena, Shards *shards, size_t i, const float *rows,
                        size_t n, Err *err) {
    enum {
        PLACES = WATCH_PLACE(attn_normed) | WATCH_PLACE(post_attn_residual) |
                 WATCH_PLACE(ffn_normed) | WATCH_PLACE(stream)
    };
    const ChainShard *s = &p->bundle.chain.shards[i];
    Contract contract = rounded_contract(&p->model.contract, arena);
    ShardJudge j = {.p = p,
                    .arena = arena,
                    .shard = s,
                    .contract = &contract,
                    .entering = rows,
                    .n_tokens = n,
                    .weights = packed_weights_open(p, err),
                    .layers = arena_array(arena, s->end_layer - s->first_layer, LayerJudgement)};
    for (int b = 0; b < N_BRANCHES; b++) j.eps_slack[b] = arena_array(arena, n, double);
    bool ok = j.weights && watch_engine(&j.found, arena, p, shards, i, PLACES, rows, n, err) &&
              open_passes(&j, err);
    for (uint32_t layer = s->first_layer; ok && layer < s->end_layer; layer++) {
        ok = judge_layer(&j, layer, err);
        progress_report(p->job->progress, "graph: layers", layer + 1, p->model.contract.n_layers);
    }
    for (int k = 0; k < N_PASSES; k++) reference_close(j.passes[k].reference);
    if (!ok) return false;
    bool has_passed = report_shard(&j);
    return has_passed || !p->job->blames || blame_shard(p, "graph", i, rows, n, err);
}

static bool judge_layers(Proof *p, const Trace *trace, Err *err) {
    Shards shards;
    if (!proof_open_shards(p, &shards, ARITHMETIC_FP32, err)) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < p->bundle.chain.n_shards; i++) {
        const ChainShard *s = &p->bundle.chain.shards[i];
        if (s->end_layer == s->first_layer) continue;
        Arena arena = {0}; // of one shard's rows
        ok = judge_shard(p, &arena, &shards, i, trace->rows[i], trace->n_tokens, err);
        arena_free(&arena);
    }
    shards_close(&shards);
    return ok;
}

bool gate_graph(Proof *p, Err *err) {
    uint32_t *ids;
    size_t n;
    Trace trace;
    return proof_tokens(p, LAYER_TOKENS, &ids, &n, err) &&
           trace_run(p, &trace, ids, n, false, err) && judge_layers(p, &trace, err) &&
           check_norm_eps(p, err) && check_head_graph(p, &trace, err);
}
