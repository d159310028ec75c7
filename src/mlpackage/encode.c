// encode.c — writes a program as the message CoreML.Specification.Model. Maps are sorted by key, so
// that the same program gives the same bytes.
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "base/size.h"
#include "mlpackage/model.h"
#include "mlpackage/wire.h"

uint32_t tensor_member(MilDtype dtype) {
    switch (dtype) {
    case MIL_F32: return TENSOR_FLOATS;
    case MIL_F64: return TENSOR_DOUBLES;
    case MIL_I64: return TENSOR_LONG_INTS;
    case MIL_I32:
    case MIL_I16:
    case MIL_U16: return TENSOR_INTS;
    case MIL_BOOL: return TENSOR_BOOLS;
    case MIL_STRING: return TENSOR_STRINGS;
    default: return TENSOR_BYTES;
    }
}

// ---- types and values

static void put_tensor_type(StrBuf *out, const MilType *type) {
    size_t tensor = wire_begin(out, VALUE_TYPE_TENSOR);
    wire_put_int(out, TENSOR_DTYPE, mil_dtypes[type->dtype].proto_id);
    if (type->rank) wire_put_int(out, TENSOR_RANK, type->rank);
    for (int i = 0; i < type->rank; i++) {
        size_t dimension = wire_begin(out, TENSOR_DIMENSIONS);
        bool is_open = type->dims[i] == MIL_UNKNOWN_DIM;
        size_t kind = wire_begin(out, is_open ? DIMENSION_UNKNOWN : DIMENSION_CONSTANT);
        if (type->dims[i] > 0) wire_put_int(out, CONSTANT_SIZE, type->dims[i]);
        wire_end(out, kind);
        wire_end(out, dimension);
    }
    wire_end(out, tensor);
}

static void put_type(StrBuf *out, uint32_t field, const MilType *type) {
    size_t value_type = wire_begin(out, field);
    if (type->is_state) {
        size_t state = wire_begin(out, VALUE_TYPE_STATE);
        size_t wrapped = wire_begin(out, STATE_WRAPPED);
        put_tensor_type(out, type);
        wire_end(out, wrapped);
        wire_end(out, state);
    } else {
        put_tensor_type(out, type);
    }
    wire_end(out, value_type);
}

static void put_elements(StrBuf *out, const MilValue *v) {
    const uint8_t *at = v->data->bytes;
    size_t count = 0;
    mil_type_count(&v->type, &count);
    switch (tensor_member(v->type.dtype)) {
    case TENSOR_INTS:
    case TENSOR_LONG_INTS:
    case TENSOR_BOOLS: {
        if (count == 0) break;
        size_t packed = wire_begin(out, ELEMENTS);
        for (size_t i = 0; i < count; i++) {
            unsigned n = mil_dtypes[v->type.dtype].bits / 8;
            uint64_t bits = load_le(at + i * n, n);
            bool is_signed = v->type.dtype == MIL_I32 || v->type.dtype == MIL_I16;
            if (is_signed && bits >> (8 * n - 1)) bits |= ~UINT64_C(0) << (8 * n - 1);
            wire_put_varint(out, bits);
        }
        wire_end(out, packed);
        break;
    }
    case TENSOR_STRINGS:
        for (size_t i = 0; i < count; i++) wire_put_bytes(out, ELEMENTS, v->data->strings[i]);
        break;
    default: // bytes, and floats and doubles, which are packed as they lie in memory
        if (v->data->n_bytes)
            wire_put_bytes(out, ELEMENTS, (Str){(const char *)at, v->data->n_bytes});
    }
}

static void put_value(StrBuf *out, uint32_t field, const MilValue *v) {
    size_t value = wire_begin(out, field);
    put_type(out, VALUE_TYPE, &v->type);
    if (v->data->is_blob) {
        size_t blob = wire_begin(out, VALUE_BLOB);
        wire_put_bytes(out, BLOB_FILE, v->data->file);
        wire_put_int(out, BLOB_OFFSET, (int64_t)v->data->offset);
        wire_end(out, blob);
    } else {
        size_t immediate = wire_begin(out, VALUE_IMMEDIATE);
        size_t tensor = wire_begin(out, IMMEDIATE_TENSOR);
        size_t member = wire_begin(out, tensor_member(v->type.dtype));
        put_elements(out, v);
        wire_end(out, member);
        wire_end(out, tensor);
        wire_end(out, immediate);
    }
    wire_end(out, value);
}

// ---- operations

static void put_named_type(StrBuf *out, uint32_t field, Str name, const MilType *type) {
    size_t named = wire_begin(out, field);
    wire_put_bytes(out, NAMED_TYPE_NAME, name);
    put_type(out, NAMED_TYPE_TYPE, type);
    wire_end(out, named);
}

static void put_argument(StrBuf *out, const MilFunction *f, const char *param, const MilArg *arg) {
    size_t entry = wire_begin(out, OPERATION_INPUTS);
    wire_put_bytes(out, MAP_KEY, str_of(param));
    size_t argument = wire_begin(out, MAP_VALUE);
    for (uint32_t i = 0; i < arg->count; i++) {
        const MilValue *v = mil_value(f, f->operands[arg->first + i]);
        size_t binding = wire_begin(out, ARGUMENT_BINDINGS);
        if (v->name.len)
            wire_put_bytes(out, BINDING_NAME, v->name);
        else
            put_value(out, BINDING_VALUE, v);
        wire_end(out, binding);
    }
    wire_end(out, argument);
    wire_end(out, entry);
}

static void put_attribute(StrBuf *out, const char *key, const MilValue *v) {
    size_t entry = wire_begin(out, OPERATION_ATTRIBUTES);
    wire_put_bytes(out, MAP_KEY, str_of(key));
    put_value(out, MAP_VALUE, v);
    wire_end(out, entry);
}

static void put_name(StrBuf *out, Str name) {
    MilData data = {.strings = &name};
    MilValue v = {.type = {.dtype = MIL_STRING}, .data = &data};
    put_attribute(out, "name", &v);
}

// Parameters that were given, by name: maps are written sorted so that the same program gives the
// same bytes. Returns their number.
static uint32_t sorted_params(const MilOp *op, uint32_t order[MIL_MAX_PARAMS]) {
    uint32_t n = 0;
    for (uint32_t p = 0; p < op->info->n_params; p++) {
        if (op->args[p].count == 0) continue;
        uint32_t at = n++;
        for (; at && strcmp(op->info->params[order[at - 1]].name, op->info->params[p].name) > 0;
             at--)
            order[at] = order[at - 1];
        order[at] = p;
    }
    return n;
}

static void put_op(StrBuf *out, const MilFunction *f, const MilOp *op) {
    size_t operation = wire_begin(out, BLOCK_OPERATIONS);
    wire_put_bytes(out, OPERATION_TYPE, str_of(op->info->name));
    uint32_t order[MIL_MAX_PARAMS], n = sorted_params(op, order);
    bool as_attributes = op->info->flags & MIL_OP_ATTRIBUTES;
    for (uint32_t i = 0; i < n && !as_attributes; i++)
        put_argument(out, f, op->info->params[order[i]].name, &op->args[order[i]]);
    for (uint32_t i = 0; i < op->n_outputs; i++) {
        const MilValue *v = &f->values[op->first_output + i];
        put_named_type(out, OPERATION_OUTPUTS, v->name, &v->type);
    }
    bool is_named = false;
    for (uint32_t i = 0; i < n && as_attributes; i++) {
        const char *key = op->info->params[order[i]].name;
        if (!is_named && strcmp(key, "name") > 0) put_name(out, op->name), is_named = true;
        put_attribute(out, key, mil_value(f, f->operands[op->args[order[i]].first]));
    }
    if (!is_named) put_name(out, op->name);
    if (op->info->opcode == MIL_OP_const) put_attribute(out, "val", &f->values[op->first_output]);
    wire_end(out, operation);
}

static void put_function(StrBuf *out, const MilFunction *f) {
    size_t entry = wire_begin(out, PROGRAM_FUNCTIONS);
    wire_put_bytes(out, MAP_KEY, f->name);
    size_t function = wire_begin(out, MAP_VALUE);
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        const MilValue *v = mil_value(f, f->inputs[i]);
        put_named_type(out, FUNCTION_INPUTS, v->name, &v->type);
    }
    wire_put_bytes(out, FUNCTION_OPSET, f->opset);
    size_t block_entry = wire_begin(out, FUNCTION_BLOCKS);
    wire_put_bytes(out, MAP_KEY, f->opset);
    size_t block = wire_begin(out, MAP_VALUE);
    for (uint32_t i = 0; i < f->n_outputs; i++)
        wire_put_bytes(out, BLOCK_OUTPUTS, mil_value(f, f->outputs[i])->name);
    for (uint32_t i = 0; i < f->n_ops; i++) put_op(out, f, &f->ops[i]);
    wire_end(out, block);
    wire_end(out, block_entry);
    wire_end(out, function);
    wire_end(out, entry);
}

// ---- description

static uint32_t array_dtype(MilDtype dtype) {
    switch (dtype) {
    case MIL_F16: return ARRAY_F16;
    case MIL_F32: return ARRAY_F32;
    case MIL_I8: return ARRAY_I8;
    default: return ARRAY_I32;
    }
}

static void put_feature(StrBuf *out, uint32_t field, const MilValue *v) {
    size_t feature = wire_begin(out, field);
    wire_put_bytes(out, FEATURE_NAME, v->name);
    size_t type = wire_begin(out, FEATURE_TYPE);
    size_t state = v->type.is_state ? wire_begin(out, FEATURE_TYPE_STATE) : 0;
    size_t array = wire_begin(out, v->type.is_state ? STATE_ARRAY : FEATURE_TYPE_ARRAY);
    size_t count;
    if (mil_type_count(&v->type, &count)) { // else only the program states it
        size_t shape = wire_begin(out, ARRAY_SHAPE);
        for (int i = 0; i < v->type.rank; i++) wire_put_varint(out, (uint64_t)v->type.dims[i]);
        wire_end(out, shape);
    }
    wire_put_int(out, ARRAY_DTYPE, array_dtype(v->type.dtype));
    wire_end(out, array);
    if (v->type.is_state) wire_end(out, state);
    wire_end(out, type);
    wire_end(out, feature);
}

static void put_features(StrBuf *out, const MilFunction *f, uint32_t input, uint32_t output,
                         uint32_t state) {
    for (uint32_t i = 0; i < f->n_inputs; i++)
        if (!mil_value(f, f->inputs[i])->type.is_state)
            put_feature(out, input, mil_value(f, f->inputs[i]));
    for (uint32_t i = 0; i < f->n_outputs; i++)
        put_feature(out, output, mil_value(f, f->outputs[i]));
    for (uint32_t i = 0; i < f->n_inputs; i++)
        if (mil_value(f, f->inputs[i])->type.is_state)
            put_feature(out, state, mil_value(f, f->inputs[i]));
}

static int compare_notes(const void *a, const void *b) {
    return strcmp(((const PackageNote *)a)->key, ((const PackageNote *)b)->key);
}

static void put_metadata(StrBuf *out, const PackageSource *source) {
    if (!source->description && !source->author && !source->licence && !source->n_notes) return;
    size_t metadata = wire_begin(out, DESCRIPTION_METADATA);
    if (source->description) wire_put_bytes(out, METADATA_DESCRIPTION, str_of(source->description));
    if (source->author) wire_put_bytes(out, METADATA_AUTHOR, str_of(source->author));
    if (source->licence) wire_put_bytes(out, METADATA_LICENCE, str_of(source->licence));
    Arena scratch = {0};
    PackageNote *notes = arena_array(&scratch, source->n_notes, PackageNote);
    if (source->n_notes) {
        memcpy(notes, source->notes, source->n_notes * sizeof *notes);
        qsort(notes, source->n_notes, sizeof *notes, compare_notes);
    }
    for (size_t i = 0; i < source->n_notes; i++) {
        size_t entry = wire_begin(out, METADATA_USER);
        wire_put_bytes(out, MAP_KEY, str_of(notes[i].key));
        wire_put_bytes(out, MAP_VALUE, str_of(notes[i].value));
        wire_end(out, entry);
    }
    arena_free(&scratch);
    wire_end(out, metadata);
}

static void put_description(StrBuf *out, const PackageSource *source) {
    const MilProgram *p = source->program;
    size_t description = wire_begin(out, MODEL_DESCRIPTION);
    if (p->default_function.len == 0) {
        put_features(out, p->functions[0], DESCRIPTION_INPUT, DESCRIPTION_OUTPUT,
                     DESCRIPTION_STATE);
    } else {
        for (uint32_t i = 0; i < p->n_functions; i++) {
            size_t function = wire_begin(out, DESCRIPTION_FUNCTIONS);
            wire_put_bytes(out, FUNCTION_DESC_NAME, p->functions[i]->name);
            put_features(out, p->functions[i], FUNCTION_DESC_INPUT, FUNCTION_DESC_OUTPUT,
                         FUNCTION_DESC_STATE);
            wire_end(out, function);
        }
        wire_put_bytes(out, DESCRIPTION_DEFAULT_FUNCTION, p->default_function);
    }
    put_metadata(out, source);
    wire_end(out, description);
}

void model_encode(const PackageSource *source, StrBuf *out) {
    const MilProgram *p = source->program;
    wire_put_int(out, MODEL_SPEC_VERSION, p->spec_version);
    put_description(out, source);
    size_t program = wire_begin(out, MODEL_PROGRAM);
    wire_put_int(out, PROGRAM_VERSION, 1);
    // The functions of a map, sorted by name like every map here.
    Arena scratch = {0};
    const MilFunction **sorted = arena_array(&scratch, p->n_functions, const MilFunction *);
    for (uint32_t i = 0; i < p->n_functions; i++) {
        uint32_t at = i;
        for (; at && str_compare(sorted[at - 1]->name, p->functions[i]->name) > 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = p->functions[i];
    }
    for (uint32_t i = 0; i < p->n_functions; i++) put_function(out, sorted[i]);
    arena_free(&scratch);
    wire_end(out, program);
}
