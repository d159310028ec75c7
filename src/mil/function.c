// function.c — adds values and ops to functions, and finds values by name.
#include "mil/function.h"

#include <assert.h>

#include "base/size.h"
#include "mil/build.h"

// Makes room for `more` items after the first `n` of an arena array. The old array stays in the arena:
// growth by doubling wastes at most what is in use.
static void *grown(Arena *arena, void *items, uint32_t n, uint32_t more, uint32_t *cap,
                   size_t size) {
    if (more <= *cap - n) return items;
    uint32_t larger = *cap ? *cap : 16;
    while (larger - n < more) {
        assert(larger < UINT32_MAX / 2);
        larger *= 2;
    }
    void *bigger = arena_alloc(arena, larger, size);
    if (n) memcpy(bigger, items, n * size);
    *cap = larger;
    return bigger;
}
#define GROW(owner, field, more)                                                                   \
    ((owner)->field = grown((owner)->arena, (owner)->field, (owner)->n_##field, (more),            \
                            &(owner)->cap_##field, sizeof *(owner)->field))

char *mil_weight_name(uint32_t file, Arena *arena) {
    return file == 0 ? arena_cstr(arena, STR("weight.bin"))
                     : arena_cstr(arena, arena_printf(arena, "weight_%u.bin", file));
}

MilProgram *mil_program_new(Arena *arena, int32_t spec_version) {
    MilProgram *p = arena_new(arena, MilProgram);
    p->arena = arena;
    p->spec_version = spec_version;
    return p;
}

MilFunction *mil_function_new(MilProgram *p, Str name) {
    const char *opset = mil_opset(p->spec_version);
    MilFunction *f = arena_new(p->arena, MilFunction);
    f->name = arena_str(p->arena, name);
    f->opset = opset ? str_of(opset) : STR("");
    f->arena = p->arena;
    GROW(p, functions, 1);
    p->functions[p->n_functions++] = f;
    return f;
}

MilFunction *mil_find_function(const MilProgram *p, Str name) {
    for (uint32_t i = 0; i < p->n_functions; i++)
        if (str_eq(p->functions[i]->name, name)) return p->functions[i];
    return NULL;
}

// ---- names: an open hash table of value numbers + 1

static uint32_t name_hash(Str name) { // FNV-1a
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.len; i++) h = (h ^ (uint8_t)name.at[i]) * 16777619u;
    return h;
}

// The slot of `name`: where it is, or the empty one where it would be.
static uint32_t *name_slot(const MilFunction *f, Str name) {
    uint32_t mask = f->cap_by_name - 1, at = name_hash(name) & mask;
    while (f->by_name[at] && !str_eq(f->values[f->by_name[at] - 1].name, name))
        at = (at + 1) & mask;
    return &f->by_name[at];
}

static void add_name(MilFunction *f, uint32_t value) {
    if (f->n_names >= f->cap_by_name / 2) {
        uint32_t n = f->cap_by_name, *old = f->by_name;
        f->cap_by_name = n ? 2 * n : 64;
        f->by_name = arena_array(f->arena, f->cap_by_name, uint32_t);
        for (uint32_t i = 0; i < n; i++)
            if (old[i]) *name_slot(f, f->values[old[i] - 1].name) = old[i];
    }
    uint32_t *slot = name_slot(f, f->values[value].name);
    if (*slot) return; // the first one keeps the name
    *slot = value + 1;
    f->n_names++;
}

ValueId mil_find_value(const MilFunction *f, Str name) {
    uint32_t found = f->cap_by_name ? *name_slot(f, name) : 0;
    return found ? (ValueId){found - 1} : MIL_NO_VALUE;
}

bool mil_name_is_valid(Str name) {
    // coremltools 9, coremltools/converters/mil/mil/passes/defs/preprocess.py
    static const char *const reserved[] = {
        "any",   "bool",  "program", "func",  "tensor", "list",   "dict",   "tuple",
        "true",  "false", "string",  "bf16",  "fp16",   "fp32",   "fp64",   "int8",
        "int16", "int32", "int64",   "uint8", "uint16", "uint32", "uint64", "state"};
    if (!name.len || name.len > MIL_MAX_NAME) return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool later = (c >= '0' && c <= '9') || c == '@';
        if (!letter && !(i && later)) return false;
    }
    for (size_t i = 0; i < COUNT_OF(reserved); i++)
        if (str_is(name, reserved[i])) return false;
    return true;
}

// ---- growing

ValueId mil_function_add_value(MilFunction *f, MilValue value) {
    value.is_constant = value.data != NULL;
    GROW(f, values, 1);
    f->values[f->n_values] = value;
    if (value.name.len) add_name(f, f->n_values);
    return (ValueId){f->n_values++};
}

void mil_function_add_input(MilFunction *f, ValueId v) {
    GROW(f, inputs, 1);
    f->inputs[f->n_inputs++] = v;
}

void mil_function_add_output(MilFunction *f, ValueId v) {
    GROW(f, outputs, 1);
    f->outputs[f->n_outputs++] = v;
}

MilArg mil_function_add_operands(MilFunction *f, const ValueId *values, size_t n) {
    assert(n < UINT32_MAX / 2);
    MilArg arg = {f->n_operands, (uint32_t)n};
    if (!n) return arg;
    GROW(f, operands, (uint32_t)n);
    memcpy(f->operands + f->n_operands, values, n * sizeof *values);
    f->n_operands += (uint32_t)n;
    return arg;
}

// Whether an op computes from constants only.
static bool folds(const MilFunction *f, const MilOp *op) {
    uint32_t n = 0;
    for (uint32_t p = 0; p < op->info->n_params; p++)
        for (uint32_t k = 0; k < op->args[p].count; k++, n++) {
            ValueId v = f->operands[op->args[p].first + k];
            if (v.at >= f->n_values || !f->values[v.at].is_constant) return false;
        }
    return n > 0;
}

MilOp *mil_function_add_op(MilFunction *f, MilOp op) {
    assert(op.info && op.info->n_params <= MIL_MAX_PARAMS);
    assert(op.first_output + op.n_outputs == f->n_values || !op.n_outputs);
    bool is_constant = folds(f, &op);
    for (uint32_t i = 0; i < op.n_outputs; i++)
        f->values[op.first_output + i].is_constant |= is_constant;
    GROW(f, ops, 1);
    f->ops[f->n_ops] = op;
    return &f->ops[f->n_ops++];
}
