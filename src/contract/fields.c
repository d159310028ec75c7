// fields.c — everything that follows from the table of fields: text form, digest, JSON.
#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "contract/fields.h"

// Names of enum values, by kind; a kind without names is not an enum.
typedef struct {
    const char *names[48];
} EnumNames;
static_assert(ARCH_COUNT < 48, "names of an enum");
static const EnumNames enums[KIND_COUNT] = {
    [KIND_Architecture] = {{
#define ARCH(id, name, ...) [ARCH_##id] = name,
#include "contract/archs.def"
#undef ARCH
    }},
    [KIND_NormKind] = {{[NORM_RMS] = "rms", [NORM_LAYER] = "layer"}},
    [KIND_RopeStyle] = {{[ROPE_HALF] = "half", [ROPE_INTERLEAVED] = "interleaved"}},
    [KIND_RopeScaling] = {{[ROPE_SCALING_NONE] = "none",
                           [ROPE_SCALING_LINEAR] = "linear",
                           [ROPE_SCALING_LLAMA3] = "llama3",
                           [ROPE_SCALING_YARN] = "yarn",
                           [ROPE_SCALING_LONGROPE] = "longrope"}},
    [KIND_SpacePrefix] = {{[SPACE_PREFIX_NONE] = "none",
                           [SPACE_PREFIX_FIRST] = "first",
                           [SPACE_PREFIX_EACH] = "each"}},
    [KIND_QkNorm] = {{[QK_NORM_NONE] = "none",
                      [QK_NORM_HEAD] = "head",
                      [QK_NORM_WIDTH] = "width",
                      [QK_NORM_HEAD_ROTATED] = "head_rotated"}},
    [KIND_NormPlacement] = {{[NORM_PRE] = "pre",
                             [NORM_POST] = "post",
                             [NORM_BOTH] = "both",
                             [NORM_PARALLEL] = "parallel"}},
    [KIND_Activation] = {{[ACTIVATION_SILU] = "silu",
                          [ACTIVATION_GELU_TANH] = "gelu_tanh",
                          [ACTIVATION_RELU_SQUARED] = "relu_squared",
                          [ACTIVATION_XIELU] = "xielu"}},
};

const FieldRow field_rows[FIELD_COUNT] = {
#define ENUM(T)             KIND_##T
#define U32                 KIND_U32
#define F32                 KIND_F32
#define BOOL                KIND_BOOL
#define F32S                KIND_F32S
#define U32S                KIND_U32S
#define TEXT                KIND_TEXT
#define NOWHERE             PLACE_NOWHERE, ""
#define ARCH_KEY(key)       PLACE_ARCH_KEY, key
#define KEY(key)            PLACE_KEY, key
#define TENSOR(name)        PLACE_TENSOR, name
#define LAYER_TENSOR(name)  PLACE_LAYER_TENSOR, name
#define ANY                 -INFINITY, INFINITY, FIELD_COUNT
#define RANGE(least, most)  (double)(least), (double)(most), FIELD_COUNT
#define UP_TO(least, other) (double)(least), 0, FIELD_##other
#define EXACT               COMPARISON_EXACT
#define NEAR                COMPARISON_NEAR
#define AS_USED             COMPARISON_AS_USED
#define COVERED             COMPARISON_COVERED
#define IF_USED             COMPARISON_IF_USED
#define SHAPE               true
#define FREE                false
#define ROW(...)            ROW_OF(__VA_ARGS__)
#define ROW_OF(field, layer, place_in, type, unit_, place_, key_, hf, least_, most_, other,        \
               compared, shape, text)                                                              \
    {.name = #field,                                                                               \
     .unit = unit_,                                                                                \
     .key = key_,                                                                                  \
     .hf_key = hf,                                                                                 \
     .doc = text,                                                                                  \
     .kind = type,                                                                                 \
     .at = place_in,                                                                               \
     .is_layer = layer,                                                                            \
     .place = place_,                                                                              \
     .least = least_,                                                                              \
     .most = most_,                                                                                \
     .most_of = other,                                                                             \
     .comparison = compared,                                                                       \
     .is_shape = shape},
#define FIELD(name, ...) [FIELD_##name] = ROW(name, false, offsetof(Contract, name), __VA_ARGS__)
#define LAYER_FIELD(name, ...)                                                                     \
    [FIELD_##name] = ROW(name, true, offsetof(Contract, kinds[0].name), __VA_ARGS__)
#include "contract/fields.def"
#undef LAYER_FIELD
#undef FIELD
#undef ROW_OF
#undef ROW
#undef FREE
#undef SHAPE
#undef IF_USED
#undef COVERED
#undef AS_USED
#undef NEAR
#undef EXACT
#undef UP_TO
#undef RANGE
#undef ANY
#undef LAYER_TENSOR
#undef TENSOR
#undef KEY
#undef ARCH_KEY
#undef NOWHERE
#undef ENUM
#undef U32
#undef F32
#undef BOOL
#undef F32S
#undef U32S
#undef TEXT
};

const char *field_name(FieldId field) {
    return field_rows[field].name;
}

const char *field_unit(FieldId field) {
    return field_rows[field].unit;
}

const char *field_hf_key(FieldId field) {
    return field_rows[field].hf_key;
}

const char *field_doc(FieldId field) {
    return field_rows[field].doc;
}

const char *source_kind_name(SourceKind kind) {
    static const char *const names[] = {
        [SOURCE_NONE] = "none",
        [SOURCE_KEY] = "key",
        [SOURCE_TENSOR] = "tensor",
        [SOURCE_SHAPE] = "shape",
        [SOURCE_ARCHITECTURE] = "architecture",
        [SOURCE_DERIVED] = "derived",
        [SOURCE_SET] = "set",
    };
    return names[kind];
}

// ---- kinds of layers

// Without a list every layer is of kind 0. A list may be a file's own: kinds beyond the last one that
// a contract can hold are refused where it is read (contract_from_json).
uint32_t contract_kind_of(const Contract *c, uint32_t layer) {
    return layer < c->kind_of_layer.count ? c->kind_of_layer.at[layer] : 0;
}

uint32_t contract_n_kinds(const Contract *c) {
    uint32_t last = 0;
    for (size_t i = 0; i < c->kind_of_layer.count; i++)
        if (c->kind_of_layer.at[i] > last) last = c->kind_of_layer.at[i];
    return last + 1;
}

const LayerKind *contract_layer(const Contract *c, uint32_t layer) {
    return &c->kinds[contract_kind_of(c, layer)];
}

bool contract_has_two_factor_sets(const Contract *c) {
    for (uint32_t i = 0; i < contract_n_kinds(c); i++)
        if (c->kinds[i].rope_scaling == ROPE_SCALING_LONGROPE) return true;
    return false;
}

void kind_drop_rope(LayerKind *k) {
    k->rope_dim = 0;
    k->rope_scaling = ROPE_SCALING_NONE;
    k->rope_factor = k->attn_factor = 1;
    k->yarn_ext_factor = k->yarn_beta_fast = k->yarn_beta_slow = 0;
    k->rope_factors_short = k->rope_factors_long = k->rope_freq_factors = (F32List){NULL, 0};
}

// ---- values

const void *field_at(const Contract *c, FieldId field) {
    return (const char *)c + field_rows[field].at;
}

const void *field_at_kind(const Contract *c, FieldId field, uint32_t kind) {
    size_t step = field_rows[field].is_layer ? sizeof(LayerKind) : 0;
    return (const char *)c + field_rows[field].at + kind * step;
}

void *field_place(Contract *c, FieldId field) {
    return (char *)c + field_rows[field].at;
}

void *field_place_of_kind(Contract *c, FieldId field, uint32_t kind) {
    return (char *)(uintptr_t)field_at_kind(c, field, kind);
}

uint32_t field_n_values(const Contract *c, FieldId field) {
    return field_rows[field].is_layer ? contract_n_kinds(c) : 1;
}

double field_most(const Contract *c, FieldId field) {
    FieldId other = field_rows[field].most_of;
    return other == FIELD_COUNT ? field_rows[field].most : *(const uint32_t *)field_at(c, other);
}

bool contract_has_shape_of(const Contract *a, const Contract *b, FieldId *field) {
    for (int i = 0; i < FIELD_COUNT; i++) {
        FieldKind kind = field_rows[i].kind; // an enum or a count: four bytes
        if (!field_rows[i].is_shape) continue;
        assert(kind == KIND_U32 || enums[kind].names[0]);
        if (memcmp(field_at(a, (FieldId)i), field_at(b, (FieldId)i), sizeof(uint32_t)) == 0)
            continue;
        *field = (FieldId)i;
        return false;
    }
    return true;
}

static int enum_value(const void *at) {
    int value; // enums are ints in every ABI lathe is built for; the assertion holds them to it
    _Static_assert(sizeof(Architecture) == sizeof value && sizeof(RopeScaling) == sizeof value,
                   "enum size");
    memcpy(&value, at, sizeof value);
    return value;
}

// `between`: what stands between two items of a list.
static void print_value(FieldId field, const void *at, const char *between, StrBuf *out) {
    FieldKind kind = field_rows[field].kind;
    switch (kind) {
    case KIND_U32: {
        uint32_t value = *(const uint32_t *)at;
        if (field == FIELD_bos_id && value == NO_TOKEN)
            strbuf_add(out, STR("none"));
        else
            strbuf_printf(out, "%u", value);
        break;
    }
    case KIND_F32: strbuf_add_float(out, *(const float *)at); break;
    case KIND_BOOL: strbuf_add(out, str_of(*(const bool *)at ? "true" : "false")); break;
    case KIND_TEXT: strbuf_add(out, *(const Str *)at); break;
    case KIND_F32S: {
        const F32List *list = at;
        for (size_t i = 0; i < list->count; i++) {
            if (i) strbuf_add(out, str_of(between));
            strbuf_add_float(out, list->at[i]);
        }
        break;
    }
    case KIND_U32S: {
        const U32List *list = at;
        for (size_t i = 0; i < list->count; i++)
            strbuf_printf(out, "%s%u", i ? between : "", list->at[i]);
        break;
    }
    default: strbuf_add(out, str_of(enums[kind].names[enum_value(at)]));
    }
}

// Whether kind `kind` has the value of the first one, as it is printed.
static bool is_first_value(const Contract *c, FieldId field, uint32_t kind) {
    StrBuf first = {0}, other = {0};
    print_value(field, field_at(c, field), " ", &first);
    print_value(field, field_at_kind(c, field, kind), " ", &other);
    bool is_same = str_eq(strbuf_str(&first), strbuf_str(&other));
    strbuf_free(&first);
    strbuf_free(&other);
    return is_same;
}

// How many values are to be shown: one where all kinds have the same.
static uint32_t n_shown(const Contract *c, FieldId field) {
    uint32_t n = field_n_values(c, field);
    for (uint32_t i = 1; i < n; i++)
        if (!is_first_value(c, field, i)) return n;
    return 1;
}

static void print_kinds(const Contract *c, FieldId field, const char *between, StrBuf *out) {
    uint32_t n = n_shown(c, field);
    for (uint32_t i = 0; i < n; i++) {
        if (i) strbuf_add(out, STR(" | "));
        print_value(field, field_at_kind(c, field, i), between, out);
    }
}

void contract_print_field(const Contract *c, FieldId field, StrBuf *out) {
    print_kinds(c, field, " ", out);
}

// "2 ids: " before a list whose items have a unit, which is a plural.
static void print_count(const Contract *c, FieldId field, StrBuf *out) {
    const U32List *list = field_at(c, field);
    Str unit = str_of(field_rows[field].unit);
    if (list->count == 1) unit.len--;
    strbuf_printf(out, "%zu %.*s: ", list->count, STR_ARG(unit));
}

void contract_show_field(const Contract *c, FieldId field, size_t most, StrBuf *out) {
    const FieldRow *row = &field_rows[field];
    StrBuf value = {0};
    print_kinds(c, field, ", ", &value);
    bool is_list = row->kind == KIND_U32S, has_unit = row->unit[0] && value.len;
    if (is_list && has_unit) print_count(c, field, out);
    Str text = str_cut(strbuf_str(&value), most);
    strbuf_add(out, value.len ? text : STR("-"));
    if (text.len < value.len) strbuf_add(out, STR("…"));
    if (!is_list && has_unit) strbuf_printf(out, " %s", row->unit);
    strbuf_free(&value);
}

void contract_print(const Contract *c, StrBuf *out) {
    for (int i = 0; i < FIELD_COUNT; i++) {
        strbuf_printf(out, "%s = ", field_rows[i].name);
        contract_print_field(c, (FieldId)i, out);
        strbuf_add_char(out, '\n');
    }
}

Sha256 contract_digest(const Contract *c) {
    StrBuf text = {0};
    contract_print(c, &text);
    Sha256 digest = sha256_bytes(text.at, text.len);
    strbuf_free(&text);
    return digest;
}

// ---- JSON

// The double nearest to the float's shortest decimal: prints short, reads back exactly.
static json_t *float_json(float x) {
    StrBuf text = {0};
    strbuf_add_float(&text, x);
    json_t *value = json_real(strtod(text.at, NULL));
    strbuf_free(&text);
    return value;
}

static json_t *value_json(FieldId field, const void *at) {
    FieldKind kind = field_rows[field].kind;
    switch (kind) {
    case KIND_U32: return json_integer(*(const uint32_t *)at);
    case KIND_F32: return float_json(*(const float *)at);
    case KIND_BOOL: return json_boolean(*(const bool *)at);
    case KIND_TEXT: return json_stringn(((const Str *)at)->at, ((const Str *)at)->len);
    case KIND_F32S: {
        json_t *array = json_array();
        const F32List *list = at;
        for (size_t i = 0; i < list->count; i++)
            json_array_append_new(array, float_json(list->at[i]));
        return array;
    }
    case KIND_U32S: {
        json_t *array = json_array();
        const U32List *list = at;
        for (size_t i = 0; i < list->count; i++)
            json_array_append_new(array, json_integer(list->at[i]));
        return array;
    }
    default: return json_string(enums[kind].names[enum_value(at)]);
    }
}

static json_t *field_json(const Contract *c, FieldId field) {
    uint32_t n = n_shown(c, field);
    if (n == 1) return value_json(field, field_at(c, field));
    json_t *values = json_array();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(values, value_json(field, field_at_kind(c, field, i)));
    return json_pack("{s:o}", "by_kind", values);
}

json_t *contract_to_json(const Contract *c) {
    json_t *object = json_object();
    for (int i = 0; i < FIELD_COUNT; i++)
        if (json_object_set_new(object, field_rows[i].name, field_json(c, (FieldId)i)) != 0)
            die_out_of_memory(0);
    return object;
}

static bool read_u32(const json_t *value, uint32_t *out) {
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || n > UINT32_MAX) return false;
    *out = (uint32_t)n;
    return true;
}

static bool read_f32(const json_t *value, float *out) {
    if (!json_is_number(value)) return false;
    *out = (float)json_number_value(value);
    return isfinite(*out);
}

static bool read_list(void *at, FieldKind kind, const json_t *value, Arena *arena) {
    if (!json_is_array(value)) return false;
    size_t n = json_array_size(value);
    if (kind == KIND_F32S) {
        float *items = arena_array(arena, n, float);
        for (size_t i = 0; i < n; i++)
            if (!read_f32(json_array_get(value, i), &items[i])) return false;
        *(F32List *)at = (F32List){items, n};
    } else {
        uint32_t *items = arena_array(arena, n, uint32_t);
        for (size_t i = 0; i < n; i++)
            if (!read_u32(json_array_get(value, i), &items[i])) return false;
        *(U32List *)at = (U32List){items, n};
    }
    return true;
}

static bool read_enum(void *at, const EnumNames *names, const json_t *value) {
    if (!json_is_string(value)) return false;
    for (int i = 0; i < (int)COUNT_OF(names->names) && names->names[i]; i++) {
        if (strcmp(names->names[i], json_string_value(value)) != 0) continue;
        memcpy(at, &i, sizeof i);
        return true;
    }
    return false;
}

static bool value_from_json(FieldId field, void *at, const json_t *value, Arena *arena) {
    FieldKind kind = field_rows[field].kind;
    switch (kind) {
    case KIND_U32: return read_u32(value, at);
    case KIND_F32: return read_f32(value, at);
    case KIND_BOOL: *(bool *)at = json_is_true(value); return json_is_boolean(value);
    case KIND_TEXT:
        if (!json_is_string(value)) return false;
        *(Str *)at = arena_str(arena, (Str){json_string_value(value), json_string_length(value)});
        return true;
    case KIND_F32S:
    case KIND_U32S: return read_list(at, kind, value, arena);
    default: return read_enum(at, &enums[kind], value);
    }
}

// A list of kinds comes before the fields that have one value for each (fields.def).
static bool are_kinds(const U32List *kinds) {
    for (size_t i = 0; i < kinds->count; i++)
        if (kinds->at[i] >= CONTRACT_MAX_KINDS) return false;
    return true;
}

static bool field_from_json(Contract *c, FieldId field, const json_t *value, Arena *arena) {
    uint32_t n = field_n_values(c, field);
    const json_t *values = n > 1 ? json_object_get(value, "by_kind") : NULL;
    if (values && json_array_size(values) != n) return false;
    for (uint32_t i = 0; i < n; i++) {
        void *at = field_place_of_kind(c, field, i);
        if (!value_from_json(field, at, values ? json_array_get(values, i) : value, arena))
            return false;
    }
    return field != FIELD_kind_of_layer || are_kinds(&c->kind_of_layer);
}

bool contract_from_json(Contract *c, const json_t *json, Arena *arena, Err *err) {
    *c = (Contract){0};
    if (!json_is_object(json))
        return err_set(err, ERR_FORMAT, "the contract: expected a JSON object");
    for (int i = 0; i < FIELD_COUNT; i++) {
        const json_t *value = json_object_get(json, field_rows[i].name);
        if (!value)
            return err_set(err, ERR_FORMAT, "contract field '%s' is missing", field_rows[i].name);
        if (!field_from_json(c, (FieldId)i, value, arena))
            return err_set(err, ERR_FORMAT, "contract field '%s' has a value of the wrong kind",
                           field_rows[i].name);
    }
    if (json_object_size(json) != FIELD_COUNT)
        return err_set(err, ERR_FORMAT, "the contract has %zu fields, expected %d",
                       json_object_size(json), FIELD_COUNT);
    return true;
}
