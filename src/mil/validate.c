// validate.c — a program is believed only after this: what a builder guarantees by construction, a
// file has to prove.
#include <inttypes.h>
#include <stdlib.h>

#include "base/size.h"
#include "mil/function.h"
#include "mil/infer.h"

typedef struct {
    Str name;
    uint32_t at;
} Named;

static int compare_named(const void *a, const void *b) {
    return str_compare(((const Named *)a)->name, ((const Named *)b)->name);
}

static bool check_names(const MilFunction *f, Arena *scratch, Err *err) {
    Named *names = arena_array(scratch, f->n_values, Named);
    size_t n = 0;
    for (uint32_t i = 0; i < f->n_values; i++) {
        const MilValue *v = &f->values[i];
        if (v->name.len == 0) continue; // a literal
        if (!mil_name_is_valid(v->name))
            return err_set(err, ERR_FORMAT, "value name '%.*s' is not one a program may use",
                           STR_ARG(v->name));
        names[n++] = (Named){v->name, i};
    }
    if (n) qsort(names, n, sizeof *names, compare_named);
    for (size_t i = 1; i < n; i++)
        if (str_eq(names[i - 1].name, names[i].name))
            return err_set(err, ERR_FORMAT, "two values are called '%.*s'", STR_ARG(names[i].name));
    return true;
}

static bool check_inputs(const MilFunction *f, Err *err) {
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        const MilValue *v = mil_value(f, f->inputs[i]);
        if (v->type.rank == 0)
            return err_set(err, ERR_FORMAT, "input '%.*s' is a scalar", STR_ARG(v->name));
        size_t count;
        if (!mil_type_count(&v->type, &count))
            return err_set(err, ERR_FORMAT, "input '%.*s' has an open shape; lathe runs fixed ones",
                           STR_ARG(v->name));
        if (v->type.is_state && v->type.dtype != MIL_F16)
            return err_set(err, ERR_FORMAT, "state '%.*s' is %s, expected fp16", STR_ARG(v->name),
                           mil_dtypes[v->type.dtype].name);
    }
    return true;
}

// An inferred dimension that run-time values decide agrees with any declared one.
static bool types_agree(const MilType *declared, const MilType *inferred) {
    if (declared->dtype != inferred->dtype || declared->rank != inferred->rank ||
        declared->is_state != inferred->is_state)
        return false;
    for (int i = 0; i < declared->rank; i++)
        if (inferred->dims[i] != MIL_UNKNOWN_DIM && declared->dims[i] != inferred->dims[i])
            return false;
    return true;
}

static bool check_const(const MilFunction *f, const MilOp *op, Err *err) {
    const MilValue *v = &f->values[op->first_output];
    if (op->n_outputs != 1 || !v->data)
        return err_set(err, ERR_FORMAT, "const '%.*s' has no value", STR_ARG(op->name));
    return true;
}

static bool check_data(const MilValue *v, Err *err) {
    size_t n_bytes, count;
    if (!v->data) return true;
    if (v->type.is_state || !mil_type_count(&v->type, &count) ||
        !mil_type_bytes(&v->type, &n_bytes))
        return err_set(err, ERR_FORMAT, "constant '%.*s' has no fixed shape", STR_ARG(v->name));
    if (v->data->is_blob)
        return mil_dtypes[v->type.dtype].blob_id ||
               err_set(err, ERR_FORMAT, "constant '%.*s': %s cannot lie in a weight file",
                       STR_ARG(v->name), mil_dtypes[v->type.dtype].name);
    if (v->type.dtype == MIL_STRING)
        return (v->data->strings && count == 1) ||
               err_set(err, ERR_FORMAT, "constant '%.*s' is no single string", STR_ARG(v->name));
    if (v->data->n_bytes != n_bytes)
        return err_set(err, ERR_FORMAT, "constant '%.*s': %zu bytes, expected %zu",
                       STR_ARG(v->name), v->data->n_bytes, n_bytes);
    return true;
}

// Operands come from before op `at`: function inputs, literals, results of earlier ops.
static bool check_order(const MilFunction *f, uint32_t at, Err *err) {
    const MilOp *op = &f->ops[at];
    for (uint32_t p = 0; p < op->info->n_params; p++)
        for (uint32_t k = 0; k < op->args[p].count; k++) {
            ValueId v = f->operands[op->args[p].first + k];
            if (v.at >= f->n_values)
                return err_set(err, ERR_FORMAT, "op '%.*s': operand %u of %u values",
                               STR_ARG(op->name), v.at, f->n_values);
            uint32_t from = mil_value(f, v)->op;
            if (from != MIL_NO_OP && from >= at)
                return err_set(err, ERR_FORMAT, "op '%.*s' uses '%.*s' before it is defined",
                               STR_ARG(op->name), STR_ARG(mil_value(f, v)->name));
        }
    return true;
}

static bool check_op(const MilFunction *f, uint32_t at, int32_t spec_version, Err *err) {
    const MilOp *op = &f->ops[at];
    if (op->info->since > spec_version)
        return err_set(err, ERR_FORMAT, "op '%.*s' (%s) needs spec version %d, the file has %d",
                       STR_ARG(op->name), op->info->name, op->info->since, spec_version);
    if (op->info->opcode == MIL_OP_const) return check_const(f, op, err);
    if (!check_order(f, at, err)) return false;
    Infer infer = {.f = f, .op = op, .err = err};
    if (!mil_infer(&infer)) return false;
    if (infer.n_out != op->n_outputs)
        return err_set(err, ERR_FORMAT, "op '%.*s' (%s) declares %u results, expected %u",
                       STR_ARG(op->name), op->info->name, op->n_outputs, infer.n_out);
    for (uint32_t i = 0; i < infer.n_out; i++) {
        const MilType *declared = &f->values[op->first_output + i].type;
        if (types_agree(declared, &infer.out[i])) continue;
        StrBuf text = {0};
        mil_type_print(declared, &text);
        strbuf_add(&text, STR(", expected "));
        mil_type_print(&infer.out[i], &text);
        err_set(err, ERR_FORMAT, "op '%.*s' (%s) declares its result as %s", STR_ARG(op->name),
                op->info->name, text.at);
        strbuf_free(&text);
        return false;
    }
    return true;
}

static bool check_function(const MilFunction *f, int32_t spec_version, Arena *scratch, Err *err) {
    if (!mil_name_is_valid(f->name))
        return err_set(err, ERR_FORMAT, "it has a name no program may use");
    if (!check_names(f, scratch, err) || !check_inputs(f, err)) return false;
    for (uint32_t i = 0; i < f->n_values; i++)
        if (!check_data(&f->values[i], err)) return false;
    for (uint32_t i = 0; i < f->n_ops; i++)
        if (!check_op(f, i, spec_version, err)) return false;
    if (f->n_outputs == 0) return err_set(err, ERR_FORMAT, "it has no outputs");
    for (uint32_t i = 0; i < f->n_outputs; i++)
        if (f->outputs[i].at >= f->n_values || mil_value(f, f->outputs[i])->type.is_state)
            return err_set(err, ERR_FORMAT, "output %u is not a tensor it defines", i);
    return true;
}

bool mil_validate(const MilProgram *p, const char *where, Err *err) {
    if (p->n_functions == 0) return err_set(err, ERR_FORMAT, "%s: no functions", where);
    if (p->default_function.len && !mil_find_function(p, p->default_function))
        return err_set(err, ERR_FORMAT, "%s: default function '%.*s' does not exist", where,
                       STR_ARG(p->default_function));
    for (uint32_t i = 0; i < p->n_functions; i++) {
        const MilFunction *f = p->functions[i];
        for (uint32_t k = 0; k < i; k++)
            if (str_eq(p->functions[k]->name, f->name))
                return err_set(err, ERR_FORMAT, "%s: two functions are called '%.*s'", where,
                               STR_ARG(f->name));
        Arena scratch = {0};
        bool ok = check_function(f, p->spec_version, &scratch, err) ||
                  err_prefix(err, "%s: function '%.*s'", where, STR_ARG(f->name));
        arena_free(&scratch);
        if (!ok) return false;
    }
    return true;
}
