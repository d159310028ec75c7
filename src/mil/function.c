#include "mil/function.h"

#include <string.h>

#include "base/size.h"
#include "mil/build.h"

// Makes room for one more item; the old array stays in the arena, so growth doubles.
static void *grow(Arena *arena, void *items, uint32_t count, uint32_t *cap, size_t size) {
    if (count < *cap) return items;
    uint32_t wider = *cap ? *cap * 2 : 16;
    void *copy = arena_alloc(arena, wider, size);
    if (count) memcpy(copy, items, count * size);
    *cap = wider;
    return copy;
}

MilProgram *mil_program_new(Arena *arena, int32_t spec_version) {
    MilProgram *p = arena_new(arena, MilProgram);
    p->arena = arena;
    p->spec_version = spec_version;
    return p;
}

MilFunction *mil_function_new(MilProgram *p, Str name) {
    MilFunction *f = arena_new(p->arena, MilFunction);
    f->name = arena_str(p->arena, name);
    f->opset = arena_printf(p->arena, "CoreML%d", p->spec_version - 1);
    f->arena = p->arena;
    p->functions = grow(p->arena, p->functions, p->n_functions, &p->cap_functions, sizeof f);
    p->functions[p->n_functions++] = f;
    return f;
}

ValueId mil_function_add_value(MilFunction *f, MilValue value) {
    f->values = grow(f->arena, f->values, f->n_values, &f->cap_values, sizeof value);
    f->values[f->n_values] = value;
    return (ValueId){f->n_values++};
}

void mil_function_add_input(MilFunction *f, ValueId v) {
    f->inputs = grow(f->arena, f->inputs, f->n_inputs, &f->cap_inputs, sizeof v);
    f->inputs[f->n_inputs++] = v;
}

void mil_function_add_output(MilFunction *f, ValueId v) {
    f->outputs = grow(f->arena, f->outputs, f->n_outputs, &f->cap_outputs, sizeof v);
    f->outputs[f->n_outputs++] = v;
}

MilArg mil_function_add_operands(MilFunction *f, const ValueId *values, size_t n) {
    MilArg arg = {f->n_operands, (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        f->operands = grow(f->arena, f->operands, f->n_operands, &f->cap_operands, sizeof *values);
        f->operands[f->n_operands++] = values[i];
    }
    return arg;
}

MilOp *mil_function_add_op(MilFunction *f, MilOp op) {
    f->ops = grow(f->arena, f->ops, f->n_ops, &f->cap_ops, sizeof op);
    f->ops[f->n_ops] = op;
    return &f->ops[f->n_ops++];
}

// The words coremltools renames (converters/mil/mil/passes/defs/preprocess.py).
static const char *const reserved[] = {
    "any",   "bool",  "program", "func",  "tensor", "list",   "dict",   "tuple",
    "true",  "false", "string",  "bf16",  "fp16",   "fp32",   "fp64",   "int8",
    "int16", "int32", "int64",   "uint8", "uint16", "uint32", "uint64", "state",
};

bool mil_name_is_valid(Str name) {
    if (name.len == 0) return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool is_later = (c >= '0' && c <= '9') || c == '@';
        if (!is_letter && !(i > 0 && is_later)) return false;
    }
    for (size_t i = 0; i < COUNT_OF(reserved); i++)
        if (str_is(name, reserved[i])) return false;
    return true;
}
