// decode_description.c — reads the model's description, which lists functions and ports for readers
// that do not read the program. Every port must be one of the program's.
#include <inttypes.h>
#include <string.h>

#include "base/size.h"
#include "mlpackage/model.h"
#include "mlpackage/wire.h"

typedef struct {
    Package *package;
    MilProgram *program;
    Arena *arena;
    Err *err;
    bool *is_described; // [n_functions]
} Decoder;

// Fields by which a message lists ports: a function's, or the model's when it has one function.
typedef struct {
    uint32_t input, output, state;
} PortFields;
static const PortFields of_model = {DESCRIPTION_INPUT, DESCRIPTION_OUTPUT, DESCRIPTION_STATE};
static const PortFields of_function = {FUNCTION_DESC_INPUT, FUNCTION_DESC_OUTPUT,
                                       FUNCTION_DESC_STATE};

static bool broken(Decoder *d, const char *what) {
    return err_set(d->err, ERR_FORMAT, "%s is cut off or malformed", what);
}

// A name from the file as messages show it: a long one must not push the reason out.
static Str shown(Str name) {
    return (Str){name.at, min_size(name.len, 100)};
}

// ---- notes

static bool read_note(Decoder *d, Reader entry) {
    Package *p = d->package;
    Str key;
    Reader value;
    if (!wire_entry(entry, &key, &value)) return broken(d, "a note");
    PackageNote *wider = arena_array(d->arena, p->n_notes + 1, PackageNote);
    if (p->n_notes) memcpy(wider, p->notes, p->n_notes * sizeof *wider);
    Str text = {(const char *)value.at, reader_left(&value)};
    wider[p->n_notes++] = (PackageNote){arena_cstr(d->arena, key), arena_cstr(d->arena, text)};
    p->notes = wider;
    return true;
}

static bool read_metadata(Decoder *d, Reader r) {
    enum { MAX_NOTES = 1000 };
    WireField f;
    while (wire_next(&r, &f)) {
        if (f.field != METADATA_USER || f.type != WIRE_BYTES) continue;
        if (d->package->n_notes == MAX_NOTES)
            return err_set(d->err, ERR_FORMAT, "more than %d notes", MAX_NOTES);
        if (!read_note(d, f.bytes)) return false;
    }
    return !r.short_read || broken(d, "the metadata");
}

// ---- ports

static bool read_dims(Reader r, MilType *type) {
    while (reader_left(&r)) {
        uint64_t dim = wire_get_varint(&r);
        if (r.short_read || dim > INT32_MAX || type->rank == MIL_MAX_RANK) return false;
        type->dims[type->rank++] = (int64_t)dim;
    }
    return true;
}

static bool read_array(Decoder *d, Str name, Reader r, MilType *type) {
    WireField f;
    uint64_t dtype = 0;
    while (wire_next(&r, &f)) {
        if (f.field == ARRAY_DTYPE && f.type == WIRE_VARINT) dtype = f.value;
        if (f.field == ARRAY_ENUMERATED || f.field == ARRAY_RANGE)
            return err_set(d->err, ERR_FORMAT,
                           "the description: '%.*s' has a flexible shape; lathe runs fixed ones",
                           STR_ARG(shown(name)));
        if (f.field != ARRAY_SHAPE) continue;
        // Packed, or one number a field.
        StrBuf one = {0};
        if (f.type == WIRE_VARINT) wire_put_varint(&one, f.value);
        bool ok = f.type == WIRE_BYTES ? read_dims(f.bytes, type)
                                       : read_dims(reader_over(one.at, one.len), type);
        strbuf_free(&one);
        if (!ok) return broken(d, "a shape of the description");
    }
    if (r.short_read) return broken(d, "the description");
    switch (dtype) {
    case ARRAY_F16: type->dtype = MIL_F16; return true;
    case ARRAY_F32: type->dtype = MIL_F32; return true;
    case ARRAY_I8: type->dtype = MIL_I8; return true;
    case ARRAY_I32: type->dtype = MIL_I32; return true;
    }
    return err_set(d->err, ERR_FORMAT,
                   "the description: '%.*s' has array type %" PRIu64
                   ", expected fp16, fp32, int8 or int32",
                   STR_ARG(shown(name)), dtype);
}

// FeatureType: a multi-array, or a state that wraps one.
static bool read_feature_type(Decoder *d, Str name, Reader r, MilType *type) {
    WireField f;
    *type = (MilType){.dtype = MIL_DTYPE_COUNT};
    while (wire_next(&r, &f)) {
        if (f.type != WIRE_BYTES) continue; // isOptional
        if (f.field == FEATURE_TYPE_STATE) {
            WireField array;
            if (!wire_next(&f.bytes, &array) || array.type != WIRE_BYTES) break;
            type->is_state = true;
            f = array;
        }
        if (f.field == (type->is_state ? STATE_ARRAY : FEATURE_TYPE_ARRAY))
            return read_array(d, name, f.bytes, type);
    }
    if (r.short_read) return broken(d, "the description");
    return err_set(d->err, ERR_FORMAT, "the description: '%.*s' must be a multi-array",
                   STR_ARG(shown(name)));
}

// An output may leave its shape to the program.
static bool same_port(Decoder *d, const MilFunction *f, Str name, const MilType *stated,
                      const MilType *found, bool is_output) {
    if (mil_type_eq(stated, found)) return true;
    if (is_output && stated->rank == 0 && stated->dtype == found->dtype && !stated->is_state)
        return true;
    StrBuf a = {0}, b = {0};
    mil_type_print(stated, &a);
    mil_type_print(found, &b);
    err_set(d->err, ERR_FORMAT, "the description states '%.*s' as %s, function '%.*s' has %s",
            STR_ARG(shown(name)), a.at, STR_ARG(f->name), b.at);
    strbuf_free(&a);
    strbuf_free(&b);
    return false;
}

// A feature of the description against the function's port of that name.
static bool check_feature(Decoder *d, const MilFunction *f, Reader r, bool is_output) {
    WireField field;
    Str name = {"", 0};
    Reader type = {0};
    while (wire_next(&r, &field)) {
        if (field.type != WIRE_BYTES) return broken(d, "the description");
        if (field.field == FEATURE_NAME) name = wire_str(&field);
        if (field.field == FEATURE_TYPE) type = field.bytes;
    }
    if (r.short_read) return broken(d, "the description");
    MilType stated;
    if (!read_feature_type(d, name, type, &stated)) return false;
    const ValueId *ports = is_output ? f->outputs : f->inputs;
    uint32_t n = is_output ? f->n_outputs : f->n_inputs;
    for (uint32_t i = 0; i < n; i++) {
        const MilValue *v = mil_value(f, ports[i]);
        if (str_eq(v->name, name)) return same_port(d, f, name, &stated, &v->type, is_output);
    }
    return err_set(d->err, ERR_FORMAT, "the description names '%.*s', which function '%.*s' lacks",
                   STR_ARG(shown(name)), STR_ARG(f->name));
}

static bool check_ports(Decoder *d, Reader r, const MilFunction *f, PortFields fields) {
    WireField field;
    uint32_t n_inputs = 0, n_outputs = 0;
    while (wire_next(&r, &field)) {
        bool is_output = field.field == fields.output;
        if (!(is_output || field.field == fields.input || field.field == fields.state)) continue;
        if (field.type != WIRE_BYTES) return broken(d, "the description");
        if (!check_feature(d, f, field.bytes, is_output)) return false;
        if (is_output)
            n_outputs++;
        else
            n_inputs++;
    }
    if (r.short_read) return broken(d, "the description");
    if (n_inputs != f->n_inputs || n_outputs != f->n_outputs)
        return err_set(
            d->err, ERR_FORMAT,
            "the description has %u inputs and %u outputs, but function '%.*s' has %u and %u",
            n_inputs, n_outputs, STR_ARG(f->name), f->n_inputs, f->n_outputs);
    return true;
}

// ---- functions

static bool check_function(Decoder *d, Reader r) {
    Reader again = r;
    WireField field;
    Str name = {"", 0};
    while (wire_next(&r, &field))
        if (field.field == FUNCTION_DESC_NAME && field.type == WIRE_BYTES) name = wire_str(&field);
    if (r.short_read) return broken(d, "the description");
    for (uint32_t i = 0; i < d->program->n_functions; i++) {
        const MilFunction *f = d->program->functions[i];
        if (!str_eq(f->name, name)) continue;
        if (d->is_described[i])
            return err_set(d->err, ERR_FORMAT, "the description has function '%.*s' twice",
                           STR_ARG(shown(name)));
        d->is_described[i] = true;
        return check_ports(d, again, f, of_function);
    }
    return err_set(d->err, ERR_FORMAT,
                   "the description has function '%.*s', which the program lacks",
                   STR_ARG(shown(name)));
}

// One function, called main, whose ports the description lists itself.
static bool check_single(Decoder *d, Reader description) {
    const MilFunction *f = mil_find_function(d->program, STR("main"));
    if (!f || d->program->n_functions != 1)
        return err_set(d->err, ERR_FORMAT, "a single function must be called main");
    return check_ports(d, description, f, of_model);
}

bool description_decode(Package *p, Arena *arena, Reader description, Err *err) {
    Decoder d = {p, p->program, arena, err, arena_array(arena, p->program->n_functions, bool)};
    Reader r = description;
    WireField f;
    uint32_t n_functions = 0, n_ports = 0;
    while (wire_next(&r, &f)) {
        if (f.type != WIRE_BYTES) return broken(&d, "the description");
        if (f.field == DESCRIPTION_DEFAULT_FUNCTION) p->program->default_function = wire_str(&f);
        if (f.field == DESCRIPTION_METADATA && !read_metadata(&d, f.bytes)) return false;
        n_ports +=
            f.field == of_model.input || f.field == of_model.output || f.field == of_model.state;
        if (f.field != DESCRIPTION_FUNCTIONS) continue;
        if (!check_function(&d, f.bytes)) return false;
        n_functions++;
    }
    if (r.short_read) return broken(&d, "the description");
    if (n_functions == 0) return check_single(&d, description);
    if (n_ports)
        return err_set(err, ERR_FORMAT, "the description lists %u ports outside its functions",
                       n_ports);
    return n_functions == p->program->n_functions ||
           err_set(err, ERR_FORMAT, "the description has %u functions, the program %u", n_functions,
                   p->program->n_functions);
}
