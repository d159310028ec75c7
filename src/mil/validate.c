// validate.c — checks a program that came from a file, part by part.
//
// Decoders only resolve names to value numbers and bytes to data. Nothing here relies on how they
// filled the arrays: every index is checked before it is used.
#include <inttypes.h>
#include <stdarg.h>

#include "mil/function.h"
#include "mil/infer.h"

enum { MAX_FUNCTIONS = 1024 }; // names are compared pairwise

typedef struct {
    const char *where;
    const MilProgram *p;
    const MilFunction *f; // NULL outside
    Err *err;
} Validator;

static bool bad(Validator *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool bad(Validator *v, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    err_vset(v->err, ERR_FORMAT, fmt, args);
    va_end(args);
    if (v->f) err_prefix(v->err, "function '%.*s'", STR_ARG(v->f->name));
    return err_prefix(v->err, "%s", v->where);
}

// The type as text, for messages; lives in the program's arena.
static const char *type_text(const Validator *v, const MilType *t) {
    StrBuf text = {0};
    mil_type_print(t, &text);
    const char *kept = arena_cstr(v->p->arena, strbuf_str(&text));
    strbuf_free(&text);
    return kept;
}

// A name not yet known to be short, as messages show it.
static Str shown(Str name) {
    return (Str){name.at, name.len < 100 ? name.len : 100};
}

// ---- values

static bool check_type(Validator *v, Str name, const MilType *t) {
    if ((uint32_t)t->dtype >= MIL_DTYPE_COUNT)
        return bad(v, "value '%.*s' has an unknown type", STR_ARG(name));
    if (t->rank < 0 || t->rank > MIL_MAX_RANK)
        return bad(v, "value '%.*s' has rank %d, at most %d is possible", STR_ARG(name), t->rank,
                   MIL_MAX_RANK);
    for (int k = 0; k < t->rank; k++)
        if (t->dims[k] != MIL_UNKNOWN_DIM && (t->dims[k] < 0 || t->dims[k] > MIL_MAX_DIM))
            return bad(v, "value '%.*s': dim %d is out of range", STR_ARG(name), k);
    return true;
}

static bool check_data(Validator *v, Str name, const MilType *t, const MilData *data) {
    size_t count, n_bytes = 0;
    if (t->is_state) return bad(v, "state '%.*s' is a constant", STR_ARG(name));
    if (!mil_type_count(t, &count) || (t->dtype != MIL_STRING && !mil_type_bytes(t, &n_bytes)))
        return bad(v, "constant '%.*s' of type %s has no fixed size", STR_ARG(name),
                   type_text(v, t));
    if (data->is_blob) {
        if (!mil_dtypes[t->dtype].blob_id)
            return bad(v, "constant '%.*s' of type %s cannot live in a weight file", STR_ARG(name),
                       type_text(v, t));
        if (!data->file.len || data->offset < 64 || data->offset % 64)
            return bad(v,
                       "constant '%.*s': weight record at offset %" PRIu64
                       ", expected a multiple of 64 from 64",
                       STR_ARG(name), data->offset);
        return true;
    }
    if (t->dtype == MIL_STRING)
        return data->strings || !count || bad(v, "constant '%.*s' has no strings", STR_ARG(name));
    if (data->n_bytes != n_bytes || (n_bytes && !data->bytes))
        return bad(v, "constant '%.*s' of type %s has %zu bytes, expected %zu", STR_ARG(name),
                   type_text(v, t), data->n_bytes, n_bytes);
    return true;
}

static bool is_literal(const MilValue *value) {
    return value->op == MIL_NO_OP && value->data;
}

static bool check_name(Validator *v, Str name, uint32_t at) {
    if (!mil_name_is_valid(name))
        return bad(v, "value name '%.*s' is not an identifier or is a reserved word",
                   STR_ARG(shown(name)));
    ValueId first = mil_find_value(v->f, name);
    return first.at == at || bad(v, "value '%.*s' is defined twice", STR_ARG(name));
}

static bool check_values(Validator *v) {
    uint32_t n_free = 0; // neither of an op nor a literal: must be the inputs
    for (uint32_t k = 0; k < v->f->n_values; k++) {
        const MilValue *value = &v->f->values[k];
        if (!check_type(v, value->name, &value->type)) return false;
        if (value->data && !check_data(v, value->name, &value->type, value->data)) return false;
        if (is_literal(value)) {
            if (value->name.len) return bad(v, "literal '%.*s' has a name", STR_ARG(value->name));
            continue;
        }
        if (!check_name(v, value->name, k)) return false;
        if (value->op == MIL_NO_OP) {
            n_free++;
        } else if (value->op >= v->f->n_ops || value->result >= v->f->ops[value->op].n_outputs ||
                   v->f->ops[value->op].first_output + value->result != k) {
            return bad(v, "value '%.*s' names an op that does not define it", STR_ARG(value->name));
        }
    }
    return n_free == v->f->n_inputs ||
           bad(v, "%u values have no defining op, but %u inputs are declared", n_free,
               v->f->n_inputs);
}

// ---- inputs and outputs

// What Core ML takes at the edge of a model: multi-arrays of few types.
static bool check_feature(Validator *v, const char *kind, const MilValue *value) {
    MilDtype d = value->type.dtype;
    int32_t spec = v->p->spec_version;
    bool fits =
        d == MIL_F32 || d == MIL_I32 || (d == MIL_F16 && spec >= 7) || (d == MIL_I8 && spec >= 10);
    if (fits) return true;
    return bad(v, "%s '%.*s' is %s; specification version %d takes fp32, int32%s there", kind,
               STR_ARG(value->name), mil_dtypes[d].name, (int)spec,
               spec >= 10  ? ", fp16, int8"
               : spec >= 7 ? ", fp16"
                           : "");
}

static bool check_state(Validator *v, const MilValue *value) {
    size_t count;
    MilDtype d = value->type.dtype;
    if (v->p->spec_version < 9)
        return bad(v, "state '%.*s' in specification version %d, expected 9 or later",
                   STR_ARG(value->name), (int)v->p->spec_version);
    if (d != MIL_F16 || value->type.rank < 1 || !mil_type_count(&value->type, &count))
        return bad(v, "state '%.*s' is %s, expected fp16 of a fixed shape", STR_ARG(value->name),
                   type_text(v, &value->type));
    return true;
}

static bool check_inputs(Validator *v) {
    size_t count;
    for (uint32_t k = 0; k < v->f->n_inputs; k++) {
        uint32_t at = v->f->inputs[k].at;
        if (at >= v->f->n_values) return bad(v, "input %u is not a value", k);
        const MilValue *value = &v->f->values[at];
        if (value->op != MIL_NO_OP || value->data)
            return bad(v, "input '%.*s' is computed or constant", STR_ARG(value->name));
        if (k && at <= v->f->inputs[k - 1].at)
            return bad(v, "input '%.*s' is declared twice", STR_ARG(value->name));
        if (value->type.is_state) {
            if (!check_state(v, value)) return false;
        } else if (value->type.rank < 1) {
            return bad(v, "input '%.*s' is a scalar, expected rank 1 or more",
                       STR_ARG(value->name));
        } else if (!mil_type_count(&value->type, &count)) {
            return bad(v, "input '%.*s' has an open shape; lathe runs fixed ones",
                       STR_ARG(value->name));
        } else if (!check_feature(v, "input", value)) {
            return false;
        }
    }
    return true;
}

static bool check_outputs(Validator *v) {
    if (!v->f->n_outputs) return bad(v, "the function has no outputs, expected one or more");
    bool *is_output = arena_array(v->p->arena, v->f->n_values, bool);
    for (uint32_t k = 0; k < v->f->n_outputs; k++) {
        uint32_t at = v->f->outputs[k].at;
        if (at >= v->f->n_values || is_literal(&v->f->values[at]))
            return bad(v, "output %u is not a named value", k);
        const MilValue *value = &v->f->values[at];
        if (value->type.is_state) return bad(v, "output '%.*s' is a state", STR_ARG(value->name));
        if (is_output[at]) return bad(v, "output '%.*s' is given twice", STR_ARG(value->name));
        is_output[at] = true;
        if (!check_feature(v, "output", value)) return false;
    }
    return true;
}

// ---- ops

static bool check_operands(Validator *v, uint32_t at) {
    const MilOp *op = &v->f->ops[at];
    for (uint32_t p = 0; p < op->info->n_params; p++) {
        MilArg arg = op->args[p];
        if (arg.count &&
            (arg.first >= v->f->n_operands || arg.count > v->f->n_operands - arg.first))
            return bad(v, "%s '%.*s': %s is out of bounds", op->info->name, STR_ARG(op->name),
                       op->info->params[p].name);
        for (uint32_t k = 0; k < arg.count; k++) {
            uint32_t id = v->f->operands[arg.first + k].at;
            if (id >= v->f->n_values)
                return bad(v, "%s '%.*s': %s is not a value", op->info->name, STR_ARG(op->name),
                           op->info->params[p].name);
            const MilValue *value = &v->f->values[id];
            if (value->op != MIL_NO_OP && value->op >= at)
                return bad(v, "%s '%.*s': %s '%.*s' is used before it is defined", op->info->name,
                           STR_ARG(op->name), op->info->params[p].name, STR_ARG(value->name));
            if (value->type.rank > 5 && !(op->info->flags & MIL_OP_CONSTEXPR))
                return bad(v, "%s '%.*s': %s has rank %d; Core ML computes with at most 5",
                           op->info->name, STR_ARG(op->name), op->info->params[p].name,
                           value->type.rank);
        }
    }
    return true;
}

static bool check_const(Validator *v, const MilOp *op) {
    if (op->n_outputs != 1 || !v->f->values[op->first_output].data)
        return bad(v, "const '%.*s' does not define one constant", STR_ARG(op->name));
    return true;
}

// An inferred dim that run-time values decide agrees with any declared one.
static bool type_fits(const MilType *declared, const MilType *inferred) {
    if (declared->is_state || declared->dtype != inferred->dtype ||
        declared->rank != inferred->rank)
        return false;
    for (int k = 0; k < declared->rank; k++)
        if (inferred->dims[k] != MIL_UNKNOWN_DIM && declared->dims[k] != inferred->dims[k])
            return false;
    return true;
}

static bool check_results(Validator *v, const MilOp *op) {
    MilType types[MIL_MAX_OUTPUTS];
    uint32_t n;
    Err err = {0};
    if (!mil_infer(v->f, op, types, &n, &err)) return bad(v, "%s", err.text);
    if (n != op->n_outputs)
        return bad(v, "%s '%.*s' has %u outputs, expected %u", op->info->name, STR_ARG(op->name),
                   op->n_outputs, n);
    for (uint32_t k = 0; k < n; k++) {
        const MilValue *value = &v->f->values[op->first_output + k];
        if (value->data)
            return bad(v, "'%.*s' is the result of an op and also has constant data",
                       STR_ARG(value->name));
        if (!type_fits(&value->type, &types[k]))
            return bad(v, "%s '%.*s': output '%.*s' is declared %s but comes out as %s",
                       op->info->name, STR_ARG(op->name), STR_ARG(value->name),
                       type_text(v, &value->type), type_text(v, &types[k]));
        if (value->type.rank > 5 && !(op->info->flags & MIL_OP_CONSTEXPR))
            return bad(v, "%s '%.*s': the result has rank %d; Core ML computes with at most 5",
                       op->info->name, STR_ARG(op->name), value->type.rank);
    }
    return true;
}

static bool check_op(Validator *v, uint32_t at) {
    const MilOp *op = &v->f->ops[at];
    if (!op->info) return bad(v, "op %u is unknown", at);
    int32_t spec = v->p->spec_version;
    if (spec < op->info->since || spec > op->info->until)
        return bad(v, "%s '%.*s': not an op of specification version %d", op->info->name,
                   STR_ARG(op->name), (int)spec);
    if (op->n_outputs &&
        (op->first_output >= v->f->n_values || op->n_outputs > v->f->n_values - op->first_output))
        return bad(v, "%s '%.*s': output index out of range", op->info->name, STR_ARG(op->name));
    for (uint32_t k = 0; k < op->n_outputs; k++) {
        const MilValue *value = &v->f->values[op->first_output + k];
        if (value->op != at || value->result != k)
            return bad(v, "%s '%.*s': its outputs belong to another op", op->info->name,
                       STR_ARG(op->name));
    }
    if (!check_operands(v, at)) return false;
    return op->info->opcode == MIL_OP_const ? check_const(v, op) : check_results(v, op);
}

// The version's own opset, or an older one.
static bool check_opset(Validator *v) {
    int32_t spec = v->p->spec_version;
    for (int32_t s = MIL_SPEC_FIRST; s <= spec; s++)
        if (str_is(v->f->opset, mil_opset(s))) return true;
    return bad(v, "opset '%.*s' in specification version %d, expected %s", STR_ARG(v->f->opset),
               (int)spec, mil_opset(spec));
}

static bool check_function(Validator *v) {
    if (!check_opset(v) || !check_values(v) || !check_inputs(v)) return false;
    for (uint32_t k = 0; k < v->f->n_ops; k++)
        if (!check_op(v, k)) return false;
    return check_outputs(v);
}

// One function called main; or several, one of them the default, from specification version 9 on.
static bool check_functions(Validator *v) {
    const MilProgram *p = v->p;
    if (p->n_functions > MAX_FUNCTIONS)
        return bad(v, "%u functions, at most %d are handled", p->n_functions, MAX_FUNCTIONS);
    for (uint32_t k = 0; k < p->n_functions; k++) {
        Str name = p->functions[k]->name;
        if (!mil_name_is_valid(name))
            return bad(v, "function name '%.*s' is not an identifier", STR_ARG(shown(name)));
        if (mil_find_function(p, name) != p->functions[k])
            return bad(v, "function '%.*s' is defined twice", STR_ARG(name));
    }
    if (!p->default_function.len) {
        if (p->n_functions == 1 && str_is(p->functions[0]->name, "main")) return true;
        return bad(v, "no default function (functions: %u); a single function must be called main",
                   p->n_functions);
    }
    if (p->spec_version < 9)
        return bad(v, "a default function in specification version %d, expected 9 or later",
                   (int)p->spec_version);
    return mil_find_function(p, p->default_function) ||
           bad(v, "the default function '%.*s' does not exist", STR_ARG(p->default_function));
}

bool mil_validate(const MilProgram *p, const char *where, Err *err) {
    Validator v = {.where = where, .p = p, .err = err};
    if (!mil_opset(p->spec_version))
        return bad(&v, "specification version %d, expected %d to %d", (int)p->spec_version,
                   MIL_SPEC_FIRST, MIL_SPEC_LAST);
    if (!check_functions(&v)) return false;
    for (uint32_t k = 0; k < p->n_functions; k++) {
        v.f = p->functions[k];
        if (!check_function(&v)) return false;
    }
    return true;
}
