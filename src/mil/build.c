// build.c — the typed builder.
#include "mil/build.h"

#include <assert.h>
#include <stdarg.h>

#include "base/half.h"
#include "base/size.h"
#include "mil/function.h"

// The first failure, whose message is in b->err, sticks.
static ValueId refused(Builder *b) {
    b->failed = true;
    if (b->scope.len) err_prefix(b->err, "%.*s", STR_ARG(b->scope));
    return MIL_NO_VALUE;
}

ValueId builder_refuse(Builder *b, const char *fmt, ...) {
    if (b->failed) return MIL_NO_VALUE;
    va_list args;
    va_start(args, fmt);
    err_vset(b->err, ERR_FORMAT, fmt, args);
    va_end(args);
    return refused(b);
}

Builder builder_begin(MilProgram *p, const char *name, Err *err) {
    bool is_taken = mil_find_function(p, str_of(name)) != NULL;
    Builder b = {.program = p, .f = mil_function_new(p, str_of(name)), .err = err};
    if (!mil_opset(p->spec_version))
        builder_refuse(&b, "specification version %d cannot carry an ML Program, expected %d to %d",
                       (int)p->spec_version, MIL_SPEC_FIRST, MIL_SPEC_LAST);
    if (!mil_name_is_valid(str_of(name)))
        builder_refuse(&b, "function '%s': the name is not an identifier", name);
    if (is_taken) builder_refuse(&b, "function '%s': the name is taken", name);
    return b;
}

MilType mil_tensor(MilDtype dtype, int rank, const int64_t *dims) {
    assert(rank >= 0 && rank <= MIL_MAX_RANK);
    MilType t = {.dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++) t.dims[i] = dims[i];
    return t;
}

static bool name_is_free(Builder *b, const char *what, const char *name) {
    Str s = str_of(name);
    if (!mil_name_is_valid(s)) {
        builder_refuse(b, "%s '%s': the name is not an identifier or is a reserved word", what,
                       name);
    } else if (!value_is_none(mil_find_value(b->f, s))) {
        builder_refuse(b, "%s '%s': the name is taken", what, name);
    }
    return !b->failed;
}

// The name, copied, when a new value may have it; empty after a failure.
static Str new_name(Builder *b, const char *what, const char *name) {
    if (b->failed || !name_is_free(b, what, name)) return STR("");
    return arena_str(b->f->arena, str_of(name));
}

ValueId build_input(Builder *b, const char *name, MilType type) {
    Str copy = new_name(b, "input", name);
    if (!copy.len) return MIL_NO_VALUE;
    MilValue value = {.name = copy, .type = type, .op = MIL_NO_OP};
    ValueId v = mil_function_add_value(b->f, value);
    mil_function_add_input(b->f, v);
    return v;
}

ValueId build_state(Builder *b, const char *name, MilType type) {
    type.is_state = true;
    return build_input(b, name, type);
}

void build_output(Builder *b, ValueId v) {
    if (b->failed) return;
    assert(!value_is_none(v));
    const MilValue *value = mil_value(b->f, v);
    if (!value->name.len) {
        builder_refuse(b, "output: a literal cannot be an output, it has no name");
    } else if (value->type.is_state) {
        builder_refuse(b, "output '%.*s': a state is not an output", STR_ARG(value->name));
    } else {
        mil_function_add_output(b->f, v);
    }
}

// ---- constants

static const MilData *copy_data(Builder *b, const MilType *type, const void *bytes,
                                size_t n_bytes) {
    size_t expected;
    bool fits = mil_type_bytes(type, &expected) && expected == n_bytes;
    assert(fits);
    (void)fits;
    MilData *data = arena_new(b->f->arena, MilData);
    void *copy = arena_alloc(b->f->arena, n_bytes ? n_bytes : 1, 1);
    if (n_bytes) memcpy(copy, bytes, n_bytes);
    data->bytes = copy;
    data->n_bytes = n_bytes;
    return data;
}

static ValueId add_named(Builder *b, Str name, MilType type, const MilData *data) {
    MilValue value = {.name = name, .type = type, .data = data, .op = b->f->n_ops};
    ValueId v = mil_function_add_value(b->f, value);
    mil_function_add_op(
        b->f,
        (MilOp){.info = mil_op(MIL_OP_const), .name = name, .first_output = v.at, .n_outputs = 1});
    return v;
}

static ValueId add_const(Builder *b, const char *name, MilType type, const void *bytes,
                         size_t n_bytes) {
    Str copy = new_name(b, "const", name);
    return copy.len ? add_named(b, copy, type, copy_data(b, &type, bytes, n_bytes)) : MIL_NO_VALUE;
}

ValueId build_const_f16(Builder *b, const char *name, float value) {
    uint16_t half = half_from_f32(value);
    uint8_t bytes[2] = {(uint8_t)half, (uint8_t)(half >> 8)};
    return add_const(b, name, mil_tensor(MIL_F16, 0, NULL), bytes, sizeof bytes);
}

static ValueId add_const_f32(Builder *b, const char *name, float value) {
    uint32_t u = f32_bits(value);
    uint8_t bytes[4] = {(uint8_t)u, (uint8_t)(u >> 8), (uint8_t)(u >> 16), (uint8_t)(u >> 24)};
    return add_const(b, name, mil_tensor(MIL_F32, 0, NULL), bytes, sizeof bytes);
}

static ValueId add_const_i32(Builder *b, const char *name, const int32_t *values, size_t n,
                             int rank) {
    uint8_t *bytes = arena_alloc(b->f->arena, n ? n : 1, 4);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 4; k++) bytes[4 * i + k] = (uint8_t)((uint32_t)values[i] >> (8 * k));
    return add_const(b, name, mil_tensor(MIL_I32, rank, &(int64_t){(int64_t)n}), bytes, 4 * n);
}

ValueId build_const_int(Builder *b, const char *name, int32_t value) {
    return add_const_i32(b, name, &value, 1, 0);
}

ValueId build_const_ints(Builder *b, const char *name, const int32_t *values, size_t n) {
    return add_const_i32(b, name, values, n, 1);
}

ValueId build_const_bool(Builder *b, const char *name, bool value) {
    return add_const(b, name, mil_tensor(MIL_BOOL, 0, NULL), &(uint8_t){value}, 1);
}

ValueId build_const_str(Builder *b, const char *name, const char *value) {
    Str copy = new_name(b, "const", name);
    if (!copy.len) return MIL_NO_VALUE;
    Str *strings = arena_new(b->f->arena, Str);
    *strings = arena_str(b->f->arena, str_of(value));
    MilData *data = arena_new(b->f->arena, MilData);
    data->strings = strings;
    return add_named(b, copy, mil_tensor(MIL_STRING, 0, NULL), data);
}

static const MilData *blob_data(Builder *b, MilPlace at) {
    Arena *arena = b->f->arena;
    MilData *data = arena_new(arena, MilData);
    data->is_blob = true;
    data->file = at.file == 0
                     ? STR(MIL_WEIGHT_FILE)
                     : arena_printf(arena, MIL_WEIGHT_FOLDER "%s", mil_weight_name(at.file, arena));
    data->offset = at.offset;
    return data;
}

ValueId build_const_blob(Builder *b, const char *name, MilType type, MilPlace at) {
    assert(mil_dtypes[type.dtype].blob_id);
    Str copy = new_name(b, "const", name);
    return copy.len ? add_named(b, copy, type, blob_data(b, at)) : MIL_NO_VALUE;
}

static ValueId add_literal(Builder *b, MilType type, const MilData *data) {
    MilValue value = {.type = type, .data = data, .op = MIL_NO_OP};
    return mil_function_add_value(b->f, value);
}

ValueId build_literal(Builder *b, MilType type, const void *bytes, size_t n_bytes) {
    return b->failed ? MIL_NO_VALUE : add_literal(b, type, copy_data(b, &type, bytes, n_bytes));
}

ValueId build_literal_blob(Builder *b, MilType type, MilPlace at) {
    assert(mil_dtypes[type.dtype].blob_id);
    return b->failed ? MIL_NO_VALUE : add_literal(b, type, blob_data(b, at));
}

// ---- ops

// What is given so far for the op to be added: operands in the order of its row.
typedef struct {
    const MilOpInfo *info;
    const char *name;
    const BuildArg *args[MIL_MAX_PARAMS];
    ValueId made[MIL_MAX_PARAMS]; // defaults
    BuildArg made_args[MIL_MAX_PARAMS];
} Call;

static const MilType *given_type(const Builder *b, const Call *c, const char *param) {
    int at = mil_param(c->info, param);
    const BuildArg *arg = at < 0 ? NULL : c->args[at];
    return arg ? &mil_value(b->f, arg->values[0])->type : NULL;
}

// The dtype that parameter `at` shares with others of its group, or `otherwise`.
static MilDtype group_dtype(const Builder *b, const Call *c, uint32_t at, MilDtype otherwise) {
    const MilParam *params = c->info->params;
    for (uint32_t q = 0; params[at].group && q < c->info->n_params; q++)
        if (params[q].group == params[at].group && c->args[q])
            return mil_value(b->f, c->args[q]->values[0])->type.dtype;
    return otherwise;
}

ValueId build_const_real(Builder *b, const char *name, MilDtype dtype, double value) {
    if (dtype == MIL_F16) return build_const_f16(b, name, (float)value);
    if (dtype == MIL_I32) return build_const_int(b, name, (int32_t)value);
    if (dtype == MIL_BOOL) return build_const_bool(b, name, value != 0);
    return add_const_f32(b, name, (float)value);
}

static ValueId zero_bias(Builder *b, const Call *c, const char *name) {
    const MilType *weight = given_type(b, c, "weight");
    if (!weight || weight->rank != 2 || weight->dims[0] < 0)
        return MIL_NO_VALUE; // the op's rule will refuse
    MilType type = MIL_TENSOR(weight->dtype, weight->dims[0]);
    size_t n_bytes;
    if (!mil_type_bytes(&type, &n_bytes)) return MIL_NO_VALUE;
    return add_const(b, name, type, arena_alloc(b->f->arena, n_bytes ? n_bytes : 1, 1), n_bytes);
}

// Writes out the default of parameter `at` as a const; MIL_NO_VALUE when absent means absent.
static ValueId add_default(Builder *b, const Call *c, uint32_t at) {
    const MilParam *p = &c->info->params[at];
    const MilType *x = c->args[0] ? &mil_value(b->f, c->args[0]->values[0])->type : NULL;
    const char *name = arena_printf(b->f->arena, "%s_%s_0%c", c->name, p->name, 0).at;
    double number = p->fallback.number;
    int32_t ints[2 * MIL_MAX_RANK] = {0};
    size_t rank = x ? (size_t)x->rank : 0, n_spatial = rank > 2 ? rank - 2 : 0;

    switch (p->fallback.kind) {
    case MIL_DEFAULT_NONE: return MIL_NO_VALUE;
    case MIL_DEFAULT_INT: return build_const_real(b, name, group_dtype(b, c, at, MIL_I32), number);
    case MIL_DEFAULT_BOOL: return build_const_bool(b, name, number != 0);
    case MIL_DEFAULT_TEXT: return build_const_str(b, name, p->fallback.text);
    case MIL_DEFAULT_REAL: return build_const_real(b, name, group_dtype(b, c, at, MIL_F32), number);
    case MIL_DEFAULT_REAL_OF_X: return build_const_real(b, name, x ? x->dtype : MIL_F32, number);
    case MIL_DEFAULT_ZERO_PAIRS: return build_const_ints(b, name, ints, 2 * n_spatial);
    case MIL_DEFAULT_ZERO_BIAS: return zero_bias(b, c, name);
    case MIL_DEFAULT_ONES:
        for (size_t i = 0; i < n_spatial; i++) ints[i] = 1;
        return build_const_ints(b, name, ints, n_spatial);
    case MIL_DEFAULT_ALL_AXES:
        for (size_t i = 0; i < rank; i++) ints[i] = (int32_t)i;
        return build_const_ints(b, name, ints, rank);
    }
    return MIL_NO_VALUE;
}

// topk without indices takes no dtype of indices.
static bool is_left_out(const Builder *b, const Call *c, uint32_t at) {
    if (c->info->opcode != MIL_OP_topk ||
        strcmp(c->info->params[at].name, "output_indices_dtype") != 0)
        return false;
    int param = mil_param(c->info, "return_indices");
    bool has_indices = true;
    return c->args[param] && mil_const_bool(b->f, c->args[param]->values[0], &has_indices) &&
           !has_indices;
}

static bool place_args(Builder *b, Call *c, const BuildArg *args, size_t n_args) {
    for (size_t i = 0; i < n_args && !b->failed; i++) {
        int at = mil_param(c->info, args[i].param);
        bool is_absent = !args[i].count || (args[i].count == 1 && value_is_none(args[i].values[0]));
        if (at < 0 || c->args[at]) {
            builder_refuse(b, "%s '%s': parameter '%s' is %s", c->info->name, c->name,
                           args[i].param, at < 0 ? "unknown" : "given twice");
        } else if (!is_absent) {
            for (size_t k = 0; k < args[i].count; k++)
                assert(args[i].values[k].at < b->f->n_values); // else none, or of another function
            c->args[at] = &args[i];
        }
    }
    return !b->failed;
}

// Makes the consts of parameters that were not given and have a default.
static bool add_defaults(Builder *b, Call *c) {
    for (uint32_t p = 0; p < c->info->n_params && !b->failed; p++) {
        if (c->args[p] || is_left_out(b, c, p)) continue;
        c->made[p] = add_default(b, c, p);
        if (value_is_none(c->made[p])) continue;
        c->made_args[p] = (BuildArg){c->info->params[p].name, &c->made[p], 1};
        c->args[p] = &c->made_args[p];
    }
    return !b->failed;
}

// Adds the op with outputs of these types and returns the first of them.
static ValueId add_op(Builder *b, MilOp op, const MilType *types, uint32_t n_types) {
    MilFunction *f = b->f;
    op.first_output = f->n_values;
    op.n_outputs = n_types;
    for (uint32_t i = 0; i < n_types; i++) {
        Str name = n_types == 1 ? op.name : arena_printf(f->arena, "%.*s_%u", STR_ARG(op.name), i);
        if (!value_is_none(mil_find_value(f, name)))
            return builder_refuse(b, "%s '%.*s': the name '%.*s' of its output is taken",
                                  op.info->name, STR_ARG(op.name), STR_ARG(name));
        MilValue value = {.name = name, .type = types[i], .op = f->n_ops, .result = i};
        mil_function_add_value(f, value);
    }
    mil_function_add_op(f, op);
    return n_types ? (ValueId){op.first_output} : MIL_NO_VALUE;
}

ValueId build_op(Builder *b, const char *name, MilOpcode opcode, const BuildArg *args,
                 size_t n_args) {
    if (b->failed) return MIL_NO_VALUE;
    assert(opcode != MIL_OP_const);
    Call c = {.info = mil_op(opcode), .name = name};
    if (b->program->spec_version < c.info->since || b->program->spec_version > c.info->until)
        return builder_refuse(b, "%s '%s': not an op of specification version %d", c.info->name,
                              name, (int)b->program->spec_version);
    if (!place_args(b, &c, args, n_args) || !name_is_free(b, c.info->name, name) ||
        !add_defaults(b, &c))
        return MIL_NO_VALUE;

    MilOp op = {.info = c.info, .name = arena_str(b->f->arena, str_of(name))};
    for (uint32_t p = 0; p < c.info->n_params; p++)
        if (c.args[p])
            op.args[p] = mil_function_add_operands(b->f, c.args[p]->values, c.args[p]->count);
    MilType types[MIL_MAX_OUTPUTS];
    uint32_t n_types;
    if (!mil_infer(b->f, &op, types, &n_types, b->err)) return refused(b);
    return add_op(b, op, types, n_types);
}
