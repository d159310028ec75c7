// Constants of a program as weights: const and constexpr ops, without unpacking their data.
#include "engine/constants.h"

#include <string.h>

#include "engine/layout.h"

static bool op_is_constexpr(const MilOp *op) {
    return (op->info->flags & MIL_OP_CONSTEXPR) != 0;
}

bool value_is_constant(const MilFunction *f, uint32_t v) {
    const MilValue *value = &f->values[v];
    if (value->data) return value->type.dtype != MIL_STRING;
    return value->op != MIL_NO_OP && op_is_constexpr(&f->ops[value->op]);
}

const void *constant_bytes(Engine *e, uint32_t v) {
    const MilValue *value = &e->f->values[v];
    size_t n_bytes;
    const void *bytes = package_data(e->package, value, &n_bytes);
    // Immediate data lies anywhere in the program's bytes; blobs are aligned in their file.
    size_t element = mil_dtypes[value->type.dtype].bits / 8;
    if (element <= 1 || (uintptr_t)bytes % element == 0) return bytes;
    void *copy = arena_alloc(&e->arena, n_bytes, 1);
    memcpy(copy, bytes, n_bytes);
    return copy;
}

static const Weight *raw_weight(Engine *e, uint32_t v) {
    Weight *w = arena_new(&e->arena, Weight);
    *w = (Weight){
        .storage = WEIGHT_RAW,
        .count = e->tensors[v].count,
        .k = e->k,
        .dtype = e->f->values[v].type.dtype,
        .bytes = constant_bytes(e, v),
    };
    return w;
}

// Operand `param` of the constexpr op, as value index; NO_INDEX when not given.
static uint32_t operand_of(const Engine *e, const MilOp *op, const char *param) {
    int i = mil_param(op->info, param);
    return i < 0 ? NO_INDEX : mil_operand(e->f, op, i).at; // MIL_NO_VALUE is NO_INDEX
}

// All of a small constant (scales, tables) as floats in the arena.
static const float *constant_floats(Engine *e, uint32_t v, Err *err) {
    const Weight *w = weight_of_constant(e, v, err);
    if (!w) return NULL;
    float *out = arena_array(&e->arena, w->count ? w->count : 1, float);
    weight_decode(w, 0, w->count, out);
    return out;
}

static Weight *new_weight(Engine *e, WeightStorage storage, uint32_t result) {
    Weight *w = arena_new(&e->arena, Weight);
    const EngineTensor *t = &e->tensors[result];
    *w = (Weight){
        .storage = storage,
        .count = t->count,
        .rounds = e->rules->round && t->type.dtype == MIL_F16,
        .k = e->k,
    };
    return w;
}

static const Weight *shift_scale_weight(Engine *e, const MilOp *op, uint32_t result, Err *err) {
    uint32_t data = operand_of(e, op, "data"), scale = operand_of(e, op, "scale");
    uint32_t offset = operand_of(e, op, "offset");
    Weight *w = new_weight(e, WEIGHT_SCALED, result);
    const MilType *cut = &e->f->values[scale].type, *whole = &e->f->values[data].type;
    w->blocks = blocks_of(whole->rank, whole->dims, cut->dims);
    w->codes = weight_of_constant(e, data, err);
    w->scale = constant_floats(e, scale, err);
    if (offset != NO_INDEX) w->offset = constant_floats(e, offset, err);
    return w->codes && w->scale && (w->offset || offset == NO_INDEX) ? w : NULL;
}

// A scalar, or one number for each of n: as one for each of n.
static const float *spread_floats(Engine *e, uint32_t v, size_t n, Err *err) {
    const float *given = constant_floats(e, v, err);
    if (!given || e->tensors[v].count == n) return given;
    float *out = arena_array(&e->arena, n, float);
    for (size_t i = 0; i < n; i++) out[i] = given[0];
    return out;
}

// scale (q - zero_point) along one axis is the blockwise form with blocks of one slice.
static const Weight *affine_weight(Engine *e, const MilOp *op, uint32_t result, Err *err) {
    uint32_t data = operand_of(e, op, "quantized_data"), scale = operand_of(e, op, "scale");
    uint32_t zero = operand_of(e, op, "zero_point"), axis_value = operand_of(e, op, "axis");
    const MilType *whole = &e->f->values[data].type;
    int32_t axis;
    decode_ints(MIL_I32, constant_bytes(e, axis_value), 0, 1, &axis);
    if (axis < 0) axis += whole->rank;
    if (axis < 0 || axis >= whole->rank) {
        err_set(err, ERR_FORMAT, "op '%.*s' (%s): axis %d does not exist in a tensor of rank %d",
                STR_ARG(op->name), op->info->name, axis, whole->rank);
        return NULL;
    }
    int64_t cuts[MIL_MAX_RANK];
    for (int i = 0; i < whole->rank; i++) cuts[i] = i == axis ? whole->dims[i] : 1;
    size_t n = (size_t)whole->dims[axis];
    Weight *w = new_weight(e, WEIGHT_SCALED, result);
    w->blocks = blocks_of(whole->rank, whole->dims, cuts);
    w->codes = weight_of_constant(e, data, err);
    w->scale = spread_floats(e, scale, n, err);
    const float *offset = spread_floats(e, zero, n, err);
    if (!w->codes || !w->scale || !offset) return NULL;
    for (size_t i = 0; i < n; i++)
        if (offset[i] != 0) w->offset = offset; // all zero: none, which has a faster way
    return w;
}

static const Weight *palette_weight(Engine *e, const MilOp *op, uint32_t result, Err *err) {
    uint32_t indices = operand_of(e, op, "indices"), lut = operand_of(e, op, "lut");
    uint32_t axis_value = operand_of(e, op, "vector_axis");
    const MilType *whole = &e->f->values[indices].type, *table = &e->f->values[lut].type;
    Weight *w = new_weight(e, WEIGHT_PALETTE, result);
    w->codes = weight_of_constant(e, indices, err);
    w->table = constant_floats(e, lut, err);
    if (!w->codes || !w->table) return NULL;
    w->blocks = blocks_of(whole->rank, whole->dims, table->dims);
    w->entries = (size_t)table->dims[table->rank - 2];
    w->vector = (size_t)table->dims[table->rank - 1];
    if (w->vector > 1) {
        int32_t axis;
        decode_ints(MIL_I32, constant_bytes(e, axis_value), 0, 1, &axis);
        AxisSplit split = axis_split(whole, axis < 0 ? axis + whole->rank : axis);
        w->vector_size = split.size;
        w->vector_inner = split.inner;
    }
    return w;
}

// The form of specification 7: one table, indices packed by hand as wide as the table needs.
static const Weight *palette_weight_v7(Engine *e, const MilOp *op, uint32_t result, Err *err) {
    uint32_t indices = operand_of(e, op, "indices"), lut = operand_of(e, op, "lut");
    static const struct {
        size_t entries;
        MilDtype dtype;
    } widths[] = {{2, MIL_U1}, {4, MIL_U2}, {16, MIL_U4}, {64, MIL_U6}, {256, MIL_U8}};
    Weight *w = new_weight(e, WEIGHT_PALETTE, result);
    w->table = constant_floats(e, lut, err);
    if (!w->table) return NULL;
    w->entries = e->tensors[lut].count;
    w->vector = 1;
    const MilType *whole = &e->f->values[result].type;
    int64_t one_table[MIL_MAX_RANK] = {1, 1, 1, 1, 1, 1};
    w->blocks = blocks_of(whole->rank, whole->dims, one_table);
    Weight *codes = arena_new(&e->arena, Weight);
    *codes = *raw_weight(e, indices);
    codes->count = w->count;
    w->codes = codes;
    for (size_t i = 0; i < COUNT_OF(widths); i++)
        if (widths[i].entries == w->entries) {
            codes->dtype = widths[i].dtype;
            return w;
        }
    err_set(err, ERR_FORMAT, "op '%.*s' (%s): a table of %zu entries, expected 2, 4, 16, 64 or 256",
            STR_ARG(op->name), op->info->name, w->entries);
    return NULL;
}

static const Weight *sparse_weight(Engine *e, const MilOp *op, uint32_t result, Err *err) {
    Weight *w = new_weight(e, WEIGHT_SPARSE, result);
    w->codes = weight_of_constant(e, operand_of(e, op, "nonzero_data"), err);
    if (!w->codes) return NULL;
    w->mask = constant_bytes(e, operand_of(e, op, "mask"));
    uint32_t *ranks = arena_array(&e->arena, w->count / MASK_STEP + 1, uint32_t);
    size_t n_set = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (i % MASK_STEP == 0) ranks[i / MASK_STEP] = (uint32_t)n_set;
        n_set += w->mask[i / 8] >> (i % 8) & 1;
    }
    w->ranks = ranks;
    if (n_set == w->codes->count) return w;
    err_set(err, ERR_FORMAT, "op '%.*s' (%s): %zu bits are set in mask, but there are %zu values",
            STR_ARG(op->name), op->info->name, n_set, w->codes->count);
    return NULL;
}

static const Weight *cast_weight(Engine *e, const MilOp *op, uint32_t result, Err *err) {
    (void)result; // fp16 to fp32 changes no number
    return weight_of_constant(e, operand_of(e, op, "source_val"), err);
}

// Ops that have two forms of one name are told apart by how their parameters are written.
static const struct {
    const char *name;
    bool has_attributes;
    const Weight *(*make)(Engine *e, const MilOp *op, uint32_t result, Err *err);
} makers[] = {
    {"constexpr_blockwise_shift_scale", false, shift_scale_weight},
    {"constexpr_affine_dequantize", true, affine_weight},
    {"constexpr_lut_to_dense", false, palette_weight},
    {"constexpr_lut_to_dense", true, palette_weight_v7},
    {"constexpr_sparse_to_dense", false, sparse_weight},
    {"constexpr_sparse_to_dense", true, sparse_weight},
    {"constexpr_cast", false, cast_weight},
    {"constexpr_cast", true, cast_weight},
};

static const Weight *make_weight(Engine *e, uint32_t v, Err *err) {
    const MilValue *value = &e->f->values[v];
    if (value->data) return raw_weight(e, v);
    const MilOp *op = &e->f->ops[value->op];
    bool has_attributes = (op->info->flags & MIL_OP_ATTRIBUTES) != 0;
    for (size_t i = 0; i < COUNT_OF(makers); i++)
        if (makers[i].has_attributes == has_attributes &&
            strcmp(makers[i].name, op->info->name) == 0)
            return makers[i].make(e, op, v, err);
    err_set(err, ERR_FORMAT, "op '%.*s': the engine has no %s", STR_ARG(op->name), op->info->name);
    return NULL;
}

const Weight *weight_of_constant(Engine *e, uint32_t v, Err *err) {
    ValueStorage *stored = &e->storages[v];
    if (!stored->weight) stored->weight = make_weight(e, v, err);
    return stored->weight;
}
