#include "placement/graphs.h"

#include <math.h>

#include "base/size.h"

const SeedShape phi_shape = {1, 3072, 24, 8, 128, 96, 8192, 1, 2048};

// ---- short spellings; names are numbers

static const char *next_name(Draft *d) {
    return arena_printf(d->arena, "v%u", d->n_names++).at;
}

static void begin(Draft *d, MilProgram **p) {
    *p = mil_program_new(d->arena, 9);
    d->b = builder_begin(*p, "main", &d->err);
}

static const MilType *type_of(const Draft *d, ValueId v) {
    return &mil_value(d->b.f, v)->type;
}

static ValueId unary(Draft *d, MilOpcode opcode, ValueId x) {
    return build_unary(&d->b, next_name(d), opcode, x);
}

static ValueId binary(Draft *d, MilOpcode opcode, ValueId x, ValueId y) {
    return build_binary(&d->b, next_name(d), opcode, x, y);
}

static ValueId half(Draft *d, double value) {
    return build_const_f16(&d->b, next_name(d), (float)value);
}

static ValueId ints(Draft *d, const int32_t *values, size_t n) {
    return build_const_ints(&d->b, next_name(d), values, n);
}

#define SHAPE(...) (int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)

static ValueId reshape(Draft *d, ValueId x, const int32_t *shape, size_t rank) {
    return build_reshape(&d->b, next_name(d), x, shape, rank);
}

static ValueId transpose(Draft *d, ValueId x, const int32_t *perm, size_t rank) {
    return build_transpose(&d->b, next_name(d), x, perm, rank);
}

static bool is_open(const MilType *t) {
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i] == MIL_UNKNOWN_DIM) return true;
    return false;
}

// x[…, begin:end, …] along `axis`.
static ValueId slice(Draft *d, ValueId x, int axis, uint32_t first, uint32_t end) {
    if (!builder_ok(&d->b)) return MIL_NO_VALUE;
    const MilType *t = type_of(d, x);
    int32_t begins[MIL_MAX_RANK] = {0}, ends[MIL_MAX_RANK];
    uint8_t is_whole[MIL_MAX_RANK]; // an open axis has no end to name
    for (int i = 0; i < t->rank; i++) ends[i] = (int32_t)t->dims[i];
    for (int i = 0; i < t->rank; i++) is_whole[i] = t->dims[i] == MIL_UNKNOWN_DIM;
    begins[axis] = (int32_t)first;
    ends[axis] = (int32_t)end;
    size_t rank = (size_t)t->rank;
    if (!is_open(t)) return build_slice(&d->b, next_name(d), x, begins, ends, rank);
    ValueId from = ints(d, begins, rank), to = ints(d, ends, rank);
    ValueId whole = build_literal(&d->b, MIL_TENSOR(MIL_BOOL, t->rank), is_whole, rank);
    BuildArg args[] = {{"x", &x, 1},
                       {"begin", &from, 1},
                       {"end", &to, 1},
                       {"begin_mask", &whole, 1},
                       {"end_mask", &whole, 1}};
    return build_op(&d->b, next_name(d), MIL_OP_slice_by_index, args, COUNT_OF(args));
}

static ValueId with_axes(Draft *d, MilOpcode opcode, ValueId x, const int32_t *axes, size_t n) {
    ValueId list = ints(d, axes, n);
    BuildArg args[] = {{"x", &x, 1}, {"axes", &list, 1}};
    return build_op(&d->b, next_name(d), opcode, args, COUNT_OF(args));
}

static ValueId concat(Draft *d, const ValueId *values, size_t n, int axis) {
    return build_concat(&d->b, next_name(d), values, n, axis);
}

static ValueId matmul(Draft *d, ValueId x, ValueId y, bool transpose_y) {
    return build_matmul(&d->b, next_name(d), x, y, false, transpose_y);
}

static ValueId stored(Draft *d, MilType type) {
    return build_const_blob(&d->b, next_name(d), type, blob_plan_add(&d->blobs, d->arena, &type));
}

// int8 with one scale for all of it.
static ValueId packed(Draft *d, MilType shape) {
    MilType codes = shape, scale = {.dtype = MIL_F16, .rank = shape.rank};
    codes.dtype = MIL_I8;
    for (int i = 0; i < shape.rank; i++) scale.dims[i] = 1;
    ValueId data = build_literal_blob(&d->b, codes, blob_plan_add(&d->blobs, d->arena, &codes));
    ValueId by = build_literal_blob(&d->b, scale, blob_plan_add(&d->blobs, d->arena, &scale));
    return build_constexpr_blockwise(&d->b, next_name(d), data, by);
}

static ValueId conv(Draft *d, ValueId x, uint32_t out) {
    if (!builder_ok(&d->b)) return MIL_NO_VALUE;
    ValueId w = packed(d, MIL_TENSOR(MIL_F16, out, type_of(d, x)->dims[1], 1, 1));
    return build_conv1x1(&d->b, next_name(d), x, w, MIL_NO_VALUE);
}

uint64_t draft_bytes(const Draft *d) {
    enum { PROGRAM_BYTES = 512 << 10 };
    return d->blobs.n_bytes + PROGRAM_BYTES;
}

// ---- the seed's shards

static ValueId scaled_norm(Draft *d, ValueId x) {
    double width = (double)type_of(d, x)->dims[1];
    ValueId small = binary(d, MIL_OP_mul, x, half(d, 1 / sqrt(width)));
    ValueId mean = build_reduce(&d->b, next_name(d), MIL_OP_reduce_mean,
                                unary(d, MIL_OP_square, small), 1, true);
    ValueId root = build_rsqrt(&d->b, next_name(d), binary(d, MIL_OP_add, mean, half(d, 1e-5)), 0);
    ValueId weight = stored(d, MIL_TENSOR(MIL_F16, 1, (int64_t)width, 1, 1));
    return binary(d, MIL_OP_mul, binary(d, MIL_OP_mul, x, root), weight);
}

// As a dimension and in shapes, where -1 stands for what is open.
static int32_t rows_of(const SeedShape *s) {
    return s->n_rows == OPEN_ROWS ? -1 : (int32_t)s->n_rows;
}

typedef struct {
    Draft *d;
    const SeedShape *s;
    ValueId cos, sin, mask, write, keep;
    ValueId *states;
} Seed;

// Channels [first, first + heads · head_dim) of the flat projection as [heads, T, head_dim].
static ValueId heads_of(Seed *g, ValueId flat, uint32_t first, uint32_t heads) {
    int32_t dim = (int32_t)g->s->head_dim, T = rows_of(g->s), n = (int32_t)heads;
    ValueId part = slice(g->d, flat, 1, first, first + heads * g->s->head_dim);
    if (T == 1) return reshape(g->d, part, SHAPE(n, 1, dim));
    return transpose(g->d, reshape(g->d, part, SHAPE(n, dim, T)), SHAPE(0, 2, 1));
}

static ValueId turn(Seed *g, ValueId x) {
    Draft *d = g->d;
    uint32_t dim = g->s->rope_dim, middle = dim / 2;
    bool is_partial = dim < g->s->head_dim;
    ValueId turned = is_partial ? slice(d, x, 2, 0, dim) : x;
    ValueId rest = is_partial ? slice(d, x, 2, dim, g->s->head_dim) : MIL_NO_VALUE;
    ValueId low = slice(d, turned, 2, 0, middle), high = slice(d, turned, 2, middle, dim);
    ValueId first = binary(d, MIL_OP_sub, binary(d, MIL_OP_mul, low, g->cos),
                           binary(d, MIL_OP_mul, high, g->sin));
    ValueId second = binary(d, MIL_OP_add, binary(d, MIL_OP_mul, high, g->cos),
                            binary(d, MIL_OP_mul, low, g->sin));
    return concat(d, (ValueId[]){first, second, rest}, is_partial ? 3 : 2, 2);
}

// cache · keep + new · written, stored whole through a slice_update, as the converter wrote it.
static ValueId blend(Seed *g, ValueId state, ValueId rows) {
    Draft *d = g->d;
    int32_t kv = (int32_t)g->s->n_kv_heads, S = (int32_t)g->s->state_rows,
            dim = (int32_t)g->s->head_dim;
    ValueId before = build_read_state(&d->b, next_name(d), state);
    ValueId kept = binary(d, MIL_OP_mul, before, g->keep);
    ValueId placed = g->s->n_rows == 1 ? binary(d, MIL_OP_mul, rows, g->write)
                                       : matmul(d, g->write, rows, false);
    ValueId after = binary(d, MIL_OP_add, kept, placed);
    ValueId stored_whole =
        build_slice_update(&d->b, next_name(d), before, after, ints(d, SHAPE(0, 0, 0, 0)),
                           ints(d, SHAPE(1, kv, S, dim)));
    build_write_state(&d->b, next_name(d), state, stored_whole);
    return after;
}

static ValueId attend_group(Seed *g, uint32_t i, ValueId q, ValueId k, ValueId v) {
    Draft *d = g->d;
    uint32_t group = g->s->n_heads / g->s->n_kv_heads;
    ValueId mine = slice(d, q, 0, i * group, (i + 1) * group);
    ValueId keys = slice(d, k, 1, i, i + 1), values = slice(d, v, 1, i, i + 1);
    ValueId rows = with_axes(d, MIL_OP_expand_dims, mine, SHAPE(0));
    ValueId scores = matmul(d, rows, keys, true);
    ValueId scaled = binary(d, MIL_OP_mul, scores, half(d, 1 / sqrt(g->s->head_dim)));
    ValueId masked = binary(d, MIL_OP_add, scaled, g->mask);
    ValueId shares = build_softmax(&d->b, next_name(d), masked, -1);
    return with_axes(d, MIL_OP_squeeze, matmul(d, shares, values, false), SHAPE(0));
}

static ValueId seed_layer(Seed *g, ValueId x, uint32_t layer) {
    Draft *d = g->d;
    const SeedShape *s = g->s;
    int32_t T = rows_of(s), kv = (int32_t)s->n_kv_heads, dim = (int32_t)s->head_dim;
    uint32_t q_width = s->n_heads * s->head_dim, k_width = s->n_kv_heads * s->head_dim;
    ValueId qkv = conv(d, scaled_norm(d, x), q_width + 2 * k_width);
    ValueId flat = with_axes(d, MIL_OP_squeeze, qkv, SHAPE(3));
    if (T == 1) flat = with_axes(d, MIL_OP_squeeze, flat, SHAPE(2));
    ValueId q = turn(g, heads_of(g, flat, 0, s->n_heads));
    ValueId k =
        reshape(d, turn(g, heads_of(g, flat, q_width, s->n_kv_heads)), SHAPE(1, kv, T, dim));
    ValueId v_flat = slice(d, flat, 1, q_width + k_width, q_width + 2 * k_width);
    ValueId v = T == 1 ? reshape(d, v_flat, SHAPE(1, kv, 1, dim))
                       : transpose(d, reshape(d, v_flat, SHAPE(1, kv, dim, T)), SHAPE(0, 1, 3, 2));
    ValueId keys = blend(g, g->states[2 * layer], k);
    ValueId values = blend(g, g->states[2 * layer + 1], v);

    ValueId *heads = arena_array(d->arena, s->n_kv_heads, ValueId);
    for (uint32_t i = 0; i < s->n_kv_heads; i++) heads[i] = attend_group(g, i, q, keys, values);
    ValueId joined = concat(d, heads, s->n_kv_heads, 0);
    if (T != 1) joined = transpose(d, joined, SHAPE(0, 2, 1));
    ValueId attended = reshape(d, joined, SHAPE(1, (int32_t)q_width, T, 1));
    ValueId middle = binary(d, MIL_OP_add, x, conv(d, attended, s->d_model));

    ValueId both = conv(d, scaled_norm(d, middle), 2 * s->d_ff);
    ValueId gate = slice(d, both, 1, 0, s->d_ff), up = slice(d, both, 1, s->d_ff, 2 * s->d_ff);
    ValueId gated = binary(d, MIL_OP_mul, unary(d, MIL_OP_silu, gate), up);
    return binary(d, MIL_OP_add, middle, conv(d, gated, s->d_model));
}

MilProgram *draft_seed(Draft *d, const SeedShape *s) {
    MilProgram *p;
    begin(d, &p);
    Seed g = {.d = d, .s = s, .states = arena_array(d->arena, 2 * (size_t)s->n_layers, ValueId)};
    int64_t T = rows_of(s), S = s->state_rows, middle = s->rope_dim / 2;
    ValueId x = build_input(&d->b, "x", MIL_TENSOR(MIL_F16, 1, s->d_model, T, 1));
    ValueId cos = build_input(&d->b, "rope_cos", MIL_TENSOR(MIL_F16, T, middle));
    ValueId sin = build_input(&d->b, "rope_sin", MIL_TENSOR(MIL_F16, T, middle));
    g.mask = build_input(&d->b, "attn_mask", MIL_TENSOR(MIL_F16, 1, 1, T, S));
    g.write = build_input(&d->b, "kv_write_mask", MIL_TENSOR(MIL_F16, 1, 1, S, T));
    MilType cache = MIL_TENSOR(MIL_F16, 1, s->n_kv_heads, S, s->head_dim);
    for (uint32_t i = 0; i < 2 * s->n_layers; i++)
        g.states[i] = build_state(&d->b, next_name(d), cache);
    ValueId written =
        T == 1 ? g.write : build_reduce(&d->b, next_name(d), MIL_OP_reduce_sum, g.write, 3, true);
    g.keep = binary(d, MIL_OP_sub, half(d, 1), written);
    g.cos = with_axes(d, MIL_OP_expand_dims, cos, SHAPE(0));
    g.sin = with_axes(d, MIL_OP_expand_dims, sin, SHAPE(0));
    for (uint32_t i = 0; i < s->n_layers; i++) x = seed_layer(&g, x, i);
    build_output(&d->b, x);
    if (s->n_logits) build_output(&d->b, conv(d, scaled_norm(d, x), s->n_logits));
    return p;
}

MilProgram *draft_seed_head(Draft *d, uint32_t n_rows, bool has_top1) {
    MilProgram *p;
    begin(d, &p);
    ValueId x = build_input(&d->b, "x", MIL_TENSOR(MIL_F16, 1, phi_shape.d_model, 1, 1));
    ValueId logits = conv(d, scaled_norm(d, x), n_rows);
    build_output(&d->b, logits);
    if (!has_top1 || !builder_ok(&d->b)) return p;
    ValueId row = reshape(d, logits, SHAPE(1, (int32_t)n_rows));
    ValueId k = build_const_int(&d->b, next_name(d), 1), axis = build_const_int(&d->b, "axis", 1);
    ValueId narrow = build_const_str(&d->b, "narrow", "uint16"),
            wide = build_const_str(&d->b, "wide", "int32");
    BuildArg args[] = {
        {"x", &row, 1}, {"k", &k, 1}, {"axis", &axis, 1}, {"output_indices_dtype", &narrow, 1}};
    ValueId best = build_op(&d->b, "best", MIL_OP_topk, args, COUNT_OF(args));
    ValueId index = {best.at + 1};
    BuildArg cast[] = {{"x", &index, 1}, {"dtype", &wide, 1}};
    build_output(&d->b, best);
    build_output(&d->b, build_op(&d->b, "token", MIL_OP_cast, cast, COUNT_OF(cast)));
    return p;
}

// ---- embedding models

enum { TOKENS = 128 };

static ValueId linear(Draft *d, ValueId x, uint32_t in, uint32_t out) {
    ValueId w = stored(d, MIL_TENSOR(MIL_F16, out, in));
    BuildArg args[] = {{"x", &x, 1}, {"weight", &w, 1}};
    return build_op(&d->b, next_name(d), MIL_OP_linear, args, COUNT_OF(args));
}

static ValueId cast(Draft *d, ValueId x, const char *dtype) {
    ValueId to = build_const_str(&d->b, next_name(d), dtype);
    BuildArg args[] = {{"x", &x, 1}, {"dtype", &to, 1}};
    return build_op(&d->b, next_name(d), MIL_OP_cast, args, COUNT_OF(args));
}

// A lookup by run-time indices as the converter writes it: negative indices count from the end.
static ValueId lookup(Draft *d, ValueId table, ValueId indices, int32_t n_rows) {
    ValueId zero = build_const_int(&d->b, next_name(d), 0);
    ValueId rows = build_const_int(&d->b, next_name(d), n_rows);
    ValueId is_plain = binary(d, MIL_OP_greater_equal, indices, zero);
    ValueId from_end = binary(d, MIL_OP_add, indices, rows);
    BuildArg pick[] = {{"cond", &is_plain, 1}, {"a", &indices, 1}, {"b", &from_end, 1}};
    ValueId safe = build_op(&d->b, next_name(d), MIL_OP_select, pick, COUNT_OF(pick));
    ValueId axis = build_const_int(&d->b, next_name(d), 0);
    BuildArg args[] = {{"x", &table, 1}, {"indices", &safe, 1}, {"axis", &axis, 1}};
    return build_op(&d->b, next_name(d), MIL_OP_gather, args, COUNT_OF(args));
}

static ValueId rms_norm(Draft *d, ValueId x, int64_t width) {
    int last = type_of(d, x)->rank - 1;
    ValueId mean = build_reduce(&d->b, next_name(d), MIL_OP_reduce_mean, unary(d, MIL_OP_square, x),
                                last, true);
    ValueId root = build_rsqrt(&d->b, next_name(d), binary(d, MIL_OP_add, mean, half(d, 1e-6)), 0);
    ValueId weight = stored(d, MIL_TENSOR(MIL_F16, width));
    return binary(d, MIL_OP_mul, binary(d, MIL_OP_mul, x, root), weight);
}

// [1, T, heads · dim] to [1, heads, T, dim].
static ValueId split_heads(Draft *d, ValueId x, int32_t heads, int32_t dim) {
    return transpose(d, reshape(d, x, SHAPE(1, TOKENS, heads, dim)), SHAPE(0, 2, 1, 3));
}

static ValueId join_heads(Draft *d, ValueId x, int32_t width) {
    return reshape(d, transpose(d, x, SHAPE(0, 2, 1, 3)), SHAPE(1, TOKENS, width));
}

static ValueId attend(Draft *d, ValueId q, ValueId k, ValueId v, ValueId mask, double scale) {
    ValueId scores = binary(d, MIL_OP_mul, matmul(d, q, k, true), half(d, scale));
    ValueId shares = build_softmax(&d->b, next_name(d), binary(d, MIL_OP_add, scores, mask), -1);
    return matmul(d, shares, v, false);
}

// (1 - mask) · -1e4 of an int32 input [1, T], as [1, 1, 1, T].
static ValueId padding_mask(Draft *d, ValueId mask) {
    ValueId wide = with_axes(d, MIL_OP_expand_dims, mask, SHAPE(1, 2));
    ValueId absent = binary(d, MIL_OP_sub, half(d, 1), cast(d, wide, "fp16"));
    return binary(d, MIL_OP_mul, absent, half(d, -1e4));
}

enum { QWEN3_D = 1024, QWEN3_HEADS = 16, QWEN3_KV = 8, QWEN3_DIM = 128, QWEN3_FF = 3072 };
enum { QWEN3_VOCAB = 151936, XLM_VOCAB = 250002, XLM_POSITIONS = 514, XLM_FF = 4096 };

static ValueId turn_whole(Draft *d, ValueId x, ValueId cos, ValueId sin) {
    ValueId low = slice(d, x, 3, 0, QWEN3_DIM / 2), high = slice(d, x, 3, QWEN3_DIM / 2, QWEN3_DIM);
    ValueId minus = binary(d, MIL_OP_mul, high, half(d, -1));
    ValueId turned = concat(d, (ValueId[]){minus, low}, 2, 3);
    return binary(d, MIL_OP_add, binary(d, MIL_OP_mul, x, cos), binary(d, MIL_OP_mul, turned, sin));
}

// Head i of n groups repeated, without a tile of rank 5.
static ValueId repeat_heads(Draft *d, ValueId x) {
    enum { GROUP = QWEN3_HEADS / QWEN3_KV };
    ValueId rows = transpose(d, x, SHAPE(0, 2, 1, 3));
    ValueId reps = ints(d, SHAPE(1, 1, GROUP, 1));
    BuildArg args[] = {{"x", &rows, 1}, {"reps", &reps, 1}};
    ValueId tiled = build_op(&d->b, next_name(d), MIL_OP_tile, args, COUNT_OF(args));
    ValueId apart = reshape(d, tiled, SHAPE(1, TOKENS, GROUP, QWEN3_KV, QWEN3_DIM));
    ValueId swapped = transpose(d, apart, SHAPE(0, 1, 3, 2, 4));
    ValueId joined = reshape(d, swapped, SHAPE(1, TOKENS, QWEN3_HEADS, QWEN3_DIM));
    return transpose(d, joined, SHAPE(0, 2, 1, 3));
}

static ValueId qwen3_layer(Draft *d, ValueId x, ValueId mask, ValueId cos, ValueId sin) {
    uint32_t q_width = QWEN3_HEADS * QWEN3_DIM, kv_width = QWEN3_KV * QWEN3_DIM;
    ValueId in = rms_norm(d, x, QWEN3_D);
    ValueId q = split_heads(d, linear(d, in, QWEN3_D, q_width), QWEN3_HEADS, QWEN3_DIM);
    ValueId k = split_heads(d, linear(d, in, QWEN3_D, kv_width), QWEN3_KV, QWEN3_DIM);
    ValueId v = split_heads(d, linear(d, in, QWEN3_D, kv_width), QWEN3_KV, QWEN3_DIM);
    q = turn_whole(d, rms_norm(d, q, QWEN3_DIM), cos, sin);
    k = turn_whole(d, rms_norm(d, k, QWEN3_DIM), cos, sin);
    ValueId heads = attend(d, q, repeat_heads(d, k), repeat_heads(d, v), mask, 1 / sqrt(QWEN3_DIM));
    ValueId out = linear(d, join_heads(d, heads, (int32_t)q_width), q_width, QWEN3_D);
    ValueId middle = binary(d, MIL_OP_add, x, out);
    ValueId inner = rms_norm(d, middle, QWEN3_D);
    ValueId gate = unary(d, MIL_OP_silu, linear(d, inner, QWEN3_D, QWEN3_FF));
    ValueId gated = binary(d, MIL_OP_mul, gate, linear(d, inner, QWEN3_D, QWEN3_FF));
    return binary(d, MIL_OP_add, middle, linear(d, gated, QWEN3_FF, QWEN3_D));
}

MilProgram *draft_qwen3(Draft *d, uint32_t first, uint32_t end, bool has_int8_table) {
    MilProgram *p;
    begin(d, &p);
    ValueId ids = build_input(&d->b, "input_ids", MIL_TENSOR(MIL_I32, 1, TOKENS));
    ValueId present = build_input(&d->b, "attention_mask", MIL_TENSOR(MIL_I32, 1, TOKENS));
    ValueId x;
    if (first == 0) {
        MilType table = MIL_TENSOR(MIL_F16, QWEN3_VOCAB, QWEN3_D);
        x = lookup(d, has_int8_table ? packed(d, table) : stored(d, table), ids, QWEN3_VOCAB);
    } else {
        x = build_input(&d->b, "hidden", MIL_TENSOR(MIL_F16, 1, TOKENS, QWEN3_D));
    }
    ValueId padding = padding_mask(d, present);
    ValueId causal = stored(d, MIL_TENSOR(MIL_F16, 1, 1, TOKENS, TOKENS));
    ValueId mask = binary(d, MIL_OP_add, padding, causal);
    ValueId cos = stored(d, MIL_TENSOR(MIL_F16, 1, 1, TOKENS, QWEN3_DIM));
    ValueId sin = stored(d, MIL_TENSOR(MIL_F16, 1, 1, TOKENS, QWEN3_DIM));
    for (uint32_t i = first; i < end; i++) x = qwen3_layer(d, x, mask, cos, sin);
    if (end == QWEN3_LAYERS) { // the row of the last token: how many there are, less one
        x = rms_norm(d, x, QWEN3_D);
        ValueId rows = reshape(d, x, SHAPE(TOKENS, QWEN3_D));
        ValueId n = build_reduce(&d->b, next_name(d), MIL_OP_reduce_sum, present, 1, false);
        ValueId one = build_const_int(&d->b, next_name(d), 1);
        x = lookup(d, rows, binary(d, MIL_OP_sub, n, one), TOKENS);
    }
    build_output(&d->b, x);
    return p;
}

static ValueId layer_norm(Draft *d, ValueId x) {
    ValueId axes = ints(d, SHAPE(2)), gamma = stored(d, MIL_TENSOR(MIL_F16, QWEN3_D)),
            beta = stored(d, MIL_TENSOR(MIL_F16, QWEN3_D));
    BuildArg args[] = {{"x", &x, 1}, {"axes", &axes, 1}, {"gamma", &gamma, 1}, {"beta", &beta, 1}};
    return build_op(&d->b, next_name(d), MIL_OP_layer_norm, args, COUNT_OF(args));
}

static ValueId xlm_layer(Draft *d, ValueId x, ValueId mask) {
    enum { D = QWEN3_D, HEADS = 16, DIM = 64 };
    ValueId q = split_heads(d, linear(d, x, D, D), HEADS, DIM);
    ValueId k = split_heads(d, linear(d, x, D, D), HEADS, DIM);
    ValueId v = split_heads(d, linear(d, x, D, D), HEADS, DIM);
    ValueId heads = join_heads(d, attend(d, q, k, v, mask, 1 / sqrt(DIM)), D);
    ValueId middle = layer_norm(d, binary(d, MIL_OP_add, linear(d, heads, D, D), x));
    ValueId inner = unary(d, MIL_OP_gelu, linear(d, middle, D, XLM_FF));
    return layer_norm(d, binary(d, MIL_OP_add, linear(d, inner, XLM_FF, D), middle));
}

// Positions count the tokens that are there: an integer sum in the graph.
static ValueId xlm_embed(Draft *d, ValueId ids) {
    ValueId table = stored(d, MIL_TENSOR(MIL_F16, XLM_VOCAB, QWEN3_D));
    ValueId places = stored(d, MIL_TENSOR(MIL_F16, XLM_POSITIONS, QWEN3_D));
    ValueId one = build_const_int(&d->b, next_name(d), 1);
    ValueId is_token = cast(d, binary(d, MIL_OP_not_equal, ids, one), "int32");
    ValueId axis = build_const_int(&d->b, next_name(d), 1);
    BuildArg args[] = {{"x", &is_token, 1}, {"axis", &axis, 1}};
    ValueId sums = build_op(&d->b, next_name(d), MIL_OP_cumsum, args, COUNT_OF(args));
    ValueId places_at = binary(d, MIL_OP_add, binary(d, MIL_OP_mul, sums, is_token), one);
    ValueId word = lookup(d, table, ids, XLM_VOCAB);
    ValueId both = binary(d, MIL_OP_add, word, lookup(d, places, places_at, XLM_POSITIONS));
    return layer_norm(d, both);
}

MilProgram *draft_xlm_roberta(Draft *d, uint32_t first, uint32_t end) {
    MilProgram *p;
    begin(d, &p);
    ValueId ids = build_input(&d->b, "input_ids", MIL_TENSOR(MIL_I32, 1, TOKENS));
    ValueId present = build_input(&d->b, "attention_mask", MIL_TENSOR(MIL_I32, 1, TOKENS));
    ValueId x = first == 0 ? xlm_embed(d, ids)
                           : build_input(&d->b, "hidden", MIL_TENSOR(MIL_F16, 1, TOKENS, QWEN3_D));
    ValueId mask = padding_mask(d, present);
    for (uint32_t i = first; i < end; i++) x = xlm_layer(d, x, mask);
    if (end == XLM_ROBERTA_LAYERS) x = slice(d, x, 1, 0, 1);
    build_output(&d->b, x);
    return p;
}
