// parse.c — the text form, read. mil.h describes it; print.c writes it.
//
// The text is untrusted: counts are bounded by the length of the remaining text, and names must be
// defined before they are used. mil_validate() judges whether the parts fit each other.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/half.h"
#include "mil/build.h"
#include "mil/function.h"
#include "mil/infer.h"
#include "mil/lex.h"

typedef struct {
    Lexer lex;
    MilProgram *program;
    MilFunction *f;
    // operands of the op being read
    ValueId *values;
    uint32_t n_values;
    size_t cap_values;
} Parser;

// ---- types

static bool dtype_named(Str name, MilDtype *out) {
    for (uint32_t d = 0; d < MIL_DTYPE_COUNT; d++)
        if (str_is(name, mil_dtypes[d].name)) {
            *out = (MilDtype)d;
            return true;
        }
    return false;
}

static MilType tensor_type(Lexer *l) {
    MilType t = {0};
    Str name = lex_word(l, "a type");
    if (!l->failed && !dtype_named(name, &t.dtype))
        lex_fail(l, "'%.*s' is not a type", STR_ARG(name));
    if (!lex_accept(l, '[')) return t;
    do {
        if (t.rank == MIL_MAX_RANK) lex_fail(l, "a type has more than %d dims", MIL_MAX_RANK);
        if (l->failed) return t;
        t.dims[t.rank++] =
            lex_accept(l, '?') ? MIL_UNKNOWN_DIM : (int64_t)lex_unsigned(l, MIL_MAX_DIM, "a dim");
    } while (lex_accept(l, ','));
    lex_expect(l, ']');
    return t;
}

static MilType any_type(Lexer *l) {
    if (!str_is(lex_peek_word(l), "state")) return tensor_type(l);
    lex_keyword(l, "state");
    lex_expect(l, '<');
    MilType t = tensor_type(l);
    lex_expect(l, '>');
    t.is_state = true;
    return t;
}

// ---- content of constants

static void put_element(uint8_t *bytes, size_t at, unsigned bits, uint64_t value) {
    for (unsigned k = 0; bits >= 8 && k < bits; k += 8)
        bytes[at * (bits / 8) + k / 8] = (uint8_t)(value >> k);
    for (unsigned k = 0; bits < 8 && k < bits; k++) {
        size_t bit = at * bits + k;
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] | (value >> k & 1) << (bit % 8));
    }
}

static uint64_t float_bits(MilDtype dtype, double x) {
    uint64_t bits;
    switch (dtype) {
    case MIL_F16: return half_from_f32((float)x);
    case MIL_BF16: return f32_bits((float)x) >> 16; // the printed text of one is a float's, exact
    case MIL_F32: return f32_bits((float)x);
    default: memcpy(&bits, &x, sizeof bits); return bits;
    }
}

// Decimal, inf, or 0x… for the bits of a NaN.
static uint64_t float_element(Lexer *l, MilDtype dtype, Str s) {
    bool is_negative;
    uint64_t bits;
    char text[64];
    if (s.len > 2 && s.at[0] == '0' && s.at[1] == 'x') {
        unsigned width = mil_dtypes[dtype].bits;
        if (lex_integer(s, &is_negative, &bits) && (width == 64 || !(bits >> width))) return bits;
    } else if (s.len < sizeof text) {
        memcpy(text, s.at, s.len);
        text[s.len] = 0;
        char *end;
        double x = strtod(text, &end);
        if (end == text + s.len && !isnan(x)) return float_bits(dtype, x);
    }
    lex_fail(l, "'%.*s' is not a number of %s", STR_ARG(s), mil_dtypes[dtype].name);
    return 0;
}

static uint64_t integer_element(Lexer *l, MilDtype dtype, bool is_signed, Str s) {
    bool is_negative;
    uint64_t magnitude, most = UINT64_MAX >> (64 - mil_dtypes[dtype].bits);
    if (is_signed) most >>= 1;
    if (!lex_integer(s, &is_negative, &magnitude) || (is_negative && !is_signed) ||
        magnitude > most + (is_negative ? 1 : 0)) {
        lex_fail(l, "'%.*s' is not a number of %s", STR_ARG(s), mil_dtypes[dtype].name);
        return 0;
    }
    return is_negative ? 0 - magnitude : magnitude;
}

static uint64_t bool_element(Lexer *l) {
    Str w = lex_word(l, "true or false");
    if (!l->failed && !str_is(w, "true") && !str_is(w, "false"))
        lex_fail(l, "'%.*s' is not true or false", STR_ARG(w));
    return str_is(w, "true");
}

static uint64_t element(Lexer *l, MilDtype dtype) {
    if (dtype == MIL_BOOL) return bool_element(l);
    Str s = lex_number(l);
    if (l->failed) return 0;
    switch (dtype) {
    case MIL_F16:
    case MIL_BF16:
    case MIL_F32:
    case MIL_F64: return float_element(l, dtype, s);
    case MIL_I4:
    case MIL_I8:
    case MIL_I16:
    case MIL_I32:
    case MIL_I64: return integer_element(l, dtype, true, s);
    default: return integer_element(l, dtype, false, s);
    }
}

static void elements(Lexer *l, const MilType *t, MilData *data) {
    size_t count, n_bytes = 0;
    bool is_text = t->dtype == MIL_STRING;
    if (!mil_type_count(t, &count) || count > (size_t)(l->end - l->at) ||
        (!is_text && !mil_type_bytes(t, &n_bytes))) {
        lex_fail(l, "a constant has an unknown dim or more elements than the text has room for");
        return;
    }
    uint8_t *bytes = arena_alloc(l->arena, n_bytes ? n_bytes : 1, 1);
    Str *strings = is_text ? arena_array(l->arena, count ? count : 1, Str) : NULL;
    if (t->rank) lex_expect(l, '[');
    for (size_t i = 0; i < count && !l->failed; i++) {
        if (i) lex_expect(l, ',');
        if (strings) {
            strings[i] = lex_string(l);
        } else {
            put_element(bytes, i, mil_dtypes[t->dtype].bits, element(l, t->dtype));
        }
    }
    if (t->rank) lex_expect(l, ']');
    data->bytes = strings ? NULL : bytes;
    data->n_bytes = n_bytes;
    data->strings = strings;
}

// The content of `const(val = …)` or of a literal's parentheses.
static const MilData *content(Lexer *l, const MilType *t) {
    MilData *data = arena_new(l->arena, MilData);
    if (!str_is(lex_peek_word(l), "blob")) {
        elements(l, t, data);
        return data;
    }
    lex_keyword(l, "blob");
    lex_expect(l, '(');
    data->is_blob = true;
    data->file = lex_string(l);
    lex_expect(l, ',');
    data->offset = lex_unsigned(l, UINT64_MAX, "a blob's offset");
    lex_expect(l, ')');
    return data;
}

// ---- operands

static void push_operand(Parser *p, ValueId v) {
    p->values = arena_grow(p->lex.arena, p->values, p->n_values, &p->cap_values, sizeof *p->values);
    p->values[p->n_values++] = v;
}

// A dtype's name, followed as in a literal; a value may have such a name too.
static bool at_literal(Lexer *l) {
    MilDtype dtype;
    Str w = lex_peek_word(l);
    const char *back = l->at;
    if (!dtype_named(w, &dtype)) return false;
    l->at += w.len;
    char next = lex_peek(l);
    l->at = back;
    return next == '[' || next == '(';
}

static ValueId named_value(Parser *p) {
    Str name = lex_word(&p->lex, "a value");
    ValueId v = p->lex.failed ? MIL_NO_VALUE : mil_find_value(p->f, name);
    if (value_is_none(v)) lex_fail(&p->lex, "'%.*s' is used before it is defined", STR_ARG(name));
    return v;
}

static void operand(Parser *p) {
    ValueId v;
    if (at_literal(&p->lex)) {
        MilValue value = {.type = tensor_type(&p->lex), .op = MIL_NO_OP};
        lex_expect(&p->lex, '(');
        value.data = content(&p->lex, &value.type);
        lex_expect(&p->lex, ')');
        v = p->lex.failed ? MIL_NO_VALUE : mil_function_add_value(p->f, value);
    } else {
        v = named_value(p);
    }
    if (!p->lex.failed) push_operand(p, v);
}

static int param_named(const MilOpInfo *info, Str name) {
    for (uint32_t k = 0; k < info->n_params; k++)
        if (str_is(name, info->params[k].name)) return (int)k;
    return -1;
}

// `param = value, tuple = (value, …)`, into op->args.
static void arguments(Parser *p, MilOp *op) {
    Lexer *l = &p->lex;
    if (lex_peek(l) == ')') return;
    do {
        Str name = lex_word(l, "a parameter");
        lex_expect(l, '=');
        int param = param_named(op->info, name);
        if (param < 0 || op->args[param].count)
            lex_fail(l, "%s: parameter '%.*s' is %s", op->info->name, STR_ARG(name),
                     param < 0 ? "unknown" : "given twice");
        if (l->failed) return;
        p->n_values = 0;
        if (lex_accept(l, '(')) {
            do operand(p);
            while (!l->failed && lex_accept(l, ','));
            lex_expect(l, ')');
        } else {
            operand(p);
        }
        op->args[param] = mil_function_add_operands(p->f, p->values, p->n_values);
    } while (!l->failed && lex_accept(l, ','));
}

// ---- statements

typedef struct {
    Str name;
    MilType type;
    bool has_type;
} Declared;

// Fills in the types that were left out.
static void infer_missing(Parser *p, const MilOp *op, Declared *outputs, uint32_t n) {
    bool is_missing = false;
    for (uint32_t k = 0; k < n; k++) is_missing |= !outputs[k].has_type;
    if (!is_missing) return;
    MilType types[MIL_MAX_OUTPUTS];
    uint32_t n_inferred;
    Err err = {0};
    if (!mil_infer(p->f, op, types, &n_inferred, &err)) {
        lex_fail(&p->lex, "%s", err.text);
    } else if (n_inferred != n) {
        lex_fail(&p->lex, "%s has %u outputs, %u are named", op->info->name, n_inferred, n);
    } else {
        for (uint32_t k = 0; k < n; k++)
            if (!outputs[k].has_type) outputs[k].type = types[k];
    }
}

static const MilData *const_content(Parser *p, const Declared *outputs, uint32_t n) {
    if (n != 1 || !outputs[0].has_type)
        lex_fail(&p->lex, "a const must have one output, with its type");
    lex_keyword(&p->lex, "val");
    lex_expect(&p->lex, '=');
    return p->lex.failed ? NULL : content(&p->lex, &outputs[0].type);
}

static void op_statement(Parser *p, Str op_name, Declared *outputs, uint32_t n) {
    Lexer *l = &p->lex;
    MilOp op = {.info = mil_op_for(op_name, p->program->spec_version), .n_outputs = n};
    if (!op.info)
        lex_fail(l, "'%.*s' is not an op of specification version %d", STR_ARG(op_name),
                 (int)p->program->spec_version);
    lex_expect(l, '(');
    if (l->failed) return;

    const MilData *data = NULL;
    if (op.info->opcode == MIL_OP_const) {
        data = const_content(p, outputs, n);
    } else {
        arguments(p, &op);
    }
    lex_expect(l, ')');
    op.name = n ? outputs[0].name : STR("");
    if (lex_accept_before_string(l, "name")) op.name = lex_string(l);
    if (!l->failed && !data) infer_missing(p, &op, outputs, n);
    if (l->failed) return;

    op.first_output = p->f->n_values;
    for (uint32_t k = 0; k < n; k++) {
        MilValue value = {.name = outputs[k].name,
                          .type = outputs[k].type,
                          .data = data,
                          .op = p->f->n_ops,
                          .result = k};
        mil_function_add_value(p->f, value);
    }
    mil_function_add_op(p->f, op);
}

// `a: T, b: T = op(…)` or `op(…)`
static void statement(Parser *p) {
    Lexer *l = &p->lex;
    Declared outputs[MIL_MAX_OUTPUTS];
    uint32_t n = 0;
    Str first = lex_word(l, "a statement");
    if (lex_peek(l) == '(') {
        op_statement(p, first, outputs, 0);
        return;
    }
    for (Str name = first; !l->failed; name = lex_word(l, "a name")) {
        if (n == MIL_MAX_OUTPUTS) {
            lex_fail(l, "more than %d outputs", MIL_MAX_OUTPUTS);
            return;
        }
        Declared *d = &outputs[n++];
        *d = (Declared){.name = arena_str(l->arena, name), .has_type = lex_accept(l, ':')};
        if (d->has_type) d->type = any_type(l);
        if (!lex_accept(l, ',')) break;
    }
    lex_expect(l, '=');
    Str op = lex_word(l, "an op");
    if (!l->failed) op_statement(p, op, outputs, n);
}

static void inputs(Parser *p) {
    Lexer *l = &p->lex;
    lex_expect(l, '(');
    if (lex_accept(l, ')')) return;
    do {
        MilValue value = {.name = arena_str(l->arena, lex_word(l, "an input")), .op = MIL_NO_OP};
        lex_expect(l, ':');
        value.type = any_type(l);
        if (!l->failed) mil_function_add_input(p->f, mil_function_add_value(p->f, value));
    } while (!l->failed && lex_accept(l, ','));
    lex_expect(l, ')');
}

static void results(Parser *p) {
    Lexer *l = &p->lex;
    lex_arrow(l);
    lex_expect(l, '(');
    if (lex_accept(l, ')')) return;
    do {
        ValueId v = named_value(p);
        if (!l->failed) mil_function_add_output(p->f, v);
    } while (!l->failed && lex_accept(l, ','));
    lex_expect(l, ')');
}

static void function(Parser *p) {
    Lexer *l = &p->lex;
    lex_keyword(l, "func");
    Str name = lex_word(l, "a function's name");
    if (l->failed) return;
    p->f = mil_function_new(p->program, name);
    inputs(p);
    if (lex_accept_before_string(l, "opset")) p->f->opset = lex_string(l);
    lex_expect(l, '{');
    while (!l->failed && !lex_accept(l, '}')) statement(p);
    if (!l->failed) results(p);
}

MilProgram *mil_parse(Arena *arena, Str text, Err *err) {
    Parser p = {.lex = {.arena = arena,
                        .start = text.at,
                        .at = text.at,
                        .end = text.at + text.len,
                        .err = err}};
    Lexer *l = &p.lex;
    lex_keyword(l, "program");
    int32_t version = (int32_t)lex_unsigned(l, INT32_MAX, "the specification version");
    if (!mil_opset(version))
        lex_fail(l, "specification version %d, expected %d to %d", (int)version, MIL_SPEC_FIRST,
                 MIL_SPEC_LAST);
    p.program = mil_program_new(arena, version);
    if (str_is(lex_peek_word(l), "default")) {
        lex_keyword(l, "default");
        p.program->default_function = arena_str(arena, lex_word(l, "a function's name"));
    }
    while (!l->failed && lex_peek(l)) function(&p);
    return l->failed ? NULL : p.program;
}
