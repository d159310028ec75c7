// shard.c — the functions of one package.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "compile/graph.h"

static MilType activation(int64_t channels, int64_t rows) {
    return MIL_TENSOR(MIL_F16, 1, channels, 1, rows);
}

static void enter_layer(Graph *g, uint32_t layer) {
    const LayerScaling *condition = &g->plan->layers[layer];
    bool is_stored = weight_form_scales_rows(g->plan->options.weights);
    g->layer = layer;
    snprintf(g->prefix, sizeof g->prefix, "layer_%02u_", layer);
    g->builder.scope = arena_printf(g->arena, "layer %u", layer);
    g->v_factor = is_stored ? 1.0f : ldexpf(1.0f, -condition->v);
    g->up_factor = is_stored && graph_kind(g)->is_gated ? 1.0f : ldexpf(1.0f, -condition->up);
}

// What a branch is multiplied by on its way into the stream, beyond what its weights hold.
static float branch_factor(const Graph *g, int folded) {
    return ldexpf(g->contract->residual_scale, folded - g->residual_exp2);
}

// Queries, keys and values in one projection. What divides values is in their weights or follows the
// projection (attention.c).
static ValueId build_qkv(Graph *g, ValueId normed, const PackedTensor *t,
                         const LayerScaling *condition) {
    const Contract *c = g->contract;
    uint32_t q = c->n_heads * c->head_dim, k = c->n_kv_heads * c->head_dim;
    ValueId qkv = graph_project(g, "qkv_y", normed, &t[PACKED_QKV], &t[PACKED_QKV_BIAS]);
    graph_mark(g, LANDMARK_q, qkv, 0, 1);
    graph_mark(g, LANDMARK_k, qkv, q, 1);
    graph_mark(g, LANDMARK_v, qkv, q + k, ldexpf(g->v_factor, condition->v));
    return qkv;
}

static ValueId build_gated(Graph *g, ValueId normed, const PackedTensor *t,
                           const LayerScaling *condition) {
    const Contract *c = g->contract;
    const PackedTensor *matrix = &t[PACKED_GATE_UP], *bias = &t[PACKED_GATE_UP_BIAS];
    float up_held = ldexpf(g->up_factor, condition->up);
    ValueId gate, up;
    if (!graph_kind(g)->is_gated) {
        up = graph_project(g, "gate_up_y", normed, matrix, bias);
        graph_mark(g, LANDMARK_up, up, 0, 1);
        return graph_activate(g, up);
    }
    if (matrix->n_pieces == 1) {
        ValueId both = graph_project(g, "gate_up_y", normed, matrix, bias);
        graph_mark(g, LANDMARK_gate, both, 0, 1);
        graph_mark(g, LANDMARK_up, both, c->d_ff, up_held);
        gate = graph_channels(g, "gate", both, 0, c->d_ff);
        up = graph_channels(g, "up", both, c->d_ff, 2 * c->d_ff);
    } else {
        gate = graph_project_rows(g, "gate", normed, matrix, 0, c->d_ff);
        up = graph_project_rows(g, "up", normed, matrix, c->d_ff, 2 * c->d_ff);
        gate = graph_add_rows(g, "gate_biased", gate, bias, 0, c->d_ff);
        up = graph_add_rows(g, "up_biased", up, bias, c->d_ff, 2 * c->d_ff);
        graph_mark(g, LANDMARK_gate, gate, 0, 1);
        graph_mark(g, LANDMARK_up, up, 0, up_held);
    }
    ValueId scaled = graph_scale(g, "up_divided", up, g->up_factor);
    return build_binary(&g->builder, graph_name(g, "gated"), MIL_OP_mul, graph_activate(g, gate),
                        scaled);
}

// What a branch adds to the stream: itself, or what its norm makes of it, whose weights have the
// stream's factor in them.
static ValueId leave_branch(Graph *g, const char *name, ValueId branch, int folded,
                            const PackedTensor *post_norm, LandmarkPlace normed) {
    const char *scaled = arena_printf(g->arena, "%s_residual", name).at;
    if (!has_post_norms(graph_kind(g)))
        return graph_scale(g, scaled, branch, branch_factor(g, folded));
    ValueId y = graph_inner_norm(g, arena_printf(g->arena, "%s_post_norm", name).at, branch, 1,
                                 folded, graph_vector(g, post_norm));
    graph_mark(g, normed, y, 0, ldexpf(1, g->residual_exp2));
    return graph_scale(g, scaled, y, g->contract->residual_scale);
}

// x + A(x): gives what feed-forward reads of a layer in parallel, too.
static ValueId build_attention(Graph *g, ValueId x, const PackedTensor *t,
                               const LayerScaling *condition, uint32_t in_shard, ValueId *normed) {
    *normed = x;
    if (has_attn_norm(graph_kind(g))) {
        *normed = graph_norm(g, "attn_norm", x, &t[PACKED_ATTN_NORM], &t[PACKED_ATTN_NORM_BIAS]);
        graph_mark(g, LANDMARK_attn_normed, *normed, 0, 1);
    }
    ValueId heads = graph_attention(g, build_qkv(g, *normed, t, condition), t, in_shard);
    graph_mark(g, LANDMARK_attn_context, heads, 0, ldexpf(1, condition->v));
    ValueId attended =
        graph_project(g, "attn_out_y", heads, &t[PACKED_ATTN_OUT], &t[PACKED_ATTN_OUT_BIAS]);
    graph_mark(g, LANDMARK_attn_out, attended, 0, ldexpf(1, condition->attn));
    ValueId add = leave_branch(g, "attn", attended, condition->attn, &t[PACKED_ATTN_POST_NORM],
                               LANDMARK_attn_out_normed);
    ValueId middle = build_binary(&g->builder, graph_name(g, "middle"), MIL_OP_add, x, add);
    graph_mark(g, LANDMARK_post_attn_residual, middle, 0, ldexpf(1, g->residual_exp2));
    return middle;
}

// One decoder block; the last one of a shard names its result `hidden`.
static ValueId build_layer(Graph *g, ValueId x, const PackedTensor *t,
                           const LayerScaling *condition, uint32_t in_shard, bool is_last) {
    ValueId normed, middle = build_attention(g, x, t, condition, in_shard, &normed);
    ValueId inner = graph_kind(g)->norm_placement == NORM_PARALLEL ? normed : middle;
    if (has_ffn_norm(graph_kind(g))) {
        inner = graph_norm(g, "ffn_norm", middle, &t[PACKED_FFN_NORM], &t[PACKED_FFN_NORM_BIAS]);
        graph_mark(g, LANDMARK_ffn_normed, inner, 0, 1);
    }
    ValueId gated = build_gated(g, inner, t, condition);
    graph_mark(g, LANDMARK_gated, gated, 0, ldexpf(1, condition->up));
    ValueId down = graph_project(g, "down_y", gated, &t[PACKED_DOWN], &t[PACKED_DOWN_BIAS]);
    graph_mark(g, LANDMARK_ffn_out, down, 0, ldexpf(1, condition->ffn));
    ValueId add = leave_branch(g, "ffn", down, condition->ffn, &t[PACKED_FFN_POST_NORM],
                               LANDMARK_ffn_out_normed);
    ValueId out = build_binary(&g->builder, is_last ? OUTPUT_HIDDEN : graph_name(g, "out"),
                               MIL_OP_add, middle, add);
    graph_mark(g, LANDMARK_stream, out, 0, ldexpf(1, g->residual_exp2));
    return out;
}

// The mask for stacked heads: the same T rows for each of the G query heads of a kv head.
static ValueId stack_mask(Graph *g, ValueId mask, uint32_t kind) {
    uint32_t group = g->contract->n_heads / g->contract->n_kv_heads;
    if (group == 1) return mask;
    ValueId *copies = arena_array(g->arena, group, ValueId);
    for (uint32_t i = 0; i < group; i++) copies[i] = mask;
    const char *name = port_of_kind(g->arena, "mask_stacked", kind);
    return build_concat(&g->builder, name, copies, group, 2);
}

// Which rows of the states stay: those that no column of the write mask names.
static ValueId kept_rows(Graph *g, bool is_ring) {
    Builder *b = &g->builder;
    ValueId written = g->write_mask[is_ring];
    if (g->n_rows > 1)
        written = build_reduce(b, is_ring ? "written_ring" : "written", MIL_OP_reduce_sum, written,
                               3, true);
    ValueId one = build_const_f16(b, is_ring ? "one_ring" : "one", 1.0f);
    return build_binary(b, is_ring ? "keep_ring" : "keep", MIL_OP_sub, one, written);
}

// Whether some of the layers keep the whole context, or a ring.
static bool has_cache(const Graph *g, uint32_t first_layer, uint32_t n_layers, bool is_ring) {
    for (uint32_t i = 0; i < n_layers; i++)
        if (plan_has_ring(g->plan, contract_layer(g->contract, first_layer + i)) == is_ring)
            return true;
    return false;
}

static bool has_kind(const Contract *c, uint32_t first_layer, uint32_t n_layers, uint32_t kind) {
    for (uint32_t i = 0; i < n_layers; i++)
        if (contract_kind_of(c, first_layer + i) == kind) return true;
    return false;
}

// What the host computes for layers of one kind: rotary tables and which slots they see.
static void declare_tables(Graph *g, uint32_t kind) {
    int64_t T = g->n_rows, half = g->contract->kinds[kind].rope_dim / 2;
    MilType rotary = MIL_TENSOR(MIL_F16, 1, 1, half, T);
    MilType mask = MIL_TENSOR(MIL_F16, 1, 1, T, graph_n_keys(g, &g->contract->kinds[kind]));
    Builder *b = &g->builder;
    if (half) {
        g->cos[kind] = build_input(b, port_of_kind(g->arena, INPUT_COS, kind), rotary);
        g->sin[kind] = build_input(b, port_of_kind(g->arena, INPUT_SIN, kind), rotary);
    }
    g->mask[kind] = build_input(b, port_of_kind(g->arena, INPUT_MASK, kind), mask);
}

static void declare_inputs(Graph *g, uint32_t first_layer, uint32_t n_layers, ValueId *x) {
    Builder *b = &g->builder;
    const Contract *c = g->contract;
    int64_t T = g->n_rows;
    const int64_t rows[2] = {g->plan->state_rows, g->plan->ring_rows};
    static const char *const write_masks[2] = {INPUT_WRITE_MASK, INPUT_WRITE_RING};
    bool has_mask = g->plan->options.kv == KV_OVERWRITE;
    uint32_t n_kinds = contract_n_kinds(c);
    *x = build_input(b, INPUT_X, activation(c->d_model, T));
    for (uint32_t kind = 0; kind < n_kinds; kind++)
        if (has_kind(c, first_layer, n_layers, kind)) declare_tables(g, kind);
    for (int i = 0; i < 2 && has_mask; i++)
        if (has_cache(g, first_layer, n_layers, i == 1))
            g->write_mask[i] =
                build_input(b, write_masks[i], MIL_TENSOR(MIL_F16, 1, 1, rows[i], T));
    graph_declare_caches(g, first_layer, n_layers);
    for (uint32_t kind = 0; kind < n_kinds; kind++)
        if (has_kind(c, first_layer, n_layers, kind))
            g->mask[kind] = stack_mask(g, g->mask[kind], kind);
    for (int i = 0; i < 2 && has_mask; i++)
        if (has_cache(g, first_layer, n_layers, i == 1)) g->keep[i] = kept_rows(g, i == 1);
}

static bool build_layers(CompiledShard *shard, const Model *model, const ShardPlan *plan,
                         const char *function, uint32_t n_rows, Arena *arena, Err *err) {
    uint32_t n_layers = shard->range.end_layer - shard->range.first_layer;
    Graph g = {.builder = builder_begin(shard->program, function, err),
               .contract = &model->contract,
               .plan = plan,
               .arena = arena,
               .n_rows = n_rows,
               .residual_exp2 = shard->range.residual_exp2,
               .marks = shard->n_landmarks ? NULL : shard};
    g.builder.scope = str_of(function);
    ValueId x;
    declare_inputs(&g, shard->range.first_layer, n_layers, &x);
    for (uint32_t i = 0; i < n_layers; i++) {
        uint32_t layer = shard->range.first_layer + i;
        enter_layer(&g, layer);
        x = build_layer(&g, x, shard->tensors + (size_t)i * PACKED_PER_LAYER, &plan->layers[layer],
                        i, i + 1 == n_layers);
    }
    build_output(&g.builder, x);
    for (uint32_t i = 0; g.new_rows && i < 2 * n_layers; i++)
        build_output(&g.builder, g.new_rows[i]);
    return builder_ok(&g.builder);
}

static bool build_head(const CompiledShard *shard, const Model *model, const ShardPlan *plan,
                       const PackedTensor *t, const char *function, Arena *arena, Err *err) {
    const Contract *c = &model->contract;
    Graph g = {.builder = builder_begin(shard->program, function, err),
               .contract = c,
               .plan = plan,
               .arena = arena,
               .n_rows = 1,
               .residual_exp2 = shard->range.residual_exp2};
    g.builder.scope = STR("head");
    ValueId x = build_input(&g.builder, INPUT_X, activation(c->d_model, 1));
    ValueId normed = graph_norm(&g, "output_norm", x, &t[0], &t[1]);
    size_t n_slices = (shard->n_tensors - (size_t)(t - shard->tensors)) / 2 - 1;
    for (size_t i = 0; i < n_slices; i++) {
        const char *name = arena_printf(arena, OUTPUT_LOGITS "%zu", i).at;
        bool is_plain = c->logit_scale == 1.0f && c->final_softcap == 0;
        const char *raw = is_plain ? name : arena_printf(arena, "raw_%zu", i).at;
        ValueId logits = graph_project(&g, raw, normed, &t[2 + 2 * i], &t[3 + 2 * i]);
        if (!is_plain && c->final_softcap == 0)
            logits = graph_scale(&g, name, logits, c->logit_scale);
        if (c->final_softcap > 0) {
            const char *inner = arena_printf(arena, "cap_inner_%zu", i).at;
            const char *curve = arena_printf(arena, "cap_tanh_%zu", i).at;
            ValueId scaled = graph_scale(&g, inner, logits, c->logit_scale / c->final_softcap);
            ValueId curved = build_unary(&g.builder, curve, MIL_OP_tanh, scaled);
            logits = graph_scale(&g, name, curved, c->final_softcap);
        }
        build_output(&g.builder, logits);
    }
    return builder_ok(&g.builder);
}

// Whether the next piece, of `n_bytes` behind `done` of `total`, begins a weight file.
static bool begins_file(const BlobPlan *blobs, const CompileOptions *o, uint64_t n_bytes,
                        uint64_t done, uint64_t total) {
    uint64_t limit = plan_file_limit(o);
    bool is_share_full = o->weight_files && done >= (blobs->file + 1) * total / o->weight_files;
    return is_share_full || (limit && blobs->n_bytes + BLOB_ALIGN + n_bytes > limit);
}

// In the order of the tensors; a piece and its scales stay together.
static bool place_pieces(CompiledShard *shard, const CompileOptions *o, Arena *arena, Err *err) {
    uint64_t total = 0, done = 0;
    for (size_t i = 0; i < shard->n_tensors; i++) total += packed_bytes(&shard->tensors[i]);
    for (size_t i = 0; i < shard->n_tensors; i++) {
        PackedTensor *t = &shard->tensors[i];
        for (size_t k = 0; k < t->n_pieces; k++) {
            uint64_t n_bytes = packed_piece_bytes(t, &t->pieces[k]);
            if (begins_file(&shard->blobs, o, n_bytes, done, total))
                blob_plan_next_file(&shard->blobs);
            packed_place(t, &t->pieces[k], &shard->blobs, arena);
            done += n_bytes;
        }
    }
    uint32_t n_files = blob_plan_files(&shard->blobs);
    return n_files <= BLOB_MAX_FILES ||
           err_set(err, ERR_FORMAT,
                   "a package of %" PRIu64
                   " bytes of weights would take %u weight files, and %d is "
                   "the most; use --layers-per-shard to make packages smaller",
                   total, n_files, BLOB_MAX_FILES);
}

static bool place_tensors(CompiledShard *shard, const Model *model, const ShardPlan *plan,
                          Arena *arena, Err *err) {
    const ShardRange *r = &shard->range;
    PackFormat form = plan->options.weights;
    size_t n_layers = r->end_layer - r->first_layer;
    size_t rows = plan->slice_rows, n_slices = (r->end_logit - r->first_logit + rows - 1) / rows;
    shard->n_tensors = n_layers * PACKED_PER_LAYER + 2 * (n_slices ? n_slices + 1 : 0);
    shard->tensors = arena_array(arena, shard->n_tensors, PackedTensor);
    PackedTensor *t = shard->tensors;
    for (uint32_t l = r->first_layer; l < r->end_layer; l++, t += PACKED_PER_LAYER)
        packed_layer(t, model, &plan->options, l, &plan->layers[l], arena);
    if (n_slices) {
        *t++ = packed_output_norm(model, &plan->options);
        *t++ = packed_output_norm_bias(model);
    }
    for (uint32_t first = r->first_logit; first < r->end_logit; first += (uint32_t)rows) {
        uint32_t end = (uint32_t)min_size(r->end_logit, first + rows);
        *t++ = packed_head(model, form, first, end, arena);
        *t++ = packed_head_bias(model, first, end, arena);
    }
    return place_pieces(shard, &plan->options, arena, err);
}

static bool refuse_unbuilt(const Contract *c, const ShardPlan *plan, Err *err) {
    if (plan->options.kv == KV_SLICE && c->head_dim != c->head_dim_v)
        return err_set(err, ERR_FORMAT,
                       "head_dim %u and head_dim_v %u differ: one packed state cannot hold both; "
                       "use --kv overwrite",
                       c->head_dim, c->head_dim_v);
    if (plan->options.norm == NORM_L2 && c->norm == NORM_LAYER)
        return err_set(err, ERR_FORMAT,
                       "--norm l2: the model has LayerNorm, which subtracts a row's mean first; "
                       "use --norm max");
    return true;
}

bool compile_shard(CompiledShard *shard, const Model *model, const ShardPlan *plan,
                   const ShardRange *range, Arena *arena, Err *err) {
    *shard = (CompiledShard){.range = *range, .kv = plan->options.kv};
    if (!refuse_unbuilt(&model->contract, plan, err)) return false;
    enum { SPEC_VERSION = 9 }; // CoreML8: macOS 15 and later, the first with states
    shard->program = mil_program_new(arena, SPEC_VERSION);
    if (!place_tensors(shard, model, plan, arena, err)) return false;
    shard->landmarks = arena_array(
        arena, (size_t)(range->end_layer - range->first_layer) * LANDMARK_COUNT, Landmark);

    bool has_layers = range->end_layer > range->first_layer;
    bool has_head = range->end_logit > range->first_logit;
    bool is_one = plan->options.is_one_function;
    uint32_t prefill = is_one ? 0 : plan->options.prefill_rows;
    uint32_t decode = is_one ? plan->options.prefill_rows : 1;
    // A package with one function has to call it main.
    bool is_single = has_layers + (has_layers && prefill) + has_head == 1;
    const char *only = is_single ? "main" : NULL;
    if (has_layers &&
        !build_layers(shard, model, plan, only ? only : FUNCTION_DECODE, decode, arena, err))
        return false;
    if (has_layers && prefill &&
        !build_layers(shard, model, plan, FUNCTION_PREFILL, prefill, arena, err))
        return false;
    const PackedTensor *norm =
        shard->tensors + (size_t)(range->end_layer - range->first_layer) * PACKED_PER_LAYER;
    if (has_head && !build_head(shard, model, plan, norm, only ? only : FUNCTION_HEAD, arena, err))
        return false;
    if (!is_single)
        shard->program->default_function = has_layers ? STR(FUNCTION_DECODE) : STR(FUNCTION_HEAD);
    return mil_validate(shard->program, "compiled shard", err);
}
