// attention.c — rotary embedding, KV states and scores of one layer.
//
// Query heads that share a key/value head are stacked along the rows of one batched matmul, [1, kv
// heads, G · T, head_dim] × [1, kv heads, head_dim, S], instead of one product per head: that form
// took 80 of the 149 ops of a layer in an earlier port.
#include "base/size.h"
#include "compile/graph.h"

// On macOS 27, M2, a matmul whose rows × keys of one head reach 2^20 came out wrong; 1023² was
// right, 1024² was not, and axes of 510 to 512 were wrong too, 500 and 513 right (eeANE 2.1.0,
// PyPI, `attention_split.py`, `embedding_gemma2.py`). Rows of stacked heads are counted together.
enum { MAX_SCORES = 1 << 20, WRONG_AXIS_FIRST = 501, WRONG_AXIS_LAST = 512 };

static ValueId slice4(Graph *g, const char *what, ValueId x, int axis, int32_t begin, int32_t end) {
    int32_t begins[4] = {0}, ends[4];
    if (!builder_ok(&g->builder)) return MIL_NO_VALUE;
    const MilType *type = &mil_value(g->builder.f, x)->type;
    for (int i = 0; i < 4; i++) ends[i] = (int32_t)type->dims[i];
    if (begin == 0 && end == ends[axis]) return x;
    begins[axis] = begin;
    ends[axis] = end;
    return build_slice(&g->builder, graph_name(g, what), x, begins, ends, 4);
}

// x itself where it has that shape.
static ValueId reshape4(Graph *g, const char *what, ValueId x, uint32_t a, uint32_t b, uint32_t c) {
    int32_t shape[4] = {1, (int32_t)a, (int32_t)b, (int32_t)c};
    if (!builder_ok(&g->builder)) return MIL_NO_VALUE;
    const MilType *type = &mil_value(g->builder.f, x)->type;
    bool is_same = type->rank == 4;
    for (int i = 0; i < 4; i++) is_same = is_same && type->dims[i] == shape[i];
    if (is_same) return x;
    return build_reshape(&g->builder, graph_name(g, what), x, shape, 4);
}

static ValueId swap_last(Graph *g, const char *what, ValueId x) {
    static const int32_t perm[4] = {0, 1, 3, 2};
    return build_transpose(&g->builder, graph_name(g, what), x, perm, 4);
}

// Turns the first rope_dim dims of each head, dim i with dim i + rope_dim / 2; the rest pass
// through. x: [1, heads, head_dim, T]. cos and sin come from the host: no trigonometry, no gather.
static ValueId rotate(Graph *g, ValueId x) {
    Builder *b = &g->builder;
    const Contract *c = g->contract;
    uint32_t kind = contract_kind_of(c, g->layer);
    if (c->kinds[kind].rope_dim == 0) return x;
    int32_t dim = (int32_t)c->kinds[kind].rope_dim, half = dim / 2;
    ValueId low = slice4(g, "rope_low", x, 2, 0, half);
    ValueId high = slice4(g, "rope_high", x, 2, half, dim);
    ValueId low_cos = build_binary(b, graph_name(g, "rope_low_cos"), MIL_OP_mul, low, g->cos[kind]);
    ValueId high_sin =
        build_binary(b, graph_name(g, "rope_high_sin"), MIL_OP_mul, high, g->sin[kind]);
    ValueId high_cos =
        build_binary(b, graph_name(g, "rope_high_cos"), MIL_OP_mul, high, g->cos[kind]);
    ValueId low_sin = build_binary(b, graph_name(g, "rope_low_sin"), MIL_OP_mul, low, g->sin[kind]);
    ValueId parts[3] = {
        build_binary(b, graph_name(g, "rope_first"), MIL_OP_sub, low_cos, high_sin),
        build_binary(b, graph_name(g, "rope_second"), MIL_OP_add, high_cos, low_sin),
    };
    size_t n_parts = 2;
    if (dim < (int32_t)c->head_dim)
        parts[n_parts++] = slice4(g, "rope_rest", x, 2, dim, (int32_t)c->head_dim);
    return build_concat(b, graph_name(g, "rope"), parts, n_parts, 2);
}

// The host hands the index vectors of a layer in whole: made in the graph, of a position and constants,
// they were two ops a layer that no engine but the CPU has.
static void declare_indices(Graph *g, uint32_t layer) {
    MilType vector = MIL_TENSOR(MIL_I32, 4);
    g->kv_begin[layer] =
        build_input(&g->builder, port_of_layer(g->arena, INPUT_KV_BEGIN, layer), vector);
    g->kv_end[layer] =
        build_input(&g->builder, port_of_layer(g->arena, INPUT_KV_END, layer), vector);
}

// Whether the caches of the layer that is being built are rings; how many rows they have.
static bool has_ring(const Graph *g) {
    return plan_has_ring(g->plan, graph_kind(g));
}

static uint32_t cache_rows(const Graph *g) {
    return plan_cache_rows(g->plan, graph_kind(g));
}

// KV_SLICE. The state [2 layers, kv heads, rows, head_dim] holds keys of layer l at 2l and values
// at 2l + 1, and each layer puts its new rows in place: the idiom with a shipping record. Three or
// more states written like this fail at run time, so there is one, and
// where windows have rings one of these.
static void put_slice(Graph *g, ValueId k, ValueId v, uint32_t layer, ValueId *keys,
                      ValueId *values) {
    Builder *b = &g->builder;
    int32_t pair = 2 * (int32_t)g->in_state[layer];
    ValueId kv = g->kv[has_ring(g)];
    ValueId rows = build_concat(b, graph_name(g, "kv_rows"), (ValueId[]){k, v}, 2, 0);
    ValueId before = build_read_state(b, graph_name(g, "kv_before"), kv);
    ValueId after = build_slice_update(b, graph_name(g, "kv_update"), before, rows,
                                       g->kv_begin[layer], g->kv_end[layer]);
    build_write_state(b, graph_name(g, "kv_write"), kv, after);
    ValueId now = build_read_state(b, graph_name(g, "kv_now"), kv);
    *keys = slice4(g, "keys", now, 0, pair, pair + 1);
    *values = slice4(g, "values", now, 0, pair + 1, pair + 2);
}

uint32_t graph_n_keys(const Graph *g, const LayerKind *k) {
    return plan_cache_rows(g->plan, k) + (g->plan->options.kv == KV_ROWS ? g->n_rows : 0);
}

// How many pieces the rows are cut into so that no piece meets a limit above.
static uint32_t n_pieces(uint32_t rows, uint32_t keys) {
    uint32_t pieces = 1;
    for (;; pieces *= 2) {
        uint32_t piece = (rows + pieces - 1) / pieces;
        bool is_wrong_axis = piece >= WRONG_AXIS_FIRST && piece <= WRONG_AXIS_LAST;
        if (piece == 1 || ((uint64_t)piece * keys < MAX_SCORES && !is_wrong_axis)) return pieces;
    }
}

// KV_OVERWRITE. New rows [1, kv heads, T, dims] at their places among the state's. The product of T
// rows with the write mask is held to the limits of scores: nobody has measured where else they
// apply.
static ValueId place_rows(Graph *g, const char *kind, ValueId rows, uint32_t n_dims) {
    Builder *b = &g->builder;
    uint32_t S = cache_rows(g);
    ValueId write_mask = g->write_mask[has_ring(g)];
#define NAME(part) graph_name(g, arena_printf(g->arena, "%s_%s", kind, part).at)
    if (g->n_rows == 1) return build_binary(b, NAME("placed"), MIL_OP_mul, write_mask, rows);
    uint32_t pieces = n_pieces(S, (uint32_t)max_size(n_dims, g->n_rows));
    if (pieces == 1) return build_matmul(b, NAME("placed"), write_mask, rows, false, false);
    uint32_t step = (S + pieces - 1) / pieces, n = 0;
    ValueId *parts = arena_array(g->arena, pieces, ValueId);
    for (uint32_t begin = 0; begin < S; begin += step, n++) {
        uint32_t end = (uint32_t)min_size(S, (size_t)begin + step);
        Str mask = arena_printf(g->arena, "%s_mask_%u", kind, n);
        Str part = arena_printf(g->arena, "placed_%u", n);
        ValueId to = slice4(g, mask.at, write_mask, 2, (int32_t)begin, (int32_t)end);
        parts[n] = build_matmul(b, NAME(part.at), to, rows, false, false);
    }
    return build_concat(b, NAME("placed"), parts, n, 2);
#undef NAME
}

// KV_OVERWRITE. cache · (1 - written) + new rows at their places, stored whole: heavy on memory,
// but seen resident with 40 states. write_mask has a 1 in column t at the row position t goes to.
static ValueId put_overwrite(Graph *g, const char *kind, ValueId state, ValueId rows,
                             uint32_t n_dims) {
    Builder *b = &g->builder;
#define NAME(part) graph_name(g, arena_printf(g->arena, "%s_%s", kind, part).at)
    ValueId before = build_read_state(b, NAME("before"), state);
    ValueId kept = build_binary(b, NAME("kept"), MIL_OP_mul, before, g->keep[has_ring(g)]);
    ValueId placed = place_rows(g, kind, rows, n_dims);
    ValueId after = build_binary(b, NAME("after"), MIL_OP_add, kept, placed);
    build_write_state(b, NAME("write"), state, after);
    return build_read_state(b, NAME("now"), state);
#undef NAME
}

static void declare_packed(Graph *g, uint32_t first_layer, uint32_t n_layers) {
    static const char *const names[2] = {STATE_KV, STATE_KV_RING};
    const Contract *c = g->contract;
    const int64_t rows[2] = {g->plan->state_rows, g->plan->ring_rows};
    uint32_t n[2] = {0};
    g->kv_begin = arena_array(g->arena, n_layers, ValueId);
    g->kv_end = arena_array(g->arena, n_layers, ValueId);
    g->in_state = arena_array(g->arena, n_layers, uint32_t);
    for (uint32_t l = 0; l < n_layers; l++) {
        declare_indices(g, l);
        g->in_state[l] = n[plan_has_ring(g->plan, contract_layer(c, first_layer + l))]++;
    }
    for (int i = 0; i < 2; i++)
        if (n[i])
            g->kv[i] = build_state(
                &g->builder, names[i],
                MIL_TENSOR(MIL_F16, 2 * (int64_t)n[i], c->n_kv_heads, rows[i], c->head_dim));
}

void graph_declare_caches(Graph *g, uint32_t first_layer, uint32_t n_layers) {
    const Contract *c = g->contract;
    int64_t heads = c->n_kv_heads;
    if (g->plan->options.kv == KV_SLICE) {
        declare_packed(g, first_layer, n_layers);
        return;
    }
    bool is_state = g->plan->options.kv == KV_OVERWRITE;
    if (!is_state) g->new_rows = arena_array(g->arena, 2 * (size_t)n_layers, ValueId);
    g->states = arena_array(g->arena, 2 * (size_t)n_layers, ValueId);
    for (uint32_t l = 0; l < n_layers; l++) {
        int64_t rows = plan_cache_rows(g->plan, contract_layer(c, first_layer + l));
        MilType keys = MIL_TENSOR(MIL_F16, 1, heads, rows, c->head_dim);
        MilType values = MIL_TENSOR(MIL_F16, 1, heads, rows, c->head_dim_v);
        const char *k = port_of_layer(g->arena, CACHE_K, l);
        const char *v = port_of_layer(g->arena, CACHE_V, l);
        g->states[2 * l] = (is_state ? build_state : build_input)(&g->builder, k, keys);
        g->states[2 * l + 1] = (is_state ? build_state : build_input)(&g->builder, v, values);
    }
}

// What rows attend to: keys and values [1, kv heads, S, dims] and, in the rows form, those of the rows
// themselves, [1, kv heads, T, dims], which are not among them yet.
typedef struct {
    ValueId keys, values, new_keys, new_values;
} Attended;

// Two products with their scores side by side, so that no cache is copied to put new rows behind it.
static ValueId score(Graph *g, uint32_t piece, ValueId rows, const Attended *a) {
    Builder *b = &g->builder;
#define NAME(part) graph_name(g, arena_printf(g->arena, "%s_%u", part, piece).at)
    if (g->plan->options.kv != KV_ROWS)
        return build_matmul(b, NAME("scores"), rows, a->keys, false, true);
    ValueId parts[] = {build_matmul(b, NAME("scores_cached"), rows, a->keys, false, true),
                       build_matmul(b, NAME("scores_new"), rows, a->new_keys, false, true)};
    return build_concat(b, NAME("scores"), parts, 2, 3);
}

static ValueId mix(Graph *g, uint32_t piece, ValueId shares, const Attended *a) {
    Builder *b = &g->builder;
    int32_t S = (int32_t)cache_rows(g), T = (int32_t)g->n_rows;
    if (g->plan->options.kv != KV_ROWS)
        return build_matmul(b, NAME("mixed"), shares, a->values, false, false);
    const char *cached = arena_printf(g->arena, "shares_cached_%u", piece).at;
    const char *new = arena_printf(g->arena, "shares_new_%u", piece).at;
    ValueId of_cache = build_matmul(b, NAME("mixed_cached"), slice4(g, cached, shares, 3, 0, S),
                                    a->values, false, false);
    ValueId of_new = build_matmul(b, NAME("mixed_new"), slice4(g, new, shares, 3, S, S + T),
                                  a->new_values, false, false);
    return build_binary(b, NAME("mixed"), MIL_OP_add, of_cache, of_new);
#undef NAME
}

// softmax(q kᵀ + mask) v for rows [begin, end) of q [1, kv heads, G·T, head_dim].
static ValueId attend(Graph *g, uint32_t piece, ValueId q, const Attended *a, uint32_t begin,
                      uint32_t end) {
    Builder *b = &g->builder;
    const Contract *c = g->contract;
#define WHAT(part) arena_printf(g->arena, "%s_%u", part, piece).at
#define NAME(part) graph_name(g, WHAT(part))
    ValueId rows = slice4(g, WHAT("q_rows"), q, 2, (int32_t)begin, (int32_t)end);
    ValueId mask = slice4(g, WHAT("mask_rows"), g->mask[contract_kind_of(c, g->layer)], 2,
                          (int32_t)begin, (int32_t)end);
    ValueId scores = score(g, piece, rows, a);
    if (c->attn_softcap > 0) {
        // A cap is a number of fp16 (50, 30) where its inverse is not.
        ValueId cap = build_const_f16(b, NAME("cap_value"), c->attn_softcap);
        ValueId inner = build_binary(b, NAME("cap_inner"), MIL_OP_real_div, scores, cap);
        ValueId curved = build_unary(b, NAME("cap_tanh"), MIL_OP_tanh, inner);
        scores = graph_scale(g, WHAT("cap"), curved, c->attn_softcap);
    }
    ValueId masked = build_binary(b, NAME("masked"), MIL_OP_add, scores, mask);
    ValueId shares = build_softmax(b, NAME("shares"), masked, -1);
    ValueId raised = graph_scale(g, WHAT("raised"), shares, PROBABILITY_GAIN);
    ValueId mixed = mix(g, piece, raised, a);
    return graph_scale(g, WHAT("heads"), mixed, 1 / PROBABILITY_GAIN);
#undef NAME
#undef WHAT
}

// Rows [1, kv heads, T, n_dims] of keys or values, positions before dims. In the rows form they leave the
// function. x: [1, kv heads, n_dims, T]; of one row in any shape, since its numbers lie in that order.
static ValueId new_rows(Graph *g, const char *what, uint32_t layer, const char *output, ValueId x,
                        uint32_t n_dims) {
    static const int32_t perm[4] = {0, 1, 3, 2};
    bool is_output = g->plan->options.kv == KV_ROWS;
    const char *name = is_output ? port_of_layer(g->arena, output, layer) : graph_name(g, what);
    if (g->n_rows > 1) return build_transpose(&g->builder, name, x, perm, 4);
    int32_t shape[4] = {1, (int32_t)g->contract->n_kv_heads, 1, (int32_t)n_dims};
    return build_reshape(&g->builder, name, x, shape, 4);
}

// Heads [1, heads, head_dim, T] as rows of the products of a kv head, [1, kv heads, G·T, head_dim]; and
// back to channels [1, heads · head_dim_v, 1, T]. Dims and positions change places, which for one row is
// a reshape: all of it is one then. For more rows a reshape alone is wrong.
static ValueId stack_heads(Graph *g, ValueId q) {
    const Contract *c = g->contract;
    uint32_t group = c->n_heads / c->n_kv_heads;
    ValueId rows = g->n_rows == 1 ? q : swap_last(g, "q", q);
    return reshape4(g, "q_stacked", rows, c->n_kv_heads, group * g->n_rows, c->head_dim);
}

static ValueId join_heads(Graph *g, ValueId mixed) {
    const Contract *c = g->contract;
    uint32_t T = g->n_rows;
    ValueId x = mixed;
    if (T > 1)
        x = swap_last(g, "by_channel", reshape4(g, "by_head", mixed, c->n_heads, T, c->head_dim_v));
    return reshape4(g, "attended", x, c->n_heads * c->head_dim_v, 1, T);
}

static Attended take_rows(Graph *g, ValueId k, ValueId v, uint32_t layer) {
    const Contract *c = g->contract;
    Attended a = {.new_keys = k, .new_values = v};
    switch (g->plan->options.kv) {
    case KV_SLICE: put_slice(g, k, v, layer, &a.keys, &a.values); break;
    case KV_ROWS:
        a.keys = g->states[2 * layer];
        a.values = g->states[2 * layer + 1];
        g->new_rows[2 * layer] = k;
        g->new_rows[2 * layer + 1] = v;
        break;
    default:
        a.keys = put_overwrite(g, "keys", g->states[2 * layer], k, c->head_dim);
        a.values = put_overwrite(g, "values", g->states[2 * layer + 1], v, c->head_dim_v);
    }
    return a;
}

// Each head by itself, or all queries (and all keys) as one row. x: [1, heads + kv heads, head_dim, T].
static ValueId norm_queries_and_keys(Graph *g, ValueId x, const PackedTensor *t) {
    const Contract *c = g->contract;
    uint32_t heads = c->n_heads, all = heads + c->n_kv_heads, T = g->n_rows;
    ValueId parts[2] = {slice4(g, "q_raw", x, 1, 0, (int32_t)heads),
                        slice4(g, "k_raw", x, 1, (int32_t)heads, (int32_t)all)};
    const PackedTensor *weights[2] = {&t[PACKED_Q_NORM], &t[PACKED_K_NORM]};
    const char *const names[2] = {"q_norm", "k_norm"};
    for (int i = 0; i < 2; i++) {
        bool is_width = graph_kind(g)->qk_norm == QK_NORM_WIDTH;
        uint32_t n = i ? c->n_kv_heads : heads;
        if (!is_width) {
            parts[i] =
                graph_inner_norm(g, names[i], parts[i], 2, 0, graph_head_vector(g, weights[i]));
            continue;
        }
        const char *row = arena_printf(g->arena, "%s_row", names[i]).at;
        const char *split = arena_printf(g->arena, "%s_heads", names[i]).at;
        ValueId whole = reshape4(g, row, parts[i], n * c->head_dim, 1, T);
        ValueId y = graph_inner_norm(g, names[i], whole, 1, 0, graph_vector(g, weights[i]));
        parts[i] = reshape4(g, split, y, n, c->head_dim, T);
    }
    return build_concat(&g->builder, graph_name(g, "qk_normed"), parts, 2, 1);
}

ValueId graph_attention(Graph *g, ValueId qkv, const PackedTensor *t, uint32_t layer) {
    Builder *b = &g->builder;
    const Contract *c = g->contract;
    uint32_t T = g->n_rows, group = c->n_heads / c->n_kv_heads;
    uint32_t qk_heads = c->n_heads + c->n_kv_heads, v_channels = c->n_kv_heads * c->head_dim_v;

    // Queries and keys turn together: [1, heads + kv heads, head_dim, T].
    ValueId qk = graph_channels(g, "qk_channels", qkv, 0, qk_heads * c->head_dim);
    ValueId raw = reshape4(g, "qk", qk, qk_heads, c->head_dim, T);
    QkNorm qk_norm = graph_kind(g)->qk_norm;
    bool is_before = qk_norm == QK_NORM_HEAD || qk_norm == QK_NORM_WIDTH;
    ValueId turned = rotate(g, is_before ? norm_queries_and_keys(g, raw, t) : raw);
    if (qk_norm == QK_NORM_HEAD_ROTATED) turned = norm_queries_and_keys(g, turned, t);
    graph_mark(g, LANDMARK_q_rotated, turned, 0, 1);
    graph_mark(g, LANDMARK_k_rotated, turned, c->n_heads * c->head_dim, 1);
    ValueId q = slice4(g, "q_heads", turned, 1, 0, (int32_t)c->n_heads);
    // Scaled before the product, where numbers are smaller than after it.
    ValueId scaled = graph_scale(g, "q_scaled", q, c->attn_scale);
    ValueId q_rows = stack_heads(g, scaled);
    ValueId k_heads = slice4(g, "k_heads", turned, 1, (int32_t)c->n_heads, (int32_t)qk_heads);
    ValueId k = new_rows(g, "k", layer, OUTPUT_NEW_K, k_heads, c->head_dim);
    ValueId v_part = graph_channels(g, "v_channels", qkv, qk_heads * c->head_dim,
                                    qk_heads * c->head_dim + v_channels);
    ValueId v_small = graph_scale(g, "v_divided", v_part, g->v_factor);
    ValueId v_heads =
        T == 1 ? v_small : reshape4(g, "v_heads", v_small, c->n_kv_heads, c->head_dim_v, T);
    ValueId v = new_rows(g, "v", layer, OUTPUT_NEW_V, v_heads, c->head_dim_v);
    Attended attended = take_rows(g, k, v, layer);

    uint32_t rows = group * T, pieces = n_pieces(rows, graph_n_keys(g, graph_kind(g)));
    uint32_t step = (rows + pieces - 1) / pieces;
    ValueId *heads = arena_array(g->arena, pieces, ValueId);
    uint32_t n = 0;
    for (uint32_t begin = 0; begin < rows; begin += step, n++)
        heads[n] = attend(g, n, q_rows, &attended, begin, (uint32_t)min_size(rows, begin + step));
    return join_heads(g, n == 1 ? heads[0] : build_concat(b, graph_name(g, "heads"), heads, n, 2));
}
