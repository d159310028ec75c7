// infer.c — checks an op's operands against its row of ops.def, runs its rule; functions that the
// rules share.
#include "mil/infer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>

bool infer_fail(MilInfer *i, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    err_vset(i->err, ERR_FORMAT, fmt, args);
    va_end(args);
    return false;
}

// ---- operands

static const MilArg *arg_of(const MilInfer *i, const char *param) {
    int at = mil_param(i->op->info, param);
    assert(at >= 0);
    return &i->op->args[at];
}

uint32_t infer_count(const MilInfer *i, const char *param) {
    return arg_of(i, param)->count;
}

bool infer_has(const MilInfer *i, const char *param) {
    return infer_count(i, param) > 0;
}

static ValueId operand(const MilInfer *i, const char *param, uint32_t at) {
    const MilArg *arg = arg_of(i, param);
    return at < arg->count ? i->f->operands[arg->first + at] : MIL_NO_VALUE;
}

const MilType *infer_type_at(const MilInfer *i, const char *param, uint32_t at) {
    ValueId v = operand(i, param, at);
    return value_is_none(v) ? NULL : &mil_value(i->f, v)->type;
}

const MilType *infer_type(const MilInfer *i, const char *param) {
    return infer_type_at(i, param, 0);
}

bool infer_ints(MilInfer *i, const char *param, InferInts *out) {
    *out = (InferInts){0};
    ValueId v = operand(i, param, 0);
    if (value_is_none(v)) return true;
    const MilType *t = &mil_value(i->f, v)->type;
    if (t->rank > 1) return infer_fail(i, "%s has rank %d, expected a vector", param, t->rank);
    int64_t n = t->rank ? t->dims[0] : 1;
    if (n > MIL_MAX_OUTPUTS)
        return infer_fail(i, "%s has %" PRId64 " items, at most %d are handled", param, n,
                          MIL_MAX_OUTPUTS);
    out->given = true;
    out->n = n > 0 ? (uint32_t)n : 0;
    size_t count;
    out->known = mil_const_ints(i->f, v, out->at, MIL_MAX_OUTPUTS, &count);
    for (uint32_t k = 0; out->known && k < out->n; k++)
        if (out->at[k] > MIL_MAX_DIM || out->at[k] < -MIL_MAX_DIM)
            return infer_fail(i, "%s holds %" PRId64 ", out of range", param, out->at[k]);
    return true;
}

bool infer_ints_or(MilInfer *i, const char *param, uint32_t n, int64_t fallback, InferInts *out) {
    if (!infer_ints(i, param, out)) return false;
    if (!out->given) {
        assert(n <= MIL_MAX_OUTPUTS);
        out->known = true;
        out->n = n;
        for (uint32_t k = 0; k < n; k++) out->at[k] = fallback;
    }
    if (out->n != n && (out->n || out->known))
        return infer_fail(i, "%s has %u items, expected %u", param, out->n, n);
    return true;
}

static bool refuse_not_constant(MilInfer *i, const char *param, const char *expected) {
    ValueId v = operand(i, param, 0);
    if (value_is_none(v)) return infer_fail(i, "%s is missing", param);
    StrBuf text = {0};
    mil_type_print(&mil_value(i->f, v)->type, &text);
    bool has_data = mil_value(i->f, v)->data;
    infer_fail(i, "%s is %s%.*s, expected %s", param, has_data ? "" : "computed, of type ",
               STR_ARG(strbuf_str(&text)), expected);
    strbuf_free(&text);
    return false;
}

bool infer_int(MilInfer *i, const char *param, int64_t *out) {
    if (!mil_arg_int(i->f, i->op, param, out)) return refuse_not_constant(i, param, "one integer");
    if (*out > MIL_MAX_DIM || *out < -MIL_MAX_DIM)
        return infer_fail(i, "%s is %" PRId64 ", out of range", param, *out);
    return true;
}

bool infer_bool(MilInfer *i, const char *param, bool *out) {
    return mil_arg_bool(i->f, i->op, param, out) || refuse_not_constant(i, param, "one bool");
}

bool infer_text(MilInfer *i, const char *param, Str *out) {
    return mil_arg_str(i->f, i->op, param, out) || refuse_not_constant(i, param, "one string");
}

bool infer_axis_of(MilInfer *i, const char *param, int64_t axis, int rank, int *out) {
    if (axis < -rank || axis >= rank)
        return infer_fail(i, "%s is %" PRId64 ", expected %d to %d", param, axis, -rank, rank - 1);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return true;
}

bool infer_axis(MilInfer *i, const char *param, int rank, int *axis) {
    int64_t value;
    return infer_int(i, param, &value) && infer_axis_of(i, param, value, rank, axis);
}

bool infer_dtype(MilInfer *i, const char *param, uint32_t dtypes, MilDtype *out) {
    Str text;
    if (!infer_text(i, param, &text)) return false;
    for (uint32_t d = 0; d < MIL_DTYPE_COUNT; d++)
        if ((dtypes >> d & 1) && str_is(text, mil_dtypes[d].name)) {
            *out = (MilDtype)d;
            return true;
        }
    return infer_fail(i, "%s is '%.*s', which is not a type this op can give", param,
                      STR_ARG(text));
}

// ---- shapes

int64_t dim_mul(int64_t a, int64_t b) {
    if (a == MIL_UNKNOWN_DIM || b == MIL_UNKNOWN_DIM) return MIL_UNKNOWN_DIM;
    int64_t product;
    if (__builtin_mul_overflow(a, b, &product) || product > MIL_MAX_DIM) return MIL_MAX_DIM + 1;
    return product;
}

int64_t dim_add(int64_t a, int64_t b) {
    if (a == MIL_UNKNOWN_DIM || b == MIL_UNKNOWN_DIM) return MIL_UNKNOWN_DIM;
    return a + b > MIL_MAX_DIM ? MIL_MAX_DIM + 1 : a + b;
}

int64_t dims_product(const MilType *t, int from, int to) {
    int64_t product = 1;
    for (int k = from; k < to; k++) product = dim_mul(product, t->dims[k]);
    return product;
}

MilType type_of(MilDtype dtype) {
    return (MilType){.dtype = dtype};
}

void type_append(MilType *t, int64_t dim) {
    if (t->rank < MIL_MAX_RANK) t->dims[t->rank] = dim;
    t->rank++;
}

void type_append_dims(MilType *t, const MilType *from, int first, int end) {
    for (int k = first; k < end; k++) type_append(t, from->dims[k]);
}

const char *infer_shape_text(const MilInfer *i, const MilType *t) {
    StrBuf text = {0};
    strbuf_add_char(&text, '[');
    for (int k = 0; k < t->rank && k < MIL_MAX_RANK; k++) {
        if (k) strbuf_add(&text, STR(", "));
        if (t->dims[k] == MIL_UNKNOWN_DIM) {
            strbuf_add_char(&text, '?');
        } else {
            strbuf_printf(&text, "%" PRId64, t->dims[k]);
        }
    }
    strbuf_add_char(&text, ']');
    const char *kept = arena_cstr(i->f->arena, strbuf_str(&text));
    strbuf_free(&text);
    return kept;
}

bool infer_broadcast_shapes(MilInfer *i, const MilType *a, const MilType *b, MilType *out) {
    int rank = a->rank > b->rank ? a->rank : b->rank;
    MilType result = type_of(a->dtype);
    for (int k = 0; k < rank; k++) {
        int in_a = k - (rank - a->rank), in_b = k - (rank - b->rank);
        int64_t m = in_a < 0 ? 1 : a->dims[in_a], n = in_b < 0 ? 1 : b->dims[in_b];
        if (m == 1) {
            type_append(&result, n);
        } else if (n == 1) {
            type_append(&result, m);
        } else if (dims_agree(m, n)) {
            // an unknown dim against one above 1 can only be 1 or the same
            type_append(&result, dim_known_of(m, n));
        } else {
            return infer_fail(i, "shapes %s and %s do not broadcast", infer_shape_text(i, a),
                              infer_shape_text(i, b));
        }
    }
    *out = result;
    return true;
}

bool infer_result(MilInfer *i, MilType type) {
    if (i->n_out == MIL_MAX_OUTPUTS) return infer_fail(i, "more than %d outputs", MIL_MAX_OUTPUTS);
    if (type.rank > MIL_MAX_RANK)
        return infer_fail(i, "the result has rank %d, at most %d is possible", type.rank,
                          MIL_MAX_RANK);
    for (int k = 0; k < type.rank; k++) {
        int64_t dim = type.dims[k];
        if (dim != MIL_UNKNOWN_DIM && (dim < 0 || dim > MIL_MAX_DIM))
            return infer_fail(i, "dim %d of the result is out of range", k);
    }
    i->out[i->n_out++] = type;
    return true;
}

// ---- the row

static void print_dtypes(uint32_t dtypes, StrBuf *out) {
    int left = __builtin_popcount(dtypes);
    for (uint32_t d = 0; d < MIL_DTYPE_COUNT; d++) {
        if (!(dtypes >> d & 1)) continue;
        strbuf_printf(out, "%s%s", mil_dtypes[d].name, left > 2 ? ", " : left == 2 ? " or " : "");
        left--;
    }
}

static bool check_dtype(MilInfer *i, const MilParam *p, const MilType *t) {
    if (p->flags & MIL_PARAM_STATE)
        return t->is_state || infer_fail(i, "%s is a tensor, expected a state", p->name);
    if (t->is_state)
        return infer_fail(i, "%s is a state, which only read_state and write_state can take",
                          p->name);
    if (p->dtypes >> t->dtype & 1) return true;
    StrBuf expected = {0};
    print_dtypes(p->dtypes, &expected);
    infer_fail(i, "%s is %s, expected %.*s", p->name, mil_dtypes[t->dtype].name,
               STR_ARG(strbuf_str(&expected)));
    strbuf_free(&expected);
    return false;
}

// Whether the parameter may be computed at run time, named by a const op, or written in place.
static bool check_source(MilInfer *i, const MilParam *p, const MilValue *v) {
    bool is_literal = v->data && v->op == MIL_NO_OP;
    uint32_t flags = i->op->info->flags;
    if ((flags & MIL_OP_ATTRIBUTES) && !is_literal)
        return infer_fail(i, "%s is '%.*s', expected a literal", p->name, STR_ARG(v->name));
    if ((p->flags & MIL_PARAM_CONST) && !v->is_constant)
        return infer_fail(i, "%s is '%.*s', which is computed at run time; it must be a constant",
                          p->name, STR_ARG(v->name));
    if (is_literal && v->data->is_blob && !(flags & (MIL_OP_ATTRIBUTES | MIL_OP_LITERALS)))
        return infer_fail(i, "%s is a literal in a weight file; give it a name with const",
                          p->name);
    return true;
}

static bool check_group(MilInfer *i, uint32_t param, const MilType *t) {
    const MilParam *params = i->op->info->params;
    for (uint32_t q = 0; params[param].group && q < param; q++) {
        if (params[q].group != params[param].group || !i->op->args[q].count) continue;
        MilDtype other = mil_value(i->f, mil_operand(i->f, i->op, (int)q))->type.dtype;
        if (other != t->dtype)
            return infer_fail(i, "%s is %s but %s is %s; they must have one type", params[q].name,
                              mil_dtypes[other].name, params[param].name,
                              mil_dtypes[t->dtype].name);
    }
    return true;
}

static bool check_params(MilInfer *i) {
    const MilOpInfo *info = i->op->info;
    for (uint32_t p = 0; p < info->n_params; p++) {
        const MilParam *param = &info->params[p];
        MilArg arg = i->op->args[p];
        if (!arg.count) {
            if (param->flags & MIL_PARAM_OPTIONAL) continue;
            return infer_fail(i, "%s is missing", param->name);
        }
        if (arg.count > 1 && !(param->flags & MIL_PARAM_TUPLE))
            return infer_fail(i, "%s is given %u values, expected one", param->name, arg.count);
        for (uint32_t k = 0; k < arg.count; k++) {
            const MilValue *v = mil_value(i->f, i->f->operands[arg.first + k]);
            if (!check_dtype(i, param, &v->type) || !check_source(i, param, v)) return false;
        }
        if (!check_group(i, p, infer_type(i, param->name))) return false;
    }
    return true;
}

bool mil_infer(const MilFunction *f, const MilOp *op, MilType *out, uint32_t *n_out, Err *err) {
    MilInfer i = {.f = f, .op = op, .out = out, .err = err};
    if (!check_params(&i) || !op->info->infer(&i))
        return err_prefix(err, "%s '%.*s'", op->info->name, STR_ARG(op->name));
    *n_out = i.n_out;
    return true;
}

bool infer_nothing(MilInfer *i) {
    (void)i;
    return true;
}
