#include "contract/reader.h"

#include <inttypes.h>
#include <stdarg.h>

#include "base/size.h"
#include "gguf/settings.h"

void reader_fail(ContractReader *r, const char *fmt, ...) {
    if (r->failed) return;
    r->failed = true;
    va_list args;
    va_start(args, fmt);
    err_vset(r->err, ERR_FORMAT, fmt, args);
    va_end(args);
}

void reader_absent(ContractReader *r, FieldId field, const char *what) {
    const char *key = reader_key_name(r, field), *hf_key = field_hf_key(field);
    reader_fail(
        r, "key '%s' is absent: the file does not say %s; to state it%s%s%s: --set %s=VALUE", key,
        what, *hf_key ? ", from config.json's '" : "", hf_key, *hf_key ? "'" : "", key);
}

// ---- sources

void reader_source(ContractReader *r, FieldId field, SourceKind kind, Str text) {
    const GgufKey *k = kind == SOURCE_KEY ? gguf_find_key(r->g, text) : NULL;
    r->model->sources[field] = (Source){kind, text};
    if (!k || !k->is_set) return;
    StrBuf setting = {0};
    gguf_print_setting(k, &setting);
    r->model->sources[field] = (Source){SOURCE_SET, arena_str(r->arena, strbuf_str(&setting))};
    strbuf_free(&setting);
}

void reader_derived(ContractReader *r, FieldId field, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    reader_source(r, field, SOURCE_DERIVED, arena_vprintf(r->arena, fmt, args));
    va_end(args);
}

void reader_unstated(ContractReader *r, FieldId field, const char *rule) {
    reader_derived(r, field, "no %s: %s", field_rows[field].key, rule);
}

void reader_harmless(ContractReader *r, Str name, const char *reason) {
    r->harmless[r->n_harmless++] = (Harmless){name, str_of(reason)};
}

// ---- keys

const GgufKey *reader_key(ContractReader *r, const char *name) {
    const GgufKey *k = gguf_find_key(r->g, str_of(name));
    if (k) r->is_key_used[k - r->g->keys] = true;
    return k;
}

const GgufKey *reader_arch_key(ContractReader *r, const char *suffix) {
    return reader_key(r, arena_printf(r->arena, "%s.%s", r->arch->name, suffix).at);
}

const char *reader_key_name(ContractReader *r, FieldId field) {
    const FieldRow *row = &field_rows[field];
    if (row->place != PLACE_ARCH_KEY) return row->key;
    return arena_printf(r->arena, "%s.%s", r->arch->name, row->key).at;
}

const GgufKey *reader_field_key(ContractReader *r, FieldId field) {
    return reader_key(r, reader_key_name(r, field));
}

// Converters write a list of one value a layer for every model of a family whose layers may differ,
// and llama.cpp reads either form.
bool reader_is_one_for_all(ContractReader *r, const GgufKey *k) {
    if (k->type != GGUF_ARRAY) return true;
    uint32_t n_layers = r->model->contract.n_layers;
    if (n_layers == 0 || k->n_items != n_layers) {
        reader_fail(r, "key '%.*s': a list of %zu values, expected one number%s", STR_ARG(k->name),
                    k->n_items,
                    n_layers ? arena_printf(r->arena, ", or one for each of %u layers", n_layers).at
                             : "");
        return false;
    }
    for (size_t i = 0; i < k->n_items; i++) {
        double first, value;
        if (!gguf_f64(k, 0, &first) || !gguf_f64(k, i, &value)) {
            reader_fail(r, "key '%.*s': a list of type %s, expected numbers", STR_ARG(k->name),
                        gguf_type_name(k->item_type));
            return false;
        }
        if (value == first) continue;
        reader_fail(r,
                    "key '%.*s': a list with one value per layer (%zu); lathe expects the same for "
                    "all, but layer 0 has %g and layer %zu has %g",
                    STR_ARG(k->name), k->n_items, first, i, value);
        return false;
    }
    return true;
}

static bool read_count(ContractReader *r, FieldId field, const GgufKey *k) {
    Contract *c = &r->model->contract;
    double least = field_rows[field].least, most = field_most(c, field);
    uint64_t value, from = least > 0 ? (uint64_t)least : 0;
    uint64_t to = most < UINT32_MAX ? (uint64_t)most : UINT32_MAX;
    if (!gguf_u64(k, 0, &value)) {
        reader_fail(r, "key '%.*s': type %s, expected a whole number", STR_ARG(k->name),
                    gguf_type_name(k->item_type));
        return false;
    }
    if (value < from || value > to) {
        reader_fail(r, "key '%.*s': %" PRIu64 ", expected %" PRIu64 " to %" PRIu64,
                    STR_ARG(k->name), value, from, to);
        return false;
    }
    *(uint32_t *)field_place(c, field) = (uint32_t)value;
    return true;
}

static bool read_float(ContractReader *r, FieldId field, const GgufKey *k) {
    Contract *c = &r->model->contract;
    double value, least = field_rows[field].least, most = field_most(c, field);
    if (!gguf_f64(k, 0, &value)) {
        reader_fail(r, "key '%.*s': type %s, expected a number", STR_ARG(k->name),
                    gguf_type_name(k->item_type));
        return false;
    }
    if (!(value >= least && value <= most)) {
        reader_fail(r, "key '%.*s': %g, expected %g to %g", STR_ARG(k->name), value, least, most);
        return false;
    }
    *(float *)field_place(c, field) = (float)value;
    return true;
}

static bool read_key_into(ContractReader *r, FieldId field, const GgufKey *k) {
    if (!k || r->failed || !reader_is_one_for_all(r, k)) return false;
    bool is_count = field_rows[field].kind == KIND_U32;
    if (!(is_count ? read_count(r, field, k) : read_float(r, field, k))) return false;
    reader_source(r, field, SOURCE_KEY, k->name);
    return true;
}

bool read_field(ContractReader *r, FieldId field) {
    return !r->failed && read_key_into(r, field, reader_field_key(r, field));
}

bool read_field_from(ContractReader *r, FieldId field, const char *suffix) {
    return !r->failed && read_key_into(r, field, reader_arch_key(r, suffix));
}

void need_field(ContractReader *r, FieldId field, const char *what) {
    if (read_field(r, field)) return;
    reader_absent(r, field,
                  what ? what : arena_printf(r->arena, "its %s", field_rows[field].doc).at);
}

// ---- tensors

const TensorInfo *reader_tensor(ContractReader *r, const char *name) {
    const TensorInfo *t = gguf_find_tensor(r->g, str_of(name));
    if (t) r->is_tensor_used[t - r->g->tensors] = true;
    return t;
}

// "[128, 256]", as GGUF counts: the row's length first.
static const char *shape_text(ContractReader *r, const size_t *dims, unsigned n_dims) {
    StrBuf text = {0};
    for (unsigned i = 0; i < n_dims; i++) strbuf_printf(&text, i ? ", %zu" : "[%zu", dims[i]);
    strbuf_add_char(&text, ']');
    const char *kept = arena_cstr(r->arena, strbuf_str(&text));
    strbuf_free(&text);
    return kept;
}

bool check_tensor(ContractReader *r, const TensorInfo *t, size_t n_cols, size_t n_rows) {
    if (r->failed) return false;
    unsigned n_dims = n_rows ? 2 : 1;
    if (t->n_dims != n_dims || t->dims[0] != n_cols || (n_rows && t->dims[1] != n_rows))
        reader_fail(r, "tensor '%.*s': shape %s (row length first), but the file's keys ask for %s",
                    STR_ARG(t->name), shape_text(r, t->dims, t->n_dims),
                    shape_text(r, (const size_t[]){n_cols, n_rows}, n_dims));
    else if (!t->type->is_decodable)
        reader_fail(r, "tensor '%.*s': type %s is not supported: %s", STR_ARG(t->name),
                    t->type->name, t->type->advice);
    return !r->failed;
}

const TensorInfo *need_tensor(ContractReader *r, const char *name, size_t n_cols, size_t n_rows) {
    const TensorInfo *t = r->failed ? NULL : reader_tensor(r, name);
    if (!t)
        reader_fail(r, "tensor '%s' is missing", name);
    else
        check_tensor(r, t, n_cols, n_rows);
    return t;
}
