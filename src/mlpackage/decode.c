// decode.c — reads model.mlmodel into a program. The wire reader checks lengths; counts are bounded
// by the bytes that they take; names are resolved in the order of the file, so no reference can
// point forward.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mil/build.h"
#include "mil/function.h"
#include "mlpackage/model.h"
#include "mlpackage/wire.h"

typedef struct {
    Arena *arena;
    Err *err;
    MilProgram *program;
    MilFunction *f; // being read
} Decoder;

static bool broken(Decoder *d, const char *what) {
    return err_set(d->err, ERR_FORMAT, "%s is cut off or malformed", what);
}

// A name from the file as messages show it: a long one must not push the reason out.
static Str shown(Str name) {
    return (Str){name.at, min_size(name.len, 100)};
}

// ---- types

static bool read_dimension(Decoder *d, Reader r, int64_t *dim) {
    WireField f;
    *dim = 0;
    bool is_known = false;
    while (wire_next(&r, &f)) {
        if (f.field == DIMENSION_UNKNOWN) *dim = MIL_UNKNOWN_DIM, is_known = true;
        if (f.field != DIMENSION_CONSTANT || f.type != WIRE_BYTES) continue;
        is_known = true;
        WireField size;
        while (wire_next(&f.bytes, &size))
            if (size.field == CONSTANT_SIZE && size.type == WIRE_VARINT) {
                if (size.value > INT32_MAX)
                    return err_set(d->err, ERR_FORMAT, "a dimension of %" PRIu64, size.value);
                *dim = (int64_t)size.value;
            }
        if (f.bytes.short_read) return broken(d, "a dimension");
    }
    return (!r.short_read && is_known) || broken(d, "a dimension");
}

static bool read_tensor_type(Decoder *d, Reader r, MilType *type) {
    WireField f;
    int64_t rank = 0;
    *type = (MilType){.dtype = MIL_DTYPE_COUNT};
    while (wire_next(&r, &f)) {
        if (f.field == TENSOR_DTYPE && f.type == WIRE_VARINT) {
            for (int i = 0; i < MIL_DTYPE_COUNT; i++)
                if (mil_dtypes[i].proto_id == f.value) type->dtype = (MilDtype)i;
            if (type->dtype == MIL_DTYPE_COUNT)
                return err_set(d->err, ERR_FORMAT, "dtype %" PRIu64 " is not known", f.value);
        } else if (f.field == TENSOR_RANK && f.type == WIRE_VARINT) {
            rank = (int64_t)f.value;
        } else if (f.field == TENSOR_DIMENSIONS && f.type == WIRE_BYTES) {
            if (type->rank == MIL_MAX_RANK)
                return err_set(d->err, ERR_FORMAT, "a tensor of more than %d dimensions",
                               MIL_MAX_RANK);
            if (!read_dimension(d, f.bytes, &type->dims[type->rank++])) return false;
        } else {
            return err_set(d->err, ERR_FORMAT,
                           "a tensor type with attributes (field %u), which lathe does not support",
                           f.field);
        }
    }
    if (r.short_read) return broken(d, "a tensor type");
    if (type->dtype == MIL_DTYPE_COUNT)
        return err_set(d->err, ERR_FORMAT, "a tensor type without a dtype");
    return rank == type->rank ||
           err_set(d->err, ERR_FORMAT,
                   "a tensor type states rank %" PRId64 " but has %d dimensions", rank, type->rank);
}

static bool read_type(Decoder *d, Reader r, MilType *type) {
    WireField f;
    bool is_read = false, is_state = false;
    while (wire_next(&r, &f)) {
        if (f.field == VALUE_TYPE_STATE && f.type == WIRE_BYTES) {
            WireField wrapped;
            if (!wire_next(&f.bytes, &wrapped) || wrapped.field != STATE_WRAPPED ||
                wrapped.type != WIRE_BYTES || is_state)
                return broken(d, "a state type");
            is_state = true;
            f = wrapped;
            if (!wire_next(&wrapped.bytes, &f)) return broken(d, "a state type");
        }
        if (f.field != VALUE_TYPE_TENSOR || f.type != WIRE_BYTES)
            return err_set(d->err, ERR_FORMAT, "a value type that is neither tensor nor state");
        if (!read_tensor_type(d, f.bytes, type)) return false;
        is_read = true;
    }
    if (r.short_read || !is_read) return broken(d, "a value type");
    type->is_state = is_state;
    return true;
}

static bool read_named_type(Decoder *d, Reader r, Str *name, MilType *type) {
    WireField f;
    bool has_type = false;
    *name = (Str){"", 0};
    while (wire_next(&r, &f)) {
        if (f.field == NAMED_TYPE_NAME && f.type == WIRE_BYTES) *name = wire_str(&f);
        if (f.field != NAMED_TYPE_TYPE || f.type != WIRE_BYTES) continue;
        if (!read_type(d, f.bytes, type)) return false;
        has_type = true;
    }
    if (r.short_read || !has_type) return broken(d, "a named type");
    return name->len > 0 || err_set(d->err, ERR_FORMAT, "a value without a name");
}

// ---- values

// Integers of any width and bools: varints, packed or one a field.
static bool read_ints(Decoder *d, Reader r, const MilType *type, MilData *data) {
    size_t n = mil_dtypes[type->dtype].bits / 8, cap, count = 0;
    if (!mil_type_count(type, &cap)) return broken(d, "a constant's shape");
    if (cap > reader_left(&r)) // a varint takes a byte
        return err_set(d->err, ERR_FORMAT, "a constant has fewer items than its shape, %zu", cap);
    uint8_t *bytes = arena_alloc(d->arena, cap + 1, n);
    WireField f;
    while (wire_next(&r, &f)) {
        bool is_packed = f.type == WIRE_BYTES;
        if (f.field != ELEMENTS || (!is_packed && f.type != WIRE_VARINT))
            return broken(d, "a list of integers");
        while (!is_packed || reader_left(&f.bytes)) {
            uint64_t value = is_packed ? wire_get_varint(&f.bytes) : f.value;
            if (is_packed && f.bytes.short_read) return broken(d, "a list of integers");
            if (count == cap)
                return err_set(d->err, ERR_FORMAT, "a constant has more items than its shape, %zu",
                               cap);
            for (size_t k = 0; k < n; k++) bytes[count * n + k] = (uint8_t)(value >> (8 * k));
            count++;
            if (!is_packed) break;
        }
    }
    if (r.short_read) return broken(d, "a list of integers");
    if (count != cap)
        return err_set(d->err, ERR_FORMAT, "a constant has %zu items, expected %zu by its shape",
                       count, cap);
    data->bytes = bytes;
    data->n_bytes = count * n;
    return true;
}

static bool read_strings(Decoder *d, Reader r, const MilType *type, MilData *data) {
    size_t cap, count = 0;
    if (!mil_type_count(type, &cap)) return broken(d, "a constant's shape");
    if (cap > reader_left(&r)) // an empty string takes two bytes
        return err_set(d->err, ERR_FORMAT, "a constant has fewer strings than its shape, %zu", cap);
    Str *strings = arena_array(d->arena, cap + 1, Str);
    WireField f;
    while (wire_next(&r, &f)) {
        if (f.field != ELEMENTS || f.type != WIRE_BYTES) return broken(d, "a list of strings");
        if (count == cap)
            return err_set(d->err, ERR_FORMAT, "a constant has more strings than its shape, %zu",
                           cap);
        strings[count++] = wire_str(&f);
    }
    if (r.short_read) return broken(d, "a list of strings");
    if (count != cap)
        return err_set(d->err, ERR_FORMAT, "a constant has %zu strings, expected %zu by its shape",
                       count, cap);
    data->strings = strings;
    return true;
}

// Floats and doubles: packed in one record, or one a field.
static bool read_reals(Decoder *d, Reader r, const MilType *type, MilData *data) {
    size_t n = mil_dtypes[type->dtype].bits / 8, count = 0, cap = reader_left(&r);
    uint8_t *bytes = NULL;
    WireField f;
    while (wire_next(&r, &f)) {
        if (f.field != ELEMENTS) return broken(d, "a list of numbers");
        if (f.type == WIRE_BYTES) {
            if (data->n_bytes || count) return broken(d, "a list of numbers");
            data->bytes = wire_str(&f).at;
            data->n_bytes = wire_str(&f).len;
            continue;
        }
        if (f.type != (n == 4 ? WIRE_32 : WIRE_64) || data->n_bytes)
            return broken(d, "a list of numbers");
        if (!bytes) bytes = arena_alloc(d->arena, cap, 1); // a field is longer than its number
        for (size_t k = 0; k < n; k++) bytes[count * n + k] = (uint8_t)(f.value >> (8 * k));
        count++;
    }
    if (r.short_read) return broken(d, "a list of numbers");
    if (count) {
        data->bytes = bytes;
        data->n_bytes = count * n;
    }
    return true;
}

// One record of bytes.
static bool read_raw(Decoder *d, Reader r, MilData *data) {
    WireField f;
    size_t n = 0;
    while (wire_next(&r, &f)) {
        if (f.field != ELEMENTS || f.type != WIRE_BYTES || ++n > 1)
            return broken(d, "a constant's content");
        data->bytes = wire_str(&f).at;
        data->n_bytes = wire_str(&f).len;
    }
    return !r.short_read || broken(d, "a constant's content");
}

static bool read_elements(Decoder *d, Reader r, const MilType *type, MilData *data) {
    switch (tensor_member(type->dtype)) {
    case TENSOR_INTS:
    case TENSOR_LONG_INTS:
    case TENSOR_BOOLS: return read_ints(d, r, type, data);
    case TENSOR_STRINGS: return read_strings(d, r, type, data);
    case TENSOR_FLOATS:
    case TENSOR_DOUBLES: return read_reals(d, r, type, data);
    default: return read_raw(d, r, data);
    }
}

static bool read_immediate(Decoder *d, Reader r, const MilType *type, MilData *data) {
    WireField tensor, member, more;
    if (!wire_next(&r, &tensor) || tensor.field != IMMEDIATE_TENSOR || tensor.type != WIRE_BYTES)
        return err_set(d->err, ERR_FORMAT, "an immediate value is not a tensor, expected one");
    if (!wire_next(&tensor.bytes, &member) || member.type != WIRE_BYTES || wire_next(&r, &more))
        return broken(d, "an immediate value");
    if (member.field != tensor_member(type->dtype))
        return err_set(d->err, ERR_FORMAT,
                       "a constant of %s in member %u of its tensor, expected %u",
                       mil_dtypes[type->dtype].name, member.field, tensor_member(type->dtype));
    return read_elements(d, member.bytes, type, data);
}

static bool read_blob(Decoder *d, Reader r, MilData *data) {
    WireField f;
    data->is_blob = true;
    while (wire_next(&r, &f)) {
        if (f.field == BLOB_FILE && f.type == WIRE_BYTES) data->file = wire_str(&f);
        if (f.field == BLOB_OFFSET && f.type == WIRE_VARINT) data->offset = f.value;
    }
    return !r.short_read || broken(d, "a reference into the weight file");
}

static bool read_value(Decoder *d, Reader r, MilType *type, MilData **out) {
    Reader again = r;
    WireField f;
    bool has_type = false, has_data = false;
    while (wire_next(&r, &f))
        if (f.field == VALUE_TYPE && f.type == WIRE_BYTES) {
            if (!read_type(d, f.bytes, type)) return false;
            has_type = true;
        }
    if (r.short_read || !has_type) return broken(d, "a value");
    MilData *data = arena_new(d->arena, MilData);
    while (wire_next(&again, &f)) {
        if (f.type != WIRE_BYTES || (f.field != VALUE_IMMEDIATE && f.field != VALUE_BLOB)) continue;
        if (has_data)
            return err_set(
                d->err, ERR_FORMAT,
                "a value has two contents, expected immediate data or a place in a weight file");
        has_data = true;
        if (f.field == VALUE_BLOB ? !read_blob(d, f.bytes, data)
                                  : !read_immediate(d, f.bytes, type, data))
            return false;
    }
    *out = data;
    return has_data ||
           err_set(d->err, ERR_FORMAT,
                   "a value has no content, expected immediate data or a place in a weight file");
}

static bool read_literal(Decoder *d, Reader r, ValueId *out) {
    MilValue value = {.op = MIL_NO_OP};
    MilData *data;
    if (!read_value(d, r, &value.type, &data)) return false;
    value.data = data;
    *out = mil_function_add_value(d->f, value);
    return true;
}

// ---- operations

static bool read_entry(Decoder *d, Reader r, Str *key, Reader *value) {
    return wire_entry(r, key, value) || broken(d, "a map entry");
}

static bool read_bindings(Decoder *d, Reader r, MilArg *arg) {
    enum { MAX_BINDINGS = 4096 };
    ValueId *values = NULL;
    size_t n = 0, cap = 0;
    WireField f;
    while (wire_next(&r, &f)) {
        WireField binding;
        if (f.field != ARGUMENT_BINDINGS || f.type != WIRE_BYTES || n == MAX_BINDINGS ||
            !wire_next(&f.bytes, &binding) || binding.type != WIRE_BYTES)
            return broken(d, "an argument");
        if (n == cap) {
            ValueId *wider = arena_array(d->arena, cap = cap ? cap * 2 : 4, ValueId);
            if (n) memcpy(wider, values, n * sizeof *values);
            values = wider;
        }
        if (binding.field == BINDING_VALUE) {
            if (!read_literal(d, binding.bytes, &values[n])) return false;
        } else {
            Str name = wire_str(&binding);
            values[n] = mil_find_value(d->f, name);
            if (value_is_none(values[n]))
                return err_set(d->err, ERR_FORMAT, "'%.*s' is used before it is defined",
                               STR_ARG(shown(name)));
        }
        n++;
    }
    if (r.short_read) return broken(d, "an argument");
    if (n == 0) return err_set(d->err, ERR_FORMAT, "an argument without a value");
    *arg = mil_function_add_operands(d->f, values, n);
    return true;
}

static bool set_arg(Decoder *d, MilOp *op, Str key, MilArg arg) {
    for (uint32_t p = 0; p < op->info->n_params; p++) {
        if (!str_is(key, op->info->params[p].name)) continue;
        if (op->args[p].count)
            return err_set(d->err, ERR_FORMAT, "parameter '%.*s' is given twice",
                           STR_ARG(shown(key)));
        op->args[p] = arg;
        return true;
    }
    return err_set(d->err, ERR_FORMAT, "'%.*s' is not a parameter of %s", STR_ARG(shown(key)),
                   op->info->name);
}

static bool read_attribute(Decoder *d, MilOp *op, Reader entry, const MilData **val,
                           MilType *val_type) {
    Str key;
    Reader value;
    if (!read_entry(d, entry, &key, &value)) return false;
    MilType type;
    MilData *data;
    if (str_is(key, "name")) {
        if (!read_value(d, value, &type, &data)) return false;
        if (type.dtype != MIL_STRING || type.rank || !data->strings)
            return err_set(d->err, ERR_FORMAT, "an op's name that is not a string");
        op->name = data->strings[0];
        if (op->name.len > MIL_MAX_NAME)
            return err_set(d->err, ERR_FORMAT, "an op's name of %zu bytes, expected at most %d",
                           op->name.len, MIL_MAX_NAME);
        return true;
    }
    if (op->info->opcode == MIL_OP_const && str_is(key, "val")) {
        if (!read_value(d, value, val_type, &data)) return false;
        *val = data;
        return true;
    }
    if (!(op->info->flags & MIL_OP_ATTRIBUTES))
        return err_set(d->err, ERR_FORMAT, "%s has an attribute '%.*s'", op->info->name,
                       STR_ARG(shown(key)));
    ValueId literal;
    if (!read_literal(d, value, &literal)) return false;
    return set_arg(d, op, key, mil_function_add_operands(d->f, &literal, 1));
}

static bool read_op_type(Decoder *d, Reader r, const MilOpInfo **info) {
    WireField f;
    *info = NULL;
    while (wire_next(&r, &f)) {
        if (f.field != OPERATION_TYPE || f.type != WIRE_BYTES) continue;
        Str name = wire_str(&f);
        int32_t spec = d->program->spec_version;
        *info = mil_op_for(name, spec);
        if (!*info && mil_op_named(name))
            return err_set(d->err, ERR_FORMAT, "op '%.*s' is not one of specification version %d",
                           STR_ARG(shown(name)), (int)spec);
        if (!*info)
            return err_set(d->err, ERR_FORMAT,
                           "op '%.*s' is not known to lathe; it cannot be checked or run",
                           STR_ARG(shown(name)));
    }
    if (r.short_read) return broken(d, "an operation");
    return *info != NULL || err_set(d->err, ERR_FORMAT, "an operation without a type");
}

static bool read_op(Decoder *d, Reader r) {
    MilOp op = {0};
    if (!read_op_type(d, r, &op.info)) return false;
    Reader outputs = r;
    const MilData *val = NULL;
    MilType val_type;
    WireField f;
    Str key;
    Reader value;
    while (wire_next(&r, &f)) {
        if (f.type != WIRE_BYTES) return broken(d, "an operation");
        MilArg arg;
        switch (f.field) {
        case OPERATION_INPUTS:
            if (!read_entry(d, f.bytes, &key, &value) || !read_bindings(d, value, &arg) ||
                !set_arg(d, &op, key, arg))
                return false;
            break;
        case OPERATION_ATTRIBUTES:
            if (!read_attribute(d, &op, f.bytes, &val, &val_type)) return false;
            break;
        case OPERATION_BLOCKS:
            return err_set(d->err, ERR_FORMAT, "%s has nested blocks, which lathe does not support",
                           op.info->name);
        default: break; // type and outputs
        }
    }
    if (r.short_read) return broken(d, "an operation");
    op.first_output = d->f->n_values;
    while (wire_next(&outputs, &f)) {
        if (f.field != OPERATION_OUTPUTS) continue;
        MilValue out = {.op = d->f->n_ops, .result = op.n_outputs++};
        if (!read_named_type(d, f.bytes, &out.name, &out.type)) return false;
        if (val && !mil_type_eq(&out.type, &val_type))
            return err_set(d->err, ERR_FORMAT, "const '%.*s': value and result differ in type",
                           STR_ARG(shown(out.name)));
        out.data = val;
        mil_function_add_value(d->f, out);
    }
    if (op.name.len == 0 && op.n_outputs) op.name = d->f->values[op.first_output].name;
    mil_function_add_op(d->f, op);
    return true;
}

static bool read_block(Decoder *d, Reader r) {
    Reader again = r;
    WireField f;
    while (wire_next(&r, &f)) {
        if (f.type != WIRE_BYTES) return broken(d, "a block");
        if (f.field == BLOCK_OPERATIONS && !read_op(d, f.bytes)) return false;
    }
    if (r.short_read) return broken(d, "a block");
    while (wire_next(&again, &f)) {
        if (f.field != BLOCK_OUTPUTS) continue;
        ValueId v = mil_find_value(d->f, wire_str(&f));
        if (value_is_none(v))
            return err_set(d->err, ERR_FORMAT, "output '%.*s' is not defined",
                           STR_ARG(shown(wire_str(&f))));
        mil_function_add_output(d->f, v);
    }
    return true;
}

static bool read_function(Decoder *d, Str name, Reader r) {
    d->f = mil_function_new(d->program, name);
    Reader again = r;
    WireField f;
    Str opset = {"", 0};
    while (wire_next(&r, &f)) {
        if (f.type != WIRE_BYTES) return broken(d, "a function");
        if (f.field == FUNCTION_OPSET) opset = wire_str(&f);
        if (f.field != FUNCTION_INPUTS) continue;
        MilValue input = {.op = MIL_NO_OP};
        if (!read_named_type(d, f.bytes, &input.name, &input.type)) return false;
        mil_function_add_input(d->f, mil_function_add_value(d->f, input));
    }
    if (r.short_read) return broken(d, "a function");
    d->f->opset = opset;
    while (wire_next(&again, &f)) {
        if (f.field != FUNCTION_BLOCKS) continue;
        Str key;
        Reader block;
        if (!read_entry(d, f.bytes, &key, &block)) return false;
        if (str_eq(key, opset)) return read_block(d, block);
    }
    return err_set(d->err, ERR_FORMAT, "no block for opset '%.*s'", STR_ARG(shown(opset)));
}

static bool read_program(Decoder *d, Reader r) {
    WireField f;
    uint64_t version = 0;
    while (wire_next(&r, &f)) {
        if (f.field == PROGRAM_VERSION && f.type == WIRE_VARINT) version = f.value;
        if (f.field != PROGRAM_FUNCTIONS || f.type != WIRE_BYTES) continue;
        Str name;
        Reader function;
        if (!read_entry(d, f.bytes, &name, &function)) return false;
        if (name.len == 0) return err_set(d->err, ERR_FORMAT, "a function without a name");
        if (!read_function(d, name, function))
            return err_prefix(d->err, "function '%.*s'", STR_ARG(shown(name)));
    }
    if (r.short_read) return broken(d, "the program");
    return version == 1 ||
           err_set(d->err, ERR_FORMAT, "program version %" PRIu64 ", expected 1", version);
}

// ---- the model

bool model_decode(Package *p, Arena *arena, const void *bytes, size_t n, Err *err) {
    Decoder d = {.arena = arena, .err = err};
    Reader r = reader_over(bytes, n), description = {0}, program = {0};
    WireField f;
    uint64_t spec_version = 0;
    bool has_program = false, has_description = false;
    while (wire_next(&r, &f)) {
        if (f.field == MODEL_SPEC_VERSION && f.type == WIRE_VARINT) spec_version = f.value;
        if (f.field != MODEL_DESCRIPTION && f.field != MODEL_PROGRAM) continue;
        if (f.type != WIRE_BYTES) return broken(&d, "the model");
        Reader *part = f.field == MODEL_PROGRAM ? &program : &description;
        bool *is_there = f.field == MODEL_PROGRAM ? &has_program : &has_description;
        if (*is_there)
            return err_set(err, ERR_FORMAT, "two %s",
                           part == &program ? "ML Programs" : "descriptions");
        *part = f.bytes;
        *is_there = true;
    }
    if (r.short_read) return broken(&d, "the model");
    if (!has_program)
        return err_set(err, ERR_FORMAT, "expected an ML Program, found another kind of model");
    enum { LEAST_SPEC = 6, MOST_SPEC = 10 };
    if (spec_version < LEAST_SPEC || spec_version > MOST_SPEC)
        return err_set(err, ERR_FORMAT, "spec version %" PRIu64 ", expected %d to %d", spec_version,
                       LEAST_SPEC, MOST_SPEC);
    d.program = p->program = mil_program_new(arena, (int32_t)spec_version);
    return read_program(&d, program) && description_decode(p, arena, description, err);
}
