#include "compile/weights.h"

#include <math.h>

#include "base/size.h"
#include "contract/weights.h"

// How a model's weights are stored: multiplied by 2^exponent, or as norms of that form.
typedef struct {
    const Model *model;
    uint32_t layer;
    bool is_deinterleaved;
    int exponent;
    NormForm norm;
} Storage;

static void add_rows(PackedTensor *t, WeightRole role, Rows rows, const Storage *s) {
    if (!rows.tensor) return;
    bool is_l2 = weight_infos[role].kind == WEIGHT_IS_NORM && s->norm == NORM_L2;
    float factor = is_l2 ? sqrtf((float)s->model->contract.d_model) : ldexpf(1.0f, s->exponent);
    t->parts[t->n_parts++] =
        (PackedPart){weight_infos[role].name, rows, t->n_rows, s->is_deinterleaved, factor};
    t->n_rows += (uint32_t)rows.n_rows;
    if (weight_infos[role].kind == WEIGHT_IS_NORM) t->offset = s->model->contract.norm_offset;
}

static void add_part(PackedTensor *t, WeightRole role, Storage s) {
    add_rows(t, role, weight_rows(&s.model->weights, role, s.layer), &s);
}

bool weight_form_scales_rows(PackFormat form) {
    return form != WEIGHTS_INT8_TENSOR;
}

static PackedTensor matrix(uint32_t layer, Str name, PackFormat form, size_t n_cols) {
    return (PackedTensor){.name = name, .layer = layer, .form = form, .n_cols = (uint32_t)n_cols};
}

static PackedTensor vector(uint32_t layer, Str name) {
    return matrix(layer, name, WEIGHTS_F16, 1);
}

// Names in a program, and the weight whose columns are the slot's: all of one read the same input.
static const struct {
    const char *name;
    WeightRole first;
} slots[PACKED_PER_LAYER] = {
    [PACKED_ATTN_NORM] = {"attn_norm", WEIGHT_attn_norm},
    [PACKED_ATTN_NORM_BIAS] = {"attn_norm_bias", WEIGHT_attn_norm_bias},
    [PACKED_QKV] = {"qkv", WEIGHT_q},
    [PACKED_QKV_BIAS] = {"qkv_bias", WEIGHT_q_bias},
    [PACKED_Q_NORM] = {"q_norm", WEIGHT_q_norm},
    [PACKED_K_NORM] = {"k_norm", WEIGHT_k_norm},
    [PACKED_ATTN_OUT] = {"attn_out", WEIGHT_attn_out},
    [PACKED_ATTN_OUT_BIAS] = {"out_bias", WEIGHT_attn_out_bias},
    [PACKED_ATTN_POST_NORM] = {"attn_post_norm", WEIGHT_attn_post_norm},
    [PACKED_FFN_NORM] = {"ffn_norm", WEIGHT_ffn_norm},
    [PACKED_FFN_NORM_BIAS] = {"ffn_norm_bias", WEIGHT_ffn_norm_bias},
    [PACKED_GATE_UP] = {"gate_up", WEIGHT_up},
    [PACKED_GATE_UP_BIAS] = {"gate_up_bias", WEIGHT_up_bias},
    [PACKED_DOWN] = {"down", WEIGHT_down},
    [PACKED_DOWN_BIAS] = {"down_bias", WEIGHT_down_bias},
    [PACKED_FFN_POST_NORM] = {"ffn_post_norm", WEIGHT_ffn_post_norm},
};

static unsigned weight_bits(PackFormat form) {
    return form == WEIGHTS_F16 ? 16 : 8;
}

// One piece, the whole.
static void leave_whole(PackedTensor *t) {
    t->n_pieces = t->n_parts ? 1 : 0;
    t->pieces[0] = (PackedPiece){.name = t->name, .n_rows = t->n_rows};
}

// Cuts rows [first, end) into pieces named after `name`, with a number where there are several.
static void cut(PackedTensor *t, Str name, uint32_t first, uint32_t end, PieceRows rule,
                Arena *arena) {
    uint32_t rows = piece_rows(end - first, (uint64_t)t->n_cols * weight_bits(t->form) / 8, rule);
    for (uint32_t n = 0; first < end; first += rows, n++) {
        Str numbered =
            rows < end - first || n ? arena_printf(arena, "%.*s_%u", STR_ARG(name), n) : name;
        t->pieces[t->n_pieces++] =
            (PackedPiece){numbered, first, (uint32_t)min_size(rows, end - first), {0}, {0}};
    }
}

// A matrix, whole where that streams at full speed. Gate and up come apart first: each is wanted by
// itself, so nothing is joined again.
static void cut_matrix(PackedTensor *t, PieceRows rule, Arena *arena) {
    uint64_t row_bytes = (uint64_t)t->n_cols * weight_bits(t->form) / 8;
    bool is_stack = t->n_parts == 2;
    leave_whole(t);
    if (t->n_parts == 0 || piece_rows(t->n_rows, row_bytes, rule) == t->n_rows) return;
    t->n_pieces = 0;
    if (!is_stack) {
        cut(t, t->name, 0, t->n_rows, rule, arena);
        return;
    }
    for (size_t i = 0; i < t->n_parts; i++) {
        const PackedPart *part = &t->parts[i];
        Str name = arena_printf(arena, "layer_%02u_ffn_%s", t->layer, part->role);
        cut(t, name, part->first_row, part->first_row + (uint32_t)part->rows.n_rows, rule, arena);
    }
}

// Heads whose rows change their order stay whole.
static uint32_t head_unit(const Contract *c) {
    uint32_t unit = c->head_dim;
    while (unit % PIECE_UNIT) unit += c->head_dim;
    return unit;
}

void packed_layer(PackedTensor out[PACKED_PER_LAYER], const Model *model,
                  const CompileOptions *options, uint32_t layer, const LayerScaling *condition,
                  Arena *arena) {
    const Contract *c = &model->contract;
    PackFormat form = options->weights;
    // llama-architecture files store q and k rows so that rotated pairs are neighbours. Packages
    // rotate halves, which needs slices instead of a shuffle; the order of rows within a head is
    // free as long as q and k share it.
    bool unroll = c->rope_style == ROPE_INTERLEAVED;
    int v = weight_form_scales_rows(form) ? condition->v : 0;
    bool has_gate = contract_layer(c, layer)->is_gated; // else the activation takes the factor
    int up = weight_form_scales_rows(form) && has_gate ? condition->up : 0;
    int attn = condition->v - condition->attn, ffn = condition->up - condition->ffn;
    for (int slot = 0; slot < PACKED_PER_LAYER; slot++) {
        Str name = arena_printf(arena, "layer_%02u_%s", layer, slots[slot].name);
        size_t n_cols = weight_dim(c, weight_infos[slots[slot].first].n_cols);
        out[slot] = n_cols ? matrix(layer, name, form, n_cols) : vector(layer, name);
        out[slot].rope_dim = contract_layer(c, layer)->rope_dim;
    }

    const Storage plain = {model, layer, false, 0}, rotated = {model, layer, unroll, 0};
    const Storage values = {model, layer, false, -v}, ups = {model, layer, false, -up};
    const Storage norm = {.model = model, .layer = layer, .norm = options->norm};
    const Storage stream = {model, layer, false, -condition->residual_exp2};
    const struct {
        PackedSlot slot;
        WeightRole role;
        Storage storage;
    } parts[] = {
        {PACKED_ATTN_NORM, WEIGHT_attn_norm, norm},
        {PACKED_ATTN_NORM_BIAS, WEIGHT_attn_norm_bias, plain},
        {PACKED_QKV, WEIGHT_q, rotated},
        {PACKED_QKV, WEIGHT_k, rotated},
        {PACKED_QKV, WEIGHT_v, values},
        {PACKED_QKV_BIAS, WEIGHT_q_bias, rotated},
        {PACKED_QKV_BIAS, WEIGHT_k_bias, rotated},
        {PACKED_QKV_BIAS, WEIGHT_v_bias, values},
        {PACKED_Q_NORM, WEIGHT_q_norm, rotated},
        {PACKED_K_NORM, WEIGHT_k_norm, rotated},
        {PACKED_ATTN_OUT, WEIGHT_attn_out, {model, layer, false, attn}},
        {PACKED_ATTN_OUT_BIAS, WEIGHT_attn_out_bias, {model, layer, false, -condition->attn}},
        // A norm after a branch takes out the branch's factor and puts in the stream's.
        {PACKED_ATTN_POST_NORM, WEIGHT_attn_post_norm, stream},
        {PACKED_FFN_NORM, WEIGHT_ffn_norm, norm},
        {PACKED_FFN_NORM_BIAS, WEIGHT_ffn_norm_bias, plain},
        {PACKED_GATE_UP, WEIGHT_gate, plain},
        {PACKED_GATE_UP, WEIGHT_up, ups},
        {PACKED_GATE_UP_BIAS, WEIGHT_gate_bias, plain},
        {PACKED_GATE_UP_BIAS, WEIGHT_up_bias, ups},
        {PACKED_DOWN, WEIGHT_down, {model, layer, false, ffn}},
        {PACKED_DOWN_BIAS, WEIGHT_down_bias, {model, layer, false, -condition->ffn}},
        {PACKED_FFN_POST_NORM, WEIGHT_ffn_post_norm, stream},
    };
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        add_part(&out[parts[i].slot], parts[i].role, parts[i].storage);

    bool may_be_hit = chip_may_have_notch(options->chip);
    const PieceRows plain_rows = {PIECE_UNIT, may_be_hit}, of_heads = {head_unit(c), may_be_hit};
    for (int slot = 0; slot < PACKED_PER_LAYER; slot++) {
        if (out[slot].n_cols == 1)
            leave_whole(&out[slot]);
        else
            cut_matrix(&out[slot], slot == PACKED_QKV ? of_heads : plain_rows, arena);
    }
}

PackedTensor packed_output_norm(const Model *model, const CompileOptions *options) {
    PackedTensor t = vector(NO_LAYER, STR("output_norm"));
    add_part(&t, WEIGHT_output_norm, (Storage){.model = model, .norm = options->norm});
    leave_whole(&t);
    return t;
}

PackedTensor packed_output_norm_bias(const Model *model) {
    PackedTensor t = vector(NO_LAYER, STR("output_norm_bias"));
    add_part(&t, WEIGHT_output_norm_bias, (Storage){.model = model});
    leave_whole(&t);
    return t;
}

PackedTensor packed_head_bias(const Model *model, uint32_t first, uint32_t end, Arena *arena) {
    PackedTensor t = vector(NO_LAYER, arena_printf(arena, "head_bias_%u", first));
    Rows rows = model->weights.head_bias;
    rows.first_row += first;
    rows.n_rows = end - first;
    add_rows(&t, WEIGHT_head_bias, rows, &(Storage){.model = model});
    leave_whole(&t);
    return t;
}

PackedTensor packed_head(const Model *model, PackFormat form, uint32_t first, uint32_t end,
                         Arena *arena) {
    PackedTensor t =
        matrix(NO_LAYER, arena_printf(arena, "head_%u", first), form, model->contract.d_model);
    Rows rows = model->weights.head;
    rows.first_row += first;
    rows.n_rows = end - first;
    add_rows(&t, WEIGHT_head, rows, &(Storage){.model = model});
    leave_whole(&t);
    return t;
}

static MilType data_type(const PackedTensor *t, uint32_t n_rows) {
    MilDtype dtype = t->form == WEIGHTS_F16 ? MIL_F16 : MIL_I8;
    return (MilType){.dtype = dtype, .rank = 4, .dims = {n_rows, t->n_cols, 1, 1}};
}

uint32_t packed_scales(const PackedTensor *t, const PackedPiece *piece) {
    switch (t->form) {
    case WEIGHTS_INT8_CHANNEL: return piece->n_rows;
    case WEIGHTS_INT8_TENSOR: return 1;
    default: return 0;
    }
}

static uint64_t blob_bytes(uint64_t n_bytes) {
    return BLOB_RECORD_BYTES + (n_bytes + BLOB_ALIGN - 1) / BLOB_ALIGN * BLOB_ALIGN;
}

uint64_t packed_piece_bytes(const PackedTensor *t, const PackedPiece *piece) {
    uint64_t scales = packed_scales(t, piece);
    uint64_t weights = (uint64_t)piece->n_rows * t->n_cols * weight_bits(t->form) / 8;
    return blob_bytes(weights) + (scales ? blob_bytes(2 * scales) : 0);
}

uint64_t packed_bytes(const PackedTensor *t) {
    uint64_t sum = 0;
    for (size_t i = 0; i < t->n_pieces; i++) sum += packed_piece_bytes(t, &t->pieces[i]);
    return sum;
}

void packed_place(PackedTensor *t, PackedPiece *piece, BlobPlan *blobs, Arena *arena) {
    MilType data = data_type(t, piece->n_rows);
    uint32_t n_scales = packed_scales(t, piece);
    piece->data_at = blob_plan_add(blobs, arena, &data);
    if (n_scales == 0) return;
    MilType scales = {.dtype = MIL_F16, .rank = 4, .dims = {n_scales, 1, 1, 1}};
    piece->scale_at = blob_plan_add(blobs, arena, &scales);
}
