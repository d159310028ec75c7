#include "compile/weights.h"

#include <math.h>

static void add_part(PackedTensor *t, const char *role, Rows rows, bool is_deinterleaved) {
    if (!rows.tensor) return;
    t->parts[t->n_parts++] = (PackedPart){role, rows, t->n_rows, is_deinterleaved, 1.0f};
    t->n_rows += (uint32_t)rows.n_rows;
}

// As add_part, the weights multiplied by 2^exponent.
static void add_scaled(PackedTensor *t, const char *role, Rows rows, int exponent) {
    if (!rows.tensor) return;
    add_part(t, role, rows, false);
    t->parts[t->n_parts - 1].factor = ldexpf(1.0f, exponent);
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

void packed_layer(PackedTensor out[PACKED_PER_LAYER], const Model *model, PackFormat form,
                  uint32_t layer, const LayerScaling *condition, Arena *arena) {
    const Contract *c = &model->contract;
    const LayerWeights *w = &model->weights.layers[layer];
    // llama-architecture files store q and k rows so that rotated pairs are neighbours. Packages
    // rotate halves, which needs slices instead of a shuffle; the order of rows within a head is
    // free as long as q and k share it.
    bool unroll = c->rope_style == ROPE_INTERLEAVED;
    int v = weight_form_scales_rows(form) ? condition->v : 0;
    int up = weight_form_scales_rows(form) ? condition->up : 0;
    int attn = condition->v - condition->attn, ffn = condition->up - condition->ffn;
    const char *slot_names[PACKED_PER_LAYER] = {
        [PACKED_ATTN_NORM] = "attn_norm",    [PACKED_QKV] = "qkv",
        [PACKED_QKV_BIAS] = "qkv_bias",      [PACKED_ATTN_OUT] = "attn_out",
        [PACKED_ATTN_OUT_BIAS] = "out_bias", [PACKED_FFN_NORM] = "ffn_norm",
        [PACKED_GATE_UP] = "gate_up",        [PACKED_DOWN] = "down",
    };
    const size_t n_cols[PACKED_PER_LAYER] = {
        [PACKED_QKV] = c->d_model,
        [PACKED_ATTN_OUT] = (size_t)c->n_heads * c->head_dim_v,
        [PACKED_GATE_UP] = c->d_model,
        [PACKED_DOWN] = c->d_ff,
    };
    for (int slot = 0; slot < PACKED_PER_LAYER; slot++) {
        Str name = arena_printf(arena, "layer_%02u_%s", layer, slot_names[slot]);
        out[slot] = n_cols[slot] ? matrix(layer, name, form, n_cols[slot]) : vector(layer, name);
        out[slot].rope_dim = contract_layer(c, layer)->rope_dim;
    }

    add_part(&out[PACKED_ATTN_NORM], "attn_norm", w->attn_norm, false);
    add_part(&out[PACKED_QKV], "q", w->q, unroll);
    add_part(&out[PACKED_QKV], "k", w->k, unroll);
    add_scaled(&out[PACKED_QKV], "v", w->v, -v);
    add_part(&out[PACKED_QKV_BIAS], "q_bias", w->q_bias, unroll);
    add_part(&out[PACKED_QKV_BIAS], "k_bias", w->k_bias, unroll);
    add_scaled(&out[PACKED_QKV_BIAS], "v_bias", w->v_bias, -v);
    add_scaled(&out[PACKED_ATTN_OUT], "attn_out", w->attn_out, attn);
    add_scaled(&out[PACKED_ATTN_OUT_BIAS], "attn_out_bias", w->attn_out_bias, -condition->attn);
    add_part(&out[PACKED_FFN_NORM], "ffn_norm", w->ffn_norm, false);
    add_part(&out[PACKED_GATE_UP], "gate", w->gate, false);
    add_scaled(&out[PACKED_GATE_UP], "up", w->up, -up);
    add_scaled(&out[PACKED_DOWN], "down", w->down, ffn);
    out[PACKED_ATTN_NORM].offset = out[PACKED_FFN_NORM].offset = c->norm_offset;
}

PackedTensor packed_output_norm(const Model *model) {
    PackedTensor t = vector(NO_LAYER, STR("output_norm"));
    add_part(&t, "output_norm", model->weights.output_norm, false);
    t.offset = model->contract.norm_offset;
    return t;
}

PackedTensor packed_head(const Model *model, PackFormat form, uint32_t first, uint32_t end,
                         Arena *arena) {
    PackedTensor t =
        matrix(NO_LAYER, arena_printf(arena, "head_%u", first), form, model->contract.d_model);
    Rows rows = model->weights.head;
    rows.first_row += first;
    rows.n_rows = end - first;
    add_part(&t, "head", rows, false);
    return t;
}

static MilType data_type(const PackedTensor *t) {
    MilDtype dtype = t->form == WEIGHTS_F16 ? MIL_F16 : MIL_I8;
    return (MilType){.dtype = dtype, .rank = 4, .dims = {t->n_rows, t->n_cols, 1, 1}};
}

static uint32_t scale_rows(const PackedTensor *t) {
    return t->form == WEIGHTS_INT8_CHANNEL ? t->n_rows : t->form == WEIGHTS_INT8_TENSOR ? 1 : 0;
}

static uint64_t blob_bytes(uint64_t n_bytes) {
    return BLOB_RECORD_BYTES + (n_bytes + BLOB_ALIGN - 1) / BLOB_ALIGN * BLOB_ALIGN;
}

uint64_t packed_bytes(const PackedTensor *t) {
    if (t->n_parts == 0) return 0;
    uint64_t weights = (uint64_t)t->n_rows * t->n_cols, scales = scale_rows(t);
    return blob_bytes(t->form == WEIGHTS_F16 ? 2 * weights : weights) +
           (scales ? blob_bytes(2 * scales) : 0);
}

void packed_place(PackedTensor *t, BlobPlan *blobs, Arena *arena) {
    if (t->n_parts == 0) return;
    MilType data = data_type(t);
    t->data_offset = blob_plan_add(blobs, arena, &data);
    if (!scale_rows(t)) return;
    MilType scales = {.dtype = MIL_F16, .rank = 4, .dims = {scale_rows(t), 1, 1, 1}};
    t->scale_offset = blob_plan_add(blobs, arena, &scales);
}
