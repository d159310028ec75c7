// weights.c — rules about compressed weights: the granularity of the scales decides whether the ANE
// takes them (E rows), the size how fast they stream (X01).
#include <inttypes.h>

#include "placement/judge.h"

enum { OUTPUT_AXIS = 0 }; // of a weight of conv and linear: [out, in, …]

// Whether `scale` has more than one entry along an axis other than the output's.
static bool is_per_block(const MilType *scale) {
    for (int i = 0; i < scale->rank; i++)
        if (i != OUTPUT_AXIS && scale->dims[i] != 1) return true;
    return false;
}

static const MilOp *made_by(const Judge *j, const MilValue *v) {
    return v && v->op != MIL_NO_OP ? &j->f->ops[v->op] : NULL;
}

static bool is_palette(const MilOp *op) {
    return op && (op->info->opcode == MIL_OP_constexpr_lut_to_dense ||
                  op->info->opcode == MIL_OP_constexpr_lut_to_dense_v7);
}

static void judge_codes(Judge *j, uint32_t at, MilDtype dtype, bool is_tensor) {
    switch (dtype) {
    case MIL_I8:
    case MIL_U8:
        if (is_tensor) judge_find(j, at, RULE_E01, "%s", mil_dtypes[dtype].name);
        return;
    case MIL_I4:
    case MIL_U4: judge_find(j, at, RULE_E04b, "%s", mil_dtypes[dtype].name); return;
    default: judge_find(j, at, RULE_E00, "scaled %s", mil_dtypes[dtype].name);
    }
}

static void judge_scaled(Judge *j, uint32_t at, const MilOp *form) {
    const MilValue *data = judge_operand(j, form, "data");
    const MilType *scale = &judge_operand(j, form, "scale")->type;
    bool from_palette = is_palette(made_by(j, data));
    if (is_per_block(scale)) {
        judge_find(j, at, from_palette ? RULE_E09 : RULE_E04, "scales along the input axis");
        return;
    }
    int64_t rows = data->type.dims[OUTPUT_AXIS], scales = scale->dims[OUTPUT_AXIS];
    if (from_palette)
        judge_find(j, at, RULE_E08, "%s entries", mil_dtypes[data->type.dtype].name);
    else if (scales != 1 && scales != rows)
        judge_find(j, at, RULE_E00, "one scale for %" PRId64 " output channels", rows / scales);
    else
        judge_codes(j, at, data->type.dtype, scales == 1);
}

// The form before specification 9: a scalar scale, or one along `axis`.
static void judge_affine(Judge *j, uint32_t at, const MilOp *form) {
    const MilValue *data = judge_operand(j, form, "quantized_data");
    bool is_tensor = judge_operand(j, form, "scale")->type.rank == 0;
    int64_t axis = OUTPUT_AXIS;
    mil_arg_int(j->f, form, "axis", &axis);
    if (!is_tensor && axis != OUTPUT_AXIS)
        judge_find(j, at, RULE_E04, "scales along axis %" PRId64, axis);
    else
        judge_codes(j, at, data->type.dtype, is_tensor);
}

static int bits_of(int64_t n_entries) {
    int bits = 0;
    while ((INT64_C(1) << bits) < n_entries) bits++;
    return bits;
}

static bool is_head(const Judge *j, uint32_t at) {
    const MilOp *op = &j->f->ops[at];
    const MilType *out = &j->f->values[op->first_output].type;
    return op->info->opcode == MIL_OP_conv && out->rank > 1 &&
           out->dims[1] > (int64_t)rule_limit(RULE_A12);
}

static void judge_bits(Judge *j, uint32_t at, int bits) {
    if (bits < (int)rule_limit(RULE_E11)) judge_find(j, at, RULE_E11, "%d bits", bits);
    if (bits < (int)rule_limit(RULE_H06) && is_head(j, at))
        judge_find(j, at, RULE_H06, "%d bits", bits);
}

// lut: [palettes along each axis of the indices …, entries, vector].
static void judge_palette(Judge *j, uint32_t at, const MilOp *form) {
    const MilType *indices = &judge_operand(j, form, "indices")->type;
    const MilType *lut = &judge_operand(j, form, "lut")->type;
    MilType palettes = *lut;
    palettes.rank = indices->rank;
    if (is_per_block(&palettes)) {
        judge_find(j, at, RULE_E09, "palettes along the input axis");
        return;
    }
    if (lut->dims[lut->rank - 1] != 1)
        judge_find(j, at, RULE_E00, "vectors of %" PRId64, lut->dims[lut->rank - 1]);
    int64_t group = indices->dims[OUTPUT_AXIS] / palettes.dims[OUTPUT_AXIS];
    if (group < (int64_t)rule_limit(RULE_E06))
        judge_find(j, at, RULE_E06, "%" PRId64 " channels a palette", group);
    judge_bits(j, at, bits_of(lut->dims[lut->rank - 2]));
}

static void judge_form(Judge *j, uint32_t at, const MilOp *form) {
    switch (form->info->opcode) {
    case MIL_OP_constexpr_blockwise_shift_scale: {
        const MilOp *inner = made_by(j, judge_operand(j, form, "data"));
        judge_scaled(j, at, form);
        if (is_palette(inner) && inner->info->opcode == MIL_OP_constexpr_lut_to_dense)
            judge_palette(j, at, inner);
        else
            judge_bits(j, at, (int)mil_dtypes[judge_operand(j, form, "data")->type.dtype].bits);
        return;
    }
    case MIL_OP_constexpr_affine_dequantize: judge_affine(j, at, form); return;
    case MIL_OP_constexpr_lut_to_dense: judge_palette(j, at, form); return;
    case MIL_OP_constexpr_lut_to_dense_v7: {
        const MilType *lut = &judge_operand(j, form, "lut")->type;
        judge_bits(j, at, bits_of(lut->dims[lut->rank - 1]));
        return;
    }
    case MIL_OP_constexpr_cast:
    case MIL_OP_constexpr_cast_v7: return; // what comes out is judged by its type
    default: judge_find(j, at, RULE_E00, "%s", form->info->name);
    }
}

// ---- the stream of weights

bool judge_is_slow(const Judge *j, const MilOp *conv, double n_bytes) {
    const MilValue *weight = judge_operand(j, conv, "weight");
    int64_t rows = weight->type.dims[OUTPUT_AXIS];
    if (!weight->is_constant || rows < 1) return false;
    if (!rule_is_for(&placement_rules[RULE_X01], j->target)) return false;
    return notch_is_hit(notch_share((uint64_t)rows, (uint64_t)n_bytes / (uint64_t)rows));
}

static void judge_stream(Judge *j, uint32_t at) {
    const MilOp *op = &j->f->ops[at];
    const MilValue *weight = judge_operand(j, op, "weight");
    if (!weight->is_constant) return;
    uint64_t n_bytes = (uint64_t)judge_packed_bytes(j, weight);
    j->out->conv_bytes += n_bytes;
    if (!judge_is_slow(j, op, (double)n_bytes)) return;
    uint64_t rows = (uint64_t)weight->type.dims[OUTPUT_AXIS];
    j->out->slow_bytes += n_bytes;
    judge_find(j, at, RULE_X01, "%" PRIu64 " rows of %" PRIu64 " bytes: %.3f MiB a core", rows,
               n_bytes / rows, (double)notch_share(rows, n_bytes / rows) / (1 << 20));
}

void judge_weights(Judge *j, uint32_t at) {
    const MilOp *op = &j->f->ops[at];
    if (op->info->opcode == MIL_OP_conv) judge_stream(j, at);
    for (uint32_t p = 0; p < op->info->n_params; p++)
        for (uint32_t k = 0; k < op->args[p].count; k++) {
            const MilOp *form = made_by(j, mil_value(j->f, j->f->operands[op->args[p].first + k]));
            if (form && form->info->flags & MIL_OP_CONSTEXPR) judge_form(j, at, form);
        }
}
