// config_kinds.c — layers that differ, as config.json says it: how far a query sees, in which layers, and which
// layers rotate.
//
// Which layers have the window is a list (layer_types), a period, or a fact of the class; which rotate is a list
// (no_rope_layers), or follows from the window. Two layers are of one kind when they agree in both.
#include <string.h>

#include "base/size.h"
#include "contract/config.h"

// ---- the window

// A class may have a window of its own where the key is absent, and none where it is null.
void config_window(ConfigReader *r) {
    Contract *c = &r->out->values;
    LayerKind *kind = &c->kinds[0];
    const char *key = field_rows[FIELD_attn_window].hf_key;
    bool is_there = json_object_get(r->left, key) != NULL;
    bool is_used = !r->class || !r->class->window_must_be_used;
    bool is_said = config_bool(r, r->left, "use_sliding_window", &is_used);
    double window = 0;
    if (r->is_part && !is_there && (!is_said || is_used)) return;
    bool has_window = config_number(r, r->left, key, &window);
    if (has_window && !(window >= 1 && window <= 1e9 && window == (uint32_t)window))
        config_fail(r, "key '%s': %g, expected a whole number of 1 or more", key, window);
    if (r->failed) return;
    kind->attn_window = is_used ? (uint32_t)window : 0;
    if (!is_used) r->is_default = false;
    if (!is_used)
        config_from(r, FIELD_attn_window,
                    is_said ? "use_sliding_window false" : "no use_sliding_window: false");
    else if (has_window)
        config_from(r, FIELD_attn_window, "%s %g", key, window);
    else
        config_from(r, FIELD_attn_window,
                    is_there ? "%s null: every earlier position" : "no %s: every earlier position",
                    key);
}

// ---- lists of layers

typedef struct {
    bool *is_local, *rotates; // [n_layers]
    const char *how_local, *how_rope;
} Layers;

static bool check_list(ConfigReader *r, const char *key, const json_t *list, uint32_t n_layers) {
    if (json_is_array(list) && json_array_size(list) == n_layers) return true;
    config_fail(r, "key '%s': expected a list with one kind for each layer", key);
    return false;
}

// How many of n flags are set.
static uint32_t n_set(const bool *flags, uint32_t n) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) count += flags[i];
    return count;
}

// layer_types says of every layer whether its queries see all.
static void read_types(ConfigReader *r, const json_t *types, bool *is_local) {
    const Contract *c = &r->out->values;
    if (!check_list(r, "layer_types", types, c->n_layers)) return;
    for (uint32_t i = 0; i < c->n_layers; i++) {
        const char *name = json_string_value(json_array_get(types, i));
        is_local[i] = name && strcmp(name, "sliding_attention") == 0;
        if (!is_local[i] && (!name || strcmp(name, "full_attention") != 0))
            config_fail(r, "key 'layer_types': expected full_attention or sliding_attention");
    }
}

// Classes without layers that differ look at the window alone: the list may say nothing else.
static void check_types(ConfigReader *r, const bool *is_local, HfWindows windows) {
    const Contract *c = &r->out->values;
    uint32_t n_local = n_set(is_local, c->n_layers), window = c->kinds[0].attn_window;
    bool hides = windows == HF_WINDOW_ON_ALL && window &&
                 !(is_stated(r->out, FIELD_context) && window >= c->context);
    uint32_t other = 0; // the first layer unlike layer 0
    while (other < c->n_layers && is_local[other] == is_local[0]) other++;
    if (windows == HF_WINDOW_ON_ALL && other < c->n_layers)
        config_fail(r, "key 'layer_types': layers 0 and %u differ, and the class has one kind",
                    other);
    else if (n_local ? window == 0 : hides)
        config_fail(
            r, "key 'layer_types': %s_attention, but %.*s", n_local ? "sliding" : "full",
            STR_ARG(
                n_local
                    ? STR("key 'sliding_window' is absent, so it is unknown how far a query sees")
                    : r->out->from[FIELD_attn_window]));
}

// sliding_window_pattern: of each so many layers the last sees everything; or "LLLG", local and global
// layers over and over.
static void read_pattern(ConfigReader *r, Layers *layers, bool is_listed) {
    const char *key = "sliding_window_pattern";
    uint32_t n = r->out->values.n_layers, period = r->class->period;
    const json_t *stated = config_take(r, r->left, key);
    const char *letters = json_string_value(stated);
    size_t n_letters = letters ? strlen(letters) : 0;
    json_int_t number = json_integer_value(stated);
    if (stated && (letters ? n_letters == 0 || strspn(letters, "LG") != n_letters
                           : !json_is_integer(stated) || number < 0 || number > 1 << 20)) {
        config_fail(r, "key '%s': expected a whole number or letters L and G", key);
        return;
    }
    if (stated && !r->out->values.kinds[0].attn_window) {
        config_unread(r, key, "of a window that is not there");
        return;
    }
    if (is_listed && !stated) return;
    if (stated && !letters) period = (uint32_t)number;
    bool differs = false;
    for (uint32_t i = 0; i < n; i++) {
        // 0: no layer has a window.
        bool is_local = letters ? letters[i % n_letters] == 'L' : period && (i + 1) % period != 0;
        differs |= is_listed && is_local != layers->is_local[i];
        layers->is_local[i] = is_listed ? layers->is_local[i] : is_local;
    }
    if (differs)
        config_fail(r, "keys 'layer_types' and '%s' differ in which layers have a window", key);
    layers->how_local =
        stated ? key
               : arena_printf(r->arena, "%s: of each %u layers the last sees everything",
                              r->class->name, period)
                     .at;
}

static void read_from_layer(ConfigReader *r, Layers *layers) {
    double first = 0;
    bool is_said = config_number(r, r->left, "max_window_layers", &first);
    for (uint32_t i = 0; i < r->out->values.n_layers; i++)
        layers->is_local[i] = !is_said || (double)i >= first;
    layers->how_local = "max_window_layers";
}

static void read_no_rope(ConfigReader *r, Layers *layers) {
    uint32_t n = r->out->values.n_layers;
    double interval = 0;
    const json_t *list = config_take(r, r->left, "no_rope_layers");
    bool has_interval = config_number(r, r->left, "no_rope_layer_interval", &interval);
    if (list ? !check_list(r, "no_rope_layers", list, n) : !has_interval) return;
    if (!list && !(interval >= 1 && interval <= 4096))
        config_fail(r, "key 'no_rope_layer_interval': %g, expected 1 or more", interval);
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        const json_t *item = json_array_get(list, i);
        if (list && !json_is_integer(item) && !json_is_boolean(item))
            config_fail(r, "key 'no_rope_layers': layer %u: expected 1 where it rotates, else 0",
                        i);
        layers->rotates[i] = list ? json_is_true(item) || json_integer_value(item) != 0
                                  : (i + 1) % (uint32_t)interval != 0;
    }
    if (list && has_interval && !r->is_default)
        config_unread(r, "no_rope_layer_interval", "no_rope_layers says it");
    layers->how_rope = list ? "no_rope_layers" : "no_rope_layer_interval";
}

// ---- kinds

static void find_local(ConfigReader *r, Layers *layers, const json_t *types) {
    const Contract *c = &r->out->values;
    HfWindows windows = r->class ? r->class->windows : HF_WINDOW_ON_ALL;
    for (uint32_t i = 0; i < c->n_layers; i++) layers->is_local[i] = true;
    if (types) read_types(r, types, layers->is_local);
    if (types) layers->how_local = "layer_types";
    if (types && !r->failed) check_types(r, layers->is_local, windows);
    if (r->failed) return;
    if (windows == HF_WINDOW_BY_PERIOD) read_pattern(r, layers, types != NULL);
    if (types || r->failed) return;
    if (windows == HF_WINDOW_FROM_LAYER && c->kinds[0].attn_window) read_from_layer(r, layers);
    if (windows == HF_WINDOW_OFF_ROPE)
        for (uint32_t i = 0; i < c->n_layers; i++) layers->is_local[i] = !layers->rotates[i];
}

static void find_rotating(ConfigReader *r, Layers *layers) {
    HfRope rope = r->class ? r->class->rope : HF_ROPE_ON_ALL;
    uint32_t window = r->out->values.kinds[0].attn_window;
    if (rope != HF_ROPE_WITH_WINDOW && rope != HF_ROPE_WITH_WINDOW_IF_ANY) return;
    if (rope == HF_ROPE_WITH_WINDOW_IF_ANY && !window) return;
    for (uint32_t i = 0; i < r->out->values.n_layers; i++)
        layers->rotates[i] = window && layers->is_local[i];
}

// What a layer is, of the rotations and the window that were read.
static LayerKind make_kind(const ConfigReader *r, bool is_local, bool rotates) {
    LayerKind kind = r->out->values.kinds[0];
    uint32_t window = kind.attn_window;
    if (is_local && r->has_local) kind = r->local;
    kind.attn_window = is_local ? window : 0;
    if (!rotates) kind_drop_rope(&kind);
    return kind;
}

static void put_kinds(ConfigReader *r, const Layers *layers) {
    Contract *c = &r->out->values;
    uint32_t *kind_of = arena_array(r->arena, c->n_layers, uint32_t), n_kinds = 0;
    LayerKind kinds[CONTRACT_MAX_KINDS];
    static_assert(CONTRACT_MAX_KINDS >= 4, "with a window or without, rotating or not");
    for (uint32_t i = 0; i < c->n_layers; i++) {
        uint32_t same = 0;
        while (same < i && (layers->is_local[same] != layers->is_local[i] ||
                            layers->rotates[same] != layers->rotates[i]))
            same++;
        kind_of[i] = same < i ? kind_of[same] : n_kinds;
        if (same == i) kinds[n_kinds++] = make_kind(r, layers->is_local[i], layers->rotates[i]);
    }
    for (uint32_t k = 0; k < n_kinds; k++) c->kinds[k] = kinds[k];
    if (n_kinds > 1) c->kind_of_layer = (U32List){kind_of, c->n_layers};
}

void config_kinds(ConfigReader *r) {
    Contract *c = &r->out->values;
    const json_t *types = config_take(r, r->left, "layer_types");
    if (r->failed) return;
    if (!is_stated(r->out, FIELD_n_layers)) {
        if (types) config_fail(r, "key 'layer_types': without num_hidden_layers");
        return;
    }
    Layers layers = {.is_local = arena_array(r->arena, c->n_layers, bool),
                     .rotates = arena_array(r->arena, c->n_layers, bool)};
    for (uint32_t i = 0; i < c->n_layers; i++) layers.rotates[i] = true;
    if (r->class && r->class->rope == HF_ROPE_BY_LIST) read_no_rope(r, &layers);
    if (!r->failed) find_local(r, &layers, types);
    if (r->failed) return;
    find_rotating(r, &layers);
    if (!c->kinds[0].attn_window && !r->has_local)
        for (uint32_t i = 0; i < c->n_layers; i++) layers.is_local[i] = false;
    put_kinds(r, &layers);
    r->is_default = false;
    if (layers.how_rope)
        config_from(r, FIELD_kind_of_layer, "%s", layers.how_rope);
    else if (layers.how_local)
        config_from(r, FIELD_kind_of_layer, "%s", layers.how_local);
}
