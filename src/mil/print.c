// print.c — the text form, written. mil.h describes it; parse.c reads it.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/half.h"
#include "base/reader.h"
#include "mil/mil.h"

// ---- literals

static void print_string(Str s, StrBuf *out) {
    strbuf_add_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = (uint8_t)s.at[i];
        if (c == '"' || c == '\\') {
            strbuf_printf(out, "\\%c", c);
        } else if (c == '\n') {
            strbuf_add(out, STR("\\n"));
        } else if (c < 0x20 || c == 0x7F) {
            strbuf_printf(out, "\\x%02x", c);
        } else {
            strbuf_add_char(out, (char)c);
        }
    }
    strbuf_add_char(out, '"');
}

// The shortest decimal that reads back as the same number of `dtype`; NaN keeps its bits.
static void print_float(MilDtype dtype, uint64_t bits, StrBuf *out) {
    double x;
    switch (dtype) {
    case MIL_F16: x = (double)f32_from_half((uint16_t)bits); break;
    case MIL_BF16: x = (double)f32_from_bf16((uint16_t)bits); break;
    case MIL_F32: x = (double)f32_from_bits((uint32_t)bits); break;
    default: memcpy(&x, &bits, sizeof x); break;
    }
    if (isnan(x)) {
        strbuf_printf(out, "0x%" PRIx64, bits);
        return;
    }
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        double again = strtod(text, NULL);
        if (dtype != MIL_F64) again = (double)(float)again;
        if (dtype == MIL_F16) again = (double)round_to_half((float)again);
        if (again == x)
            break; // bf16 is found among floats: its own rounding need not be known here
    }
    strbuf_add(out, str_of(text));
}

// Element `at` of packed little-endian elements of `bits`.
static uint64_t element(const uint8_t *bytes, size_t at, unsigned bits) {
    if (bits >= 8) return load_le(bytes + at * (bits / 8), bits / 8);
    uint64_t value = 0;
    for (unsigned k = 0; k < bits; k++) {
        size_t bit = at * bits + k;
        value |= (uint64_t)(bytes[bit / 8] >> (bit % 8) & 1) << k;
    }
    return value;
}

static void print_element(MilDtype dtype, const uint8_t *bytes, size_t at, StrBuf *out) {
    unsigned bits = mil_dtypes[dtype].bits;
    uint64_t u = element(bytes, at, bits);
    switch (dtype) {
    case MIL_BOOL: strbuf_add(out, u ? STR("true") : STR("false")); break;
    case MIL_F16:
    case MIL_F32:
    case MIL_F64:
    case MIL_BF16: print_float(dtype, u, out); break;
    case MIL_I4:
    case MIL_I8:
    case MIL_I16:
    case MIL_I32:
    case MIL_I64:
        if (bits < 64 && u >> (bits - 1)) u |= ~(uint64_t)0 << bits;
        strbuf_printf(out, "%" PRId64, (int64_t)u);
        break;
    default: strbuf_printf(out, "%" PRIu64, u); break;
    }
}

static void print_data(const MilValue *v, StrBuf *out) {
    if (v->data->is_blob) {
        strbuf_add(out, STR("blob("));
        print_string(v->data->file, out);
        strbuf_printf(out, ", %" PRIu64 ")", v->data->offset);
        return;
    }
    size_t count = 0;
    mil_type_count(&v->type, &count);
    if (v->type.rank) strbuf_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i) strbuf_add(out, STR(", "));
        if (v->type.dtype == MIL_STRING) {
            print_string(v->data->strings[i], out);
        } else {
            print_element(v->type.dtype, v->data->bytes, i, out);
        }
    }
    if (v->type.rank) strbuf_add_char(out, ']');
}

// ---- ops

static void print_operand(const MilFunction *f, ValueId id, StrBuf *out) {
    const MilValue *v = mil_value(f, id);
    if (v->op != MIL_NO_OP || !v->data) {
        strbuf_add(out, v->name);
        return;
    }
    mil_type_print(&v->type, out);
    strbuf_add_char(out, '(');
    print_data(v, out);
    strbuf_add_char(out, ')');
}

static void print_args(const MilFunction *f, const MilOp *op, StrBuf *out) {
    const char *between = "";
    for (uint32_t p = 0; p < op->info->n_params; p++) {
        MilArg arg = op->args[p];
        if (!arg.count) continue;
        bool is_tuple = op->info->params[p].flags & MIL_PARAM_TUPLE;
        strbuf_printf(out, "%s%s = %s", between, op->info->params[p].name, is_tuple ? "(" : "");
        for (uint32_t k = 0; k < arg.count; k++) {
            if (k) strbuf_add(out, STR(", "));
            print_operand(f, f->operands[arg.first + k], out);
        }
        if (is_tuple) strbuf_add_char(out, ')');
        between = ", ";
    }
}

static void print_declared(const MilValue *v, StrBuf *out) {
    strbuf_printf(out, "%.*s: ", STR_ARG(v->name));
    mil_type_print(&v->type, out);
}

static void print_op(const MilFunction *f, const MilOp *op, StrBuf *out) {
    strbuf_add(out, STR("  "));
    for (uint32_t k = 0; k < op->n_outputs; k++) {
        if (k) strbuf_add(out, STR(", "));
        print_declared(&f->values[op->first_output + k], out);
    }
    strbuf_printf(out, "%s%s(", op->n_outputs ? " = " : "", op->info->name);
    if (op->info->opcode == MIL_OP_const) {
        strbuf_add(out, STR("val = "));
        print_data(&f->values[op->first_output], out);
    } else {
        print_args(f, op, out);
    }
    strbuf_add_char(out, ')');
    if (!op->n_outputs || !str_eq(op->name, f->values[op->first_output].name)) {
        strbuf_add(out, STR(" name "));
        print_string(op->name, out);
    }
    strbuf_add_char(out, '\n');
}

static void print_function(const MilProgram *p, const MilFunction *f, StrBuf *out) {
    strbuf_printf(out, "func %.*s(", STR_ARG(f->name));
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        if (i) strbuf_add(out, STR(", "));
        print_declared(mil_value(f, f->inputs[i]), out);
    }
    strbuf_add_char(out, ')');
    const char *opset = mil_opset(p->spec_version);
    if (!opset || !str_is(f->opset, opset)) {
        strbuf_add(out, STR(" opset "));
        print_string(f->opset, out);
    }
    strbuf_add(out, STR(" {\n"));
    for (uint32_t i = 0; i < f->n_ops; i++) print_op(f, &f->ops[i], out);
    strbuf_add(out, STR("} -> ("));
    for (uint32_t i = 0; i < f->n_outputs; i++)
        strbuf_printf(out, "%s%.*s", i ? ", " : "", STR_ARG(mil_value(f, f->outputs[i])->name));
    strbuf_add(out, STR(")\n"));
}

void mil_print(const MilProgram *p, StrBuf *out) {
    strbuf_printf(out, "program %d", (int)p->spec_version);
    if (p->default_function.len) strbuf_printf(out, " default %.*s", STR_ARG(p->default_function));
    strbuf_add_char(out, '\n');
    for (uint32_t i = 0; i < p->n_functions; i++) print_function(p, p->functions[i], out);
}
