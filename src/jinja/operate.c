// operate.c — operators and slices.
#include <math.h>

#include "jinja/jinja.h"

static JValue integer_op(Render *r, JOp op, JValue left, JValue right) {
    JWide a, b, result = 1;
    bool overflows = !jinja_wide(left, &a) || !jinja_wide(right, &b);
    if (overflows) return jinja_fail(r, "the result does not fit into 128 bits");
    switch (op) {
    case OP_ADD: overflows = __builtin_add_overflow(a, b, &result); break;
    case OP_SUB: overflows = __builtin_sub_overflow(a, b, &result); break;
    case OP_MUL: overflows = __builtin_mul_overflow(a, b, &result); break;
    case OP_POW:
        for (JWide i = 0; i < b && !overflows; i++) {
            overflows = __builtin_mul_overflow(result, a, &result);
            if (a == 0 || a == 1) break;
            if (a == -1) {
                result = b % 2 ? -1 : 1;
                break;
            }
        }
        break;
    default: // OP_FLOOR_DIV, OP_MOD: round down, as Python does
        if (b == 0) return jinja_fail(r, "division by zero");
        if (b == -1) {
            if (op == OP_MOD)
                result = 0;
            else
                overflows = __builtin_sub_overflow(0, a, &result);
            break;
        }
        result = a / b - (a % b != 0 && (a < 0) != (b < 0));
        if (op == OP_MOD) result = a - result * b;
    }
    return overflows ? jinja_fail(r, "the result does not fit into 128 bits")
                     : jinja_of_wide(r->arena, result);
}

// As CPython: the remainder, which is exact, first.
static double floor_div(double a, double b) {
    double rest = fmod(a, b), whole = (a - rest) / b;
    if (rest != 0 && (rest < 0) != (b < 0)) whole -= 1;
    if (whole == 0) return copysign(0, a / b);
    return whole - floor(whole) > 0.5 ? floor(whole) + 1 : floor(whole);
}

static JValue float_op(Render *r, JOp op, double a, double b) {
    double result = 0;
    if ((op == OP_DIV || op == OP_FLOOR_DIV || op == OP_MOD) && b == 0)
        return jinja_fail(r, "division by zero");
    switch (op) {
    case OP_ADD: result = a + b; break;
    case OP_SUB: result = a - b; break;
    case OP_MUL: result = a * b; break;
    case OP_DIV: result = a / b; break;
    case OP_FLOOR_DIV: result = floor_div(a, b); break;
    case OP_MOD: // as Python: the sign of the divisor
        result = fmod(a, b);
        if (result == 0) result = copysign(0, b);
        if (result != 0 && (result < 0) != (b < 0)) result += b;
        break;
    default: // OP_POW
        if (a == 0 && b < 0) return jinja_fail(r, "division by zero");
        result = pow(a, b);
        if (isnan(result) ? !isnan(a) && !isnan(b) : isinf(result) && !isinf(a) && !isinf(b))
            return jinja_fail(r, "the power is not a real number, or too large");
    }
    return (JValue){.kind = J_FLOAT, .number = result};
}

static JValue repeat(Render *r, JValue v, int64_t times) {
    size_t n = times > 0 ? (size_t)times : 0, length = v.kind == J_STR ? v.text.len : v.list->count;
    if (n && length > TEMPLATE_MAX_OUTPUT / sizeof(JValue) / n)
        return jinja_fail(r, "repetition too long: %zu times %zu", n, length);
    StrBuf text = {0};
    JValue list = jinja_sequence(r, v.form);
    for (size_t i = 0; i < n && length && jinja_charge_bytes(r, length); i++) {
        if (v.kind == J_STR) strbuf_add(&text, v.text);
        for (size_t k = 0; v.kind == J_LIST && k < length; k++)
            jinja_push(r, list.list, v.list->at[k]);
    }
    JValue out = v.kind == J_LIST ? list : jinja_keep(r, &text);
    out.is_safe = v.is_safe;
    return out;
}

// How often a sequence is repeated; false for anything but an integer or a boolean.
static bool is_count(JValue v, int64_t *n) {
    if (v.kind == J_INT) *n = v.integer;
    if (v.kind == J_BOOL) *n = v.truth;
    return v.kind == J_INT || v.kind == J_BOOL;
}

static bool is_repeatable(JValue v) {
    return v.kind == J_STR || (v.kind == J_LIST && v.form <= FORM_TUPLE);
}

static JValue join_lists(Render *r, JValue a, JValue b) {
    JValue list = jinja_sequence(r, a.form);
    if (!jinja_charge(r, a.list->count + b.list->count)) return list;
    for (size_t i = 0; i < a.list->count; i++) jinja_push(r, list.list, a.list->at[i]);
    for (size_t i = 0; i < b.list->count; i++) jinja_push(r, list.list, b.list->at[i]);
    return list;
}

static JValue join_texts(Render *r, JValue a, JValue b) {
    StrBuf text = {0};
    jinja_print(a, &text);
    jinja_print(b, &text);
    return jinja_keep(r, &text);
}

JValue jinja_binary(Render *r, JOp op, JValue a, JValue b) {
    if (r->failed) return (JValue){0};
    if (op == OP_CONCAT) return join_texts(r, a, b);
    if (a.kind == J_UNDEFINED) return jinja_refuse_undefined(r, a);
    if (op == OP_MOD && a.kind == J_STR) return jinja_format_percent(r, a.text, b);
    if (b.kind == J_UNDEFINED) return jinja_refuse_undefined(r, b);
    if (op == OP_ADD && a.kind == J_STR && b.kind == J_STR) {
        bool is_safe = a.is_safe || b.is_safe;
        if (is_safe) a = jinja_escape(r, a), b = jinja_escape(r, b);
        JValue joined = join_texts(r, a, b);
        joined.is_safe = is_safe;
        return joined;
    }
    if (op == OP_ADD && a.kind == J_LIST && b.kind == J_LIST && a.form == b.form &&
        a.form <= FORM_TUPLE)
        return join_lists(r, a, b);
    int64_t n;
    if (op == OP_MUL && is_repeatable(a) && is_count(b, &n)) return repeat(r, a, n);
    if (op == OP_MUL && is_repeatable(b) && is_count(a, &n)) return repeat(r, b, n);
    if (!jinja_is_number(a) || !jinja_is_number(b))
        return jinja_fail(r, "unsupported operands: %s and %s", jinja_type_name(a),
                          jinja_type_name(b));
    bool is_whole = jinja_is_whole(a) && jinja_is_whole(b);
    if (is_whole && op != OP_DIV && !(op == OP_POW && jinja_number(b) < 0))
        return integer_op(r, op, a, b);
    return float_op(r, op, jinja_number(a), jinja_number(b));
}

JValue jinja_compare(Render *r, JOp op, JValue a, JValue b) {
    if (r->failed) return (JValue){0};
    switch (op) {
    case OP_EQ: return J_TRUTH(jinja_equal(r, a, b));
    case OP_NE: return J_TRUTH(!jinja_equal(r, a, b));
    case OP_IN: return J_TRUTH(jinja_contains(r, b, a));
    case OP_NOT_IN: return J_TRUTH(!jinja_contains(r, b, a));
    default: break;
    }
    if (a.kind == J_UNDEFINED) return jinja_refuse_undefined(r, a);
    if (b.kind == J_UNDEFINED) return jinja_refuse_undefined(r, b);
    bool has_nan = jinja_is_nan(a) || jinja_is_nan(b);
    int order = jinja_order(r, a, b);
    if (has_nan) return J_TRUTH(false);
    return J_TRUTH(op == OP_LT   ? order < 0
                   : op == OP_LE ? order <= 0
                   : op == OP_GT ? order > 0
                                 : order >= 0);
}

JValue jinja_negate(Render *r, JValue v) {
    if (jinja_is_whole(v)) return integer_op(r, OP_SUB, J_NUMBER(0), v);
    if (v.kind == J_FLOAT) return (JValue){.kind = J_FLOAT, .number = -v.number};
    if (v.kind == J_UNDEFINED) return jinja_refuse_undefined(r, v);
    return jinja_fail(r, "cannot negate %s", jinja_type_name(v));
}

// ---- slices

// Of a number beyond 64 bits its sign is enough: every place lies before it, or after.
static bool slice_number(Render *r, JValue v, int64_t *out) {
    if (v.kind != J_BIG_INT) return jinja_need_number(r, v, out);
    *out = *v.text.at == '-' ? -INT64_MAX : INT64_MAX;
    return true;
}

static bool slice_bound(Render *r, JValue v, int64_t otherwise, int64_t n, int64_t least,
                        int64_t *out) {
    *out = otherwise;
    if (v.kind == J_NONE) return true;
    if (!slice_number(r, v, out)) return false;
    if (*out < 0) *out += n;
    if (*out < least) *out = least;
    if (*out > n) *out = n;
    return true;
}

// "range(3, -1, -1)": what a slice of a range is called.
static Str slice_spelling(Render *r, const JList *range, int64_t from, int64_t to, int64_t by) {
    int64_t first = range->at[0].integer, step = 1;
    if (range->count > 1) step = range->at[1].integer - first;
    Str text = arena_printf(r->arena, "range(%lld, %lld", (long long)(first + from * step),
                            (long long)(first + to * step));
    if (step * by == 1) return arena_printf(r->arena, "%.*s)", STR_ARG(text));
    return arena_printf(r->arena, "%.*s, %lld)", STR_ARG(text), (long long)(step * by));
}

JValue jinja_slice(Render *r, JValue v, JValue from, JValue to, JValue step) {
    if (v.kind == J_UNDEFINED) return jinja_refuse_undefined(r, v);
    if (v.kind != J_STR && (v.kind != J_LIST || v.form > FORM_RANGE))
        return jinja_fail(r, "cannot slice %s", jinja_type_name(v));
    int64_t n = (int64_t)(v.kind == J_LIST ? v.list->count : text_length(v.text)), by = 1, i, end;
    if (step.kind != J_NONE && !slice_number(r, step, &by)) return step;
    if (by == 0) return jinja_fail(r, "slice step cannot be zero");
    bool is_back = by < 0;
    if (!slice_bound(r, from, is_back ? n - 1 : 0, n, is_back ? -1 : 0, &i) ||
        !slice_bound(r, to, is_back ? -1 : n, n, is_back ? -1 : 0, &end))
        return v;
    if (is_back && i > n - 1) i = n - 1;
    if (v.kind == J_STR && by == 1) {
        if (!jinja_charge_bytes(r, v.text.len)) return v;
        v.text = text_slice(v.text, (size_t)i, (size_t)(end > i ? end : i));
        return v;
    }
    bool is_shared = v.kind == J_LIST && by == 1;
    JValue items = jinja_items(r, v);
    JValue list = is_shared ? jinja_share(r, v, (size_t)i, (size_t)end, v.form)
                            : jinja_sequence(r, v.kind == J_LIST ? v.form : FORM_LIST);
    if (v.kind == J_LIST && v.form == FORM_RANGE && n)
        list.list->spelling = slice_spelling(r, v.list, i, end, by);
    if (is_shared) return list;
    for (; !r->failed && (is_back ? i > end : i < end); i += by) {
        jinja_push(r, list.list, items.list->at[i]);
        if (by > n || by < -n) break; // the next index could overflow, and is outside anyway
    }
    if (r->failed || v.kind == J_LIST) return list;
    StrBuf text = {0};
    for (size_t k = 0; k < list.list->count; k++) strbuf_add(&text, list.list->at[k].text);
    JValue out = jinja_keep(r, &text);
    out.is_safe = v.is_safe;
    return out;
}
