// infer_product.c — rules of products: linear, matmul, einsum, attention.
#include <inttypes.h>

#include "mil/infer.h"

bool infer_linear(MilInfer *i) {
    const MilType *x = infer_type(i, "x"), *weight = infer_type(i, "weight"),
                  *bias = infer_type(i, "bias");
    if (x->rank < 1 || weight->rank != 2 || !dims_agree(x->dims[x->rank - 1], weight->dims[1]))
        return infer_fail(i, "weight is %s, expected [rows, last dim of x], x is %s",
                          infer_shape_text(i, weight), infer_shape_text(i, x));
    if (bias && (bias->rank != 1 || !dims_agree(bias->dims[0], weight->dims[0])))
        return infer_fail(i, "bias is %s for a weight of %s", infer_shape_text(i, bias),
                          infer_shape_text(i, weight));
    MilType result = *x;
    result.dims[x->rank - 1] = weight->dims[0];
    return infer_result(i, result);
}

// `t` as a matrix with leading batch dims: transposed if asked, a vector made a row (or a column,
// for y).
static bool as_matrix(MilInfer *i, const char *param, bool transpose, bool is_row, MilType *out) {
    const MilType *t = infer_type(i, param);
    if (t->rank == 0) return infer_fail(i, "%s is a scalar", param);
    if (t->rank == 1) {
        if (transpose) return infer_fail(i, "%s is a vector and cannot be transposed", param);
        *out = type_of(t->dtype);
        type_append(out, is_row ? 1 : t->dims[0]);
        type_append(out, is_row ? t->dims[0] : 1);
        return true;
    }
    *out = *t;
    if (transpose) {
        out->dims[t->rank - 1] = t->dims[t->rank - 2];
        out->dims[t->rank - 2] = t->dims[t->rank - 1];
    }
    return true;
}

static bool is_const_op(const MilInfer *i, const char *param) {
    ValueId v = mil_operand(i->f, i->op, mil_param(i->op->info, param));
    return mil_value(i->f, v)->data != NULL;
}

bool infer_matmul(MilInfer *i) {
    bool transpose_x, transpose_y;
    MilType x, y, result;
    if (!infer_bool(i, "transpose_x", &transpose_x) || !infer_bool(i, "transpose_y", &transpose_y))
        return false;
    if (!as_matrix(i, "x", transpose_x, true, &x) || !as_matrix(i, "y", transpose_y, false, &y))
        return false;
    int64_t inner = x.dims[x.rank - 1], rows = x.dims[x.rank - 2], columns = y.dims[y.rank - 1];
    if (!dims_agree(inner, y.dims[y.rank - 2]))
        return infer_fail(i, "x %s%s and y %s%s do not multiply",
                          infer_shape_text(i, infer_type(i, "x")), transpose_x ? " transposed" : "",
                          infer_shape_text(i, infer_type(i, "y")),
                          transpose_y ? " transposed" : "");
    // dtypes may differ only when one operand is a const (a constexpr result does not count); the
    // other one decides
    bool x_is_const = is_const_op(i, "x"), y_is_const = is_const_op(i, "y");
    if (x.dtype != y.dtype && x_is_const == y_is_const)
        return infer_fail(i, "x is %s but y is %s; they must have one type",
                          mil_dtypes[x.dtype].name, mil_dtypes[y.dtype].name);
    MilDtype dtype = x_is_const && !y_is_const ? y.dtype : x.dtype;

    x.rank -= 2;
    y.rank -= 2;
    if (!infer_broadcast_shapes(i, &x, &y, &result)) return false;
    result.dtype = dtype;
    if (infer_type(i, "x")->rank > 1) type_append(&result, rows);
    if (infer_type(i, "y")->rank > 1) type_append(&result, columns);
    return infer_result(i, result);
}

// Letters in order of first sight become 'a', 'b', …: "nchw,nwhu->nchu" and "bhqk,…" compare equal
// then.
static bool normal_equation(Str equation, char *out, size_t cap) {
    char seen[256] = {0};
    char next = 'a';
    size_t n = 0;
    for (size_t k = 0; k < equation.len; k++) {
        uint8_t c = (uint8_t)equation.at[k];
        if (n + 1 >= cap) return false;
        if (c == ',' || c == '-' || c == '>') {
            out[n++] = (char)c;
        } else {
            if (!seen[c]) seen[c] = next++;
            out[n++] = seen[c];
        }
    }
    out[n] = 0;
    return true;
}

bool infer_einsum(MilInfer *i) {
    Str equation;
    char normal[32];
    if (!infer_text(i, "equation", &equation)) return false;
    if (infer_count(i, "values") != 2)
        return infer_fail(i, "values are %u tensors, expected 2", infer_count(i, "values"));
    const MilType *x = infer_type_at(i, "values", 0), *y = infer_type_at(i, "values", 1);
    if (x->dtype != y->dtype || x->rank != y->rank)
        return infer_fail(i, "values are %s%s and %s%s, expected one type and rank",
                          mil_dtypes[x->dtype].name, infer_shape_text(i, x),
                          mil_dtypes[y->dtype].name, infer_shape_text(i, y));
    bool known = normal_equation(equation, normal, sizeof normal) &&
                 ((x->rank == 4 && strcmp(normal, "abcd,adce->abce") == 0) ||
                  (x->rank == 3 && strcmp(normal, "abc,cbd->abd") == 0));
    if (!known)
        return infer_fail(
            i, "equation '%.*s' for rank %d; Core ML knows nchw,nwhu->nchu and chw,whr->chr only",
            STR_ARG(equation), x->rank);

    // both end in x [c, h, w], y [w, h, u]; h and n broadcast
    int last = x->rank - 1;
    MilType a = type_of(x->dtype), b = a, shared;
    if (x->rank == 4) {
        type_append(&a, x->dims[0]);
        type_append(&b, y->dims[0]);
    }
    type_append(&a, x->dims[last - 1]);
    type_append(&b, y->dims[last - 1]);
    if (!dims_agree(x->dims[last], y->dims[last - 2]) ||
        !infer_broadcast_shapes(i, &a, &b, &shared))
        return infer_fail(i, "values %s and %s do not fit equation '%.*s'", infer_shape_text(i, x),
                          infer_shape_text(i, y), STR_ARG(equation));
    MilType result = *x;
    if (x->rank == 4) result.dims[0] = shared.dims[0];
    result.dims[last - 1] = shared.dims[shared.rank - 1];
    result.dims[last] = y->dims[last];
    return infer_result(i, result);
}

bool infer_attention(MilInfer *i) {
    const MilType *query = infer_type(i, "query"), *key = infer_type(i, "key"),
                  *value = infer_type(i, "value"), *mask = infer_type(i, "attn_mask");
    int rank = query->rank, last = rank - 1;
    bool fits = rank >= 3 && key->rank == rank && value->rank == rank &&
                dims_agree(query->dims[last], key->dims[last]) &&
                dims_agree(key->dims[last - 1], value->dims[last - 1]);
    for (int k = 0; fits && k < rank - 2; k++)
        fits = dims_agree(query->dims[k], key->dims[k]) &&
               dims_agree(query->dims[k], value->dims[k]) &&
               dims_agree(key->dims[k], value->dims[k]);
    if (!fits)
        return infer_fail(i,
                          "query %s, key %s and value %s, expected [batch…, L, E], [batch…, S, E] "
                          "and [batch…, S, EV]",
                          infer_shape_text(i, query), infer_shape_text(i, key),
                          infer_shape_text(i, value));
    if (mask) {
        MilType scores = *query, broadcast;
        scores.dims[last] = key->dims[last - 1];
        if (mask->rank < 1 || !dims_agree(mask->dims[mask->rank - 1], scores.dims[last]) ||
            !infer_broadcast_shapes(i, &scores, mask, &broadcast))
            return infer_fail(
                i, "attn_mask is %s, expected it to broadcast to %s with its last dim full",
                infer_shape_text(i, mask), infer_shape_text(i, &scores));
    }
    MilType result = *query;
    result.dims[last] = value->dims[last];
    return infer_result(i, result);
}
