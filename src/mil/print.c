// print.c — the text form: one line an op, in the manner of Core ML's own model.mil.
//
//     func main(x: fp16[1, 4, 1, 1]) {
//       y_groups_0: int32 = const(val = 1)
//       y: fp16[1, 8, 1, 1] = conv(x = x, weight = w, groups = y_groups_0)
//     } -> (y)
#include <inttypes.h>

#include "base/half.h"
#include "base/reader.h"
#include "mil/mil.h"

void mil_type_print(const MilType *t, StrBuf *out) {
    if (t->is_state) strbuf_add(out, STR("state<"));
    strbuf_add(out, str_of(mil_dtypes[t->dtype].name));
    if (t->rank) strbuf_add_char(out, '[');
    for (int i = 0; i < t->rank; i++) {
        if (i) strbuf_add(out, STR(", "));
        if (t->dims[i] == MIL_UNKNOWN_DIM)
            strbuf_add_char(out, '?');
        else
            strbuf_printf(out, "%" PRId64, t->dims[i]);
    }
    if (t->rank) strbuf_add_char(out, ']');
    if (t->is_state) strbuf_add_char(out, '>');
}

static void print_string(Str s, StrBuf *out) {
    strbuf_add_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c < 32 || c == '"' || c == '\\')
            strbuf_printf(out, "\\x%02x", c);
        else
            strbuf_add_char(out, (char)c);
    }
    strbuf_add_char(out, '"');
}

static void print_element(const uint8_t *at, MilDtype dtype, size_t i, StrBuf *out) {
    switch (dtype) {
    case MIL_BOOL: strbuf_add(out, str_of(at[i] ? "true" : "false")); break;
    case MIL_F16:
        strbuf_printf(out, "%.9g", (double)f32_from_half((uint16_t)load_le(at + 2 * i, 2)));
        break;
    case MIL_F32:
        strbuf_printf(out, "%.9g", (double)f32_from_bits((uint32_t)load_le(at + 4 * i, 4)));
        break;
    case MIL_I32: strbuf_printf(out, "%" PRId32, (int32_t)load_le(at + 4 * i, 4)); break;
    case MIL_I16: strbuf_printf(out, "%d", (int16_t)load_le(at + 2 * i, 2)); break;
    case MIL_U16: strbuf_printf(out, "%u", (unsigned)load_le(at + 2 * i, 2)); break;
    case MIL_I8: strbuf_printf(out, "%d", (int8_t)at[i]); break;
    default: strbuf_printf(out, "0x%02x", at[i]); break; // packed bits, byte by byte
    }
}

static void print_data(const MilValue *v, StrBuf *out) {
    const MilData *data = v->data;
    size_t count;
    if (data->is_blob) {
        strbuf_printf(out, "blob(\"%.*s\", %" PRIu64 ")", STR_ARG(data->file), data->offset);
        return;
    }
    if (v->type.dtype == MIL_STRING) {
        print_string(data->strings[0], out);
        return;
    }
    if (!mil_type_count(&v->type, &count)) return;
    if (mil_dtypes[v->type.dtype].bits < 8) count = data->n_bytes;
    if (v->type.rank) strbuf_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i) strbuf_add(out, STR(", "));
        print_element(data->bytes, v->type.dtype, i, out);
    }
    if (v->type.rank) strbuf_add_char(out, ']');
}

static void print_operand(const MilFunction *f, ValueId v, StrBuf *out) {
    const MilValue *value = mil_value(f, v);
    if (value->name.len) {
        strbuf_add(out, value->name);
        return;
    }
    mil_type_print(&value->type, out);
    strbuf_add_char(out, '(');
    print_data(value, out);
    strbuf_add_char(out, ')');
}

static void print_op(const MilFunction *f, const MilOp *op, StrBuf *out) {
    strbuf_add(out, STR("  "));
    for (uint32_t i = 0; i < op->n_outputs; i++) {
        const MilValue *v = &f->values[op->first_output + i];
        strbuf_printf(out, "%s%.*s: ", i ? ", " : "", STR_ARG(v->name));
        mil_type_print(&v->type, out);
    }
    strbuf_printf(out, "%s%s(", op->n_outputs ? " = " : "", op->info->name);
    if (op->info->opcode == MIL_OP_const) {
        strbuf_add(out, STR("val = "));
        print_data(&f->values[op->first_output], out);
    }
    bool is_first = true;
    for (uint32_t p = 0; p < op->info->n_params; p++) {
        const MilArg *arg = &op->args[p];
        if (arg->count == 0) continue;
        strbuf_printf(out, "%s%s = ", is_first ? "" : ", ", op->info->params[p].name);
        is_first = false;
        bool is_tuple = op->info->params[p].flags & MIL_PARAM_TUPLE;
        if (is_tuple) strbuf_add_char(out, '(');
        for (uint32_t k = 0; k < arg->count; k++) {
            if (k) strbuf_add(out, STR(", "));
            print_operand(f, f->operands[arg->first + k], out);
        }
        if (is_tuple) strbuf_add_char(out, ')');
    }
    strbuf_add(out, STR(")\n"));
}

static void print_function(const MilFunction *f, StrBuf *out) {
    strbuf_printf(out, "func %.*s(", STR_ARG(f->name));
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        const MilValue *v = mil_value(f, f->inputs[i]);
        strbuf_printf(out, "%s%.*s: ", i ? ", " : "", STR_ARG(v->name));
        mil_type_print(&v->type, out);
    }
    strbuf_add(out, STR(") {\n"));
    for (uint32_t i = 0; i < f->n_ops; i++) print_op(f, &f->ops[i], out);
    strbuf_add(out, STR("} -> ("));
    for (uint32_t i = 0; i < f->n_outputs; i++)
        strbuf_printf(out, "%s%.*s", i ? ", " : "", STR_ARG(mil_value(f, f->outputs[i])->name));
    strbuf_add(out, STR(")\n"));
}

void mil_print(const MilProgram *p, StrBuf *out) {
    strbuf_printf(out, "program %d", p->spec_version);
    if (p->default_function.len) strbuf_printf(out, " default %.*s", STR_ARG(p->default_function));
    strbuf_add_char(out, '\n');
    for (uint32_t i = 0; i < p->n_functions; i++) print_function(p->functions[i], out);
}
