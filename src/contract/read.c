// read.c — the fields of a contract, in the order of the table, each with its source.
#include "contract/read.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"

// llama.cpp's converter permutes q and k rows of llama-architecture models so that rotated pairs
// are neighbours (convert_hf_to_gguf.py, LlamaModel.permute) and rotates them as such
// (llama-model.cpp, llama_model_rope_type); phi3 files keep the halves of the original.
static const ArchInfo archs[] = {
    // llama.cpp refuses a llama file whose rope.dimension_count is not the head's width.
    {"llama", ARCH_LLAMA, ROPE_INTERLEAVED, "llama files store rotated pairs as neighbours", true,
     false},
    // The converter writes a sliding window into every phi3 file, 0 for none.
    {"phi3", ARCH_PHI3, ROPE_HALF, "phi3 files store halves, as the original weights", false, true},
};

void reader_fail(ContractReader *r, const char *fmt, ...) {
    if (r->failed) return;
    r->failed = true;
    char text[800];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    err_set(r->err, ERR_FORMAT, "%s", text);
}

void reader_absent(ContractReader *r, const char *suffix, const char *what) {
    reader_fail(r, "key '%s.%s' is absent: the file does not say %s", r->arch->name, suffix, what);
}

void reader_source(ContractReader *r, FieldId field, SourceKind kind, Str text) {
    r->model->sources[field] = (Source){kind, text};
}

void reader_derived(ContractReader *r, FieldId field, const char *fmt, ...) {
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    reader_source(r, field, SOURCE_DERIVED, arena_str(r->arena, str_of(text)));
}

const GgufKey *reader_key(ContractReader *r, const char *name) {
    const GgufKey *k = gguf_find_key(r->g, str_of(name));
    if (k) r->is_key_used[k - r->g->keys] = true;
    return k;
}

const GgufKey *reader_arch_key(ContractReader *r, const char *suffix) {
    return reader_key(r, arena_printf(r->arena, "%s.%s", r->arch->name, suffix).at);
}

// Is `k` one number? A list of one a layer is, where all are equal: converters write such lists for
// every model of a family whose layers may differ, and llama.cpp reads either form.
static bool is_one_for_all(ContractReader *r, const GgufKey *k) {
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
        reader_fail(
            r,
            "key '%.*s': a list of %zu values, one a layer; lathe supports one for all, but "
            "layer 0 has %g and layer %zu has %g",
            STR_ARG(k->name), k->n_items, first, i, value);
        return false;
    }
    return true;
}

bool read_count(ContractReader *r, FieldId field, const char *suffix, uint32_t least, uint32_t most,
                uint32_t *out) {
    const GgufKey *k = r->failed ? NULL : reader_arch_key(r, suffix);
    if (!k) return false;
    uint64_t value;
    if (!is_one_for_all(r, k)) {
        return false;
    } else if (!gguf_u64(k, 0, &value)) {
        reader_fail(r, "key '%.*s': type %s, expected a whole number", STR_ARG(k->name),
                    gguf_type_name(k->item_type));
    } else if (value < least || value > most) {
        reader_fail(r, "key '%.*s': %" PRIu64 ", expected %u to %u", STR_ARG(k->name), value, least,
                    most);
    } else {
        *out = (uint32_t)value;
        reader_source(r, field, SOURCE_KEY, k->name);
        return true;
    }
    return false;
}

bool read_float(ContractReader *r, FieldId field, const char *suffix, float least, float most,
                float *out) {
    const GgufKey *k = r->failed ? NULL : reader_arch_key(r, suffix);
    if (!k) return false;
    double value;
    if (!is_one_for_all(r, k)) {
        return false;
    } else if (!gguf_f64(k, 0, &value)) {
        reader_fail(r, "key '%.*s': type %s, expected a number", STR_ARG(k->name),
                    gguf_type_name(k->item_type));
    } else if (!(value >= (double)least && value <= (double)most)) {
        reader_fail(r, "key '%.*s': %g, expected %g to %g", STR_ARG(k->name), value, (double)least,
                    (double)most);
    } else {
        *out = (float)value;
        reader_source(r, field, SOURCE_KEY, k->name);
        return true;
    }
    return false;
}

uint32_t need_count(ContractReader *r, FieldId field, const char *suffix, uint32_t most) {
    uint32_t value = 0;
    if (!read_count(r, field, suffix, 1, most, &value))
        reader_absent(r, suffix, arena_printf(r->arena, "its %s", field_doc(field)).at);
    return value;
}

// A key of other converters that repeats a field under a name of their own. Nothing but the same
// value can be meant by it.
static void check_copy(ContractReader *r, const char *suffix, double value, FieldId field) {
    const GgufKey *k = r->failed ? NULL : reader_arch_key(r, suffix);
    double stated;
    if (!k || !is_one_for_all(r, k)) return;
    if (!gguf_f64(k, 0, &stated))
        reader_fail(r, "key '%.*s': type %s, expected a number", STR_ARG(k->name),
                    gguf_type_name(k->item_type));
    else if ((float)stated != (float)value)
        reader_fail(r, "key '%.*s': %g, but %s is %g by %.*s", STR_ARG(k->name), stated,
                    field_name(field), value, STR_ARG(r->model->sources[field].text));
    else
        reader_harmless(r, k->name, arena_printf(r->arena, "repeats %s", field_name(field)).at);
}

static bool find_arch(ContractReader *r) {
    const GgufKey *k = reader_key(r, "general.architecture");
    Str name;
    if (!k || k->type != GGUF_STRING || !gguf_str(k, 0, &name)) {
        reader_fail(r, "key 'general.architecture' is absent or no string");
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(archs); i++)
        if (str_is(name, archs[i].name)) r->arch = &archs[i];
    if (!r->arch)
        reader_fail(
            r,
            "architecture '%.*s' is not supported; known are llama (Llama, Mistral, SmolLM) "
            "and phi3 (Phi-3, 3.5, 4-mini)",
            STR_ARG(name));
    return r->arch != NULL;
}

static void read_shape(ContractReader *r, Contract *c) {
    c->n_layers = need_count(r, FIELD_n_layers, "block_count", MAX_LAYERS);
    c->d_model = need_count(r, FIELD_d_model, "embedding_length", MAX_DIM);
    c->n_heads = need_count(r, FIELD_n_heads, "attention.head_count", MAX_HEADS);
    c->d_ff = need_count(r, FIELD_d_ff, "feed_forward_length", MAX_DIM);
    if (!read_count(r, FIELD_n_kv_heads, "attention.head_count_kv", 1, MAX_HEADS, &c->n_kv_heads)) {
        c->n_kv_heads = c->n_heads;
        reader_derived(r, FIELD_n_kv_heads,
                       "no attention.head_count_kv: every query head has its own");
    }
    if (r->failed) return;
    if (c->n_heads % c->n_kv_heads)
        reader_fail(r,
                    "%u query heads (attention.head_count) cannot share %u key and value heads "
                    "(attention.head_count_kv) evenly",
                    c->n_heads, c->n_kv_heads);
    if (!read_count(r, FIELD_head_dim, "attention.key_length", 2, MAX_HEAD_DIM, &c->head_dim)) {
        c->head_dim = c->d_model / c->n_heads;
        reader_derived(r, FIELD_head_dim, "embedding_length / attention.head_count = %u / %u",
                       c->d_model, c->n_heads);
        if (c->head_dim * c->n_heads != c->d_model || c->head_dim < 2)
            reader_fail(r,
                        "no attention.key_length, and embedding_length %u is not divisible by "
                        "attention.head_count %u",
                        c->d_model, c->n_heads);
    }
    if (!read_count(r, FIELD_head_dim_v, "attention.value_length", 1, MAX_HEAD_DIM,
                    &c->head_dim_v)) {
        c->head_dim_v = c->head_dim;
        reader_derived(r, FIELD_head_dim_v, "no attention.value_length: as wide as a key head");
    }
    check_copy(r, "attention.head_dim", c->head_dim, FIELD_head_dim);
    c->context = need_count(r, FIELD_context, "context_length", MAX_CONTEXT);
}

static void read_norm(ContractReader *r, Contract *c) {
    Str arch = str_of(r->arch->name);
    c->norm = NORM_RMS;
    reader_source(r, FIELD_norm, SOURCE_ARCHITECTURE, arch);
    c->norm_offset = 0;
    reader_source(r, FIELD_norm_offset, SOURCE_ARCHITECTURE, arch);
    if (!read_float(r, FIELD_norm_eps, "attention.layer_norm_rms_epsilon", 1e-12f, 1e-2f,
                    &c->norm_eps))
        reader_absent(r, "attention.layer_norm_rms_epsilon",
                      "what its norms add to the mean square");
    check_copy(r, "attention.layer_norm_epsilon", (double)c->norm_eps, FIELD_norm_eps);
}

static void read_attention(ContractReader *r, Contract *c) {
    Str arch = str_of(r->arch->name);
    if (!read_float(r, FIELD_attn_scale, "attention.scale", 1e-6f, 1e3f, &c->attn_scale)) {
        c->attn_scale = (float)(1.0 / sqrt((double)c->head_dim));
        reader_derived(r, FIELD_attn_scale, "1 / sqrt(head_dim) = 1 / sqrt(%u)", c->head_dim);
    }
    if (!read_count(r, FIELD_attn_window, "attention.sliding_window", 0, UINT32_MAX,
                    &c->attn_window)) {
        if (r->arch->has_window_key)
            reader_absent(r, "attention.sliding_window", "how far a query sees (0 for everything)");
        c->attn_window = 0;
        reader_derived(r, FIELD_attn_window,
                       "no attention.sliding_window: every earlier position is seen");
    }
    c->attn_softcap = c->final_softcap = 0;
    reader_source(r, FIELD_attn_softcap, SOURCE_ARCHITECTURE, arch);
    reader_source(r, FIELD_final_softcap, SOURCE_ARCHITECTURE, arch);
    c->has_qk_norm = false;
    reader_source(r, FIELD_has_qk_norm, SOURCE_ARCHITECTURE, arch);
}

// Multipliers that both architectures lack. A file that states one anyway (granite-like) is caught
// as an unread key.
static void read_multipliers(ContractReader *r, Contract *c) {
    Str arch = str_of(r->arch->name);
    c->activation = ACTIVATION_SILU;
    reader_source(r, FIELD_activation, SOURCE_ARCHITECTURE, arch);
    c->embedding_scale = c->residual_scale = c->logit_scale = 1;
    reader_source(r, FIELD_embedding_scale, SOURCE_ARCHITECTURE, arch);
    reader_source(r, FIELD_residual_scale, SOURCE_ARCHITECTURE, arch);
    reader_source(r, FIELD_logit_scale, SOURCE_ARCHITECTURE, arch);
}

bool model_read(Model *m, const Gguf *g, Arena *arena, Err *err) {
    *m = (Model){0};
    ContractReader r = {
        .model = m,
        .g = g,
        .arena = arena,
        .err = err,
        .is_key_used = arena_array(arena, g->n_keys, bool),
        .is_tensor_used = arena_array(arena, g->n_tensors, bool),
        .harmless = arena_array(arena, g->n_keys + g->n_tensors, Harmless),
    };
    if (!find_arch(&r)) return false;
    Contract *c = &m->contract;
    c->architecture = r.arch->id;
    reader_source(&r, FIELD_architecture, SOURCE_KEY, STR("general.architecture"));
    read_shape(&r, c);
    read_norm(&r, c);
    read_attention(&r, c);
    read_multipliers(&r, c);
    if (!r.failed) read_rope(&r);
    if (!r.failed) read_vocabulary(&r);
    if (!r.failed) bind_weights(&r);
    if (!r.failed) read_leftovers(&r);
    m->harmless = r.harmless;
    m->n_harmless = r.n_harmless;
    return !r.failed;
}
