// keys.c — changes one key of host.gguf. Values are edited in their encoded form (gguf.h).
#include <string.h>

#include "mutants/bundle_mutants.h"

// A copy of a key's encoded value, to be changed; `at` is NULL when there is no such key.
typedef struct {
    uint8_t *at;
    size_t len;
} Value;

// Puts a copy of the key `name` in its place.
static Value changed(const GgufKey **keys, size_t n_keys, const char *name, GgufType type,
                     GgufType item_type, Arena *arena) {
    for (size_t i = 0; i < n_keys; i++) {
        if (!str_is(keys[i]->name, name) || keys[i]->type != type ||
            keys[i]->item_type != item_type)
            continue;
        GgufKey *copy = arena_new(arena, GgufKey);
        *copy = *keys[i];
        copy->encoded = arena_str(arena, copy->encoded);
        keys[i] = copy;
        return (Value){(uint8_t *)(uintptr_t)copy->encoded.at, copy->encoded.len}; // just copied
    }
    return (Value){NULL, 0};
}

static uint32_t last_stop(const Model *model) {
    U32List stops = model->contract.stop_ids;
    return stops.at[stops.count - 1];
}

bool edit_control_token_typed_normal(const GgufKey **keys, size_t n_keys, const Model *model,
                                     Arena *arena) {
    enum { ARRAY_HEADER = 12, TYPE_BYTES = 4, TYPE_NORMAL = 1 }; // item type, count; int32 items
    Value types = changed(keys, n_keys, "tokenizer.ggml.token_type", GGUF_ARRAY, GGUF_I32, arena);
    if (types.at) types.at[ARRAY_HEADER + TYPE_BYTES * (size_t)last_stop(model)] = TYPE_NORMAL;
    return types.at != NULL;
}

bool edit_bos_policy_turned_round(const GgufKey **keys, size_t n_keys, const Model *model,
                                  Arena *arena) {
    (void)model;
    Value adds = changed(keys, n_keys, "tokenizer.ggml.add_bos_token", GGUF_BOOL, GGUF_BOOL, arena);
    if (adds.at) adds.at[0] = !adds.at[0];
    return adds.at != NULL;
}

bool edit_eos_of_the_base_model(const GgufKey **keys, size_t n_keys, const Model *model,
                                Arena *arena) {
    Value id = changed(keys, n_keys, "tokenizer.ggml.eos_token_id", GGUF_U32, GGUF_U32, arena);
    if (!id.at) return false;
    uint32_t stated, other = model->contract.stop_ids.at[0];
    memcpy(&stated, id.at, sizeof stated);
    if (stated == other) other = other ? other - 1 : 1;
    memcpy(id.at, &other, sizeof other);
    return true;
}

// Puts a copy of a key in its place, with another value of the same type.
static bool replace_value(const GgufKey **keys, size_t n_keys, const char *name, Str encoded,
                          Arena *arena) {
    for (size_t i = 0; i < n_keys; i++) {
        if (!str_is(keys[i]->name, name)) continue;
        GgufKey *copy = arena_new(arena, GgufKey);
        *copy = *keys[i];
        copy->encoded = encoded;
        keys[i] = copy;
        return true;
    }
    return false;
}

enum { LENGTH_BYTES = 8 }; // before a string

// The template between two texts; false when the file has none.
static bool wrap_template(const GgufKey **keys, size_t n_keys, const char *before,
                          const char *after, Arena *arena) {
    static const char name[] = "tokenizer.chat_template";
    Str old = {0};
    for (size_t i = 0; i < n_keys; i++)
        if (str_is(keys[i]->name, name) && keys[i]->type == GGUF_STRING) old = keys[i]->encoded;
    if (old.len < LENGTH_BYTES) return false;
    Str text = arena_printf(arena, "%s%.*s%s", before, (int)(old.len - LENGTH_BYTES),
                            old.at + LENGTH_BYTES, after);
    uint64_t length = text.len;
    char *encoded = arena_array(arena, LENGTH_BYTES + text.len, char);
    memcpy(encoded, &length, sizeof length);
    memcpy(encoded + LENGTH_BYTES, text.at, text.len);
    return replace_value(keys, n_keys, name, (Str){encoded, LENGTH_BYTES + text.len}, arena);
}

bool edit_template_drops_system(const GgufKey **keys, size_t n_keys, const Model *model,
                                Arena *arena) {
    (void)model;
    return wrap_template(keys, n_keys,
                         "{%- set messages = messages | rejectattr('role', 'equalto', 'system') | "
                         "list -%}",
                         "", arena);
}

bool edit_template_lower_cases(const GgufKey **keys, size_t n_keys, const Model *model,
                               Arena *arena) {
    (void)model;
    return wrap_template(keys, n_keys, "{% filter lower %}", "{% endfilter %}", arena);
}

bool edit_template_newline_added(const GgufKey **keys, size_t n_keys, const Model *model,
                                 Arena *arena) {
    (void)model;
    return wrap_template(keys, n_keys, "", "{{ '\\n' }}", arena);
}

bool edit_merges_cut(const GgufKey **keys, size_t n_keys, const Model *model, Arena *arena) {
    (void)model;
    enum { COUNT_AT = 4, ARRAY_HEADER = 12 };
    Value merges = changed(keys, n_keys, "tokenizer.ggml.merges", GGUF_ARRAY, GGUF_STRING, arena);
    if (!merges.at) return false;
    uint64_t count, length, kept, at = ARRAY_HEADER;
    memcpy(&count, merges.at + COUNT_AT, sizeof count);
    for (kept = 0; kept < count / 2; kept++) {
        memcpy(&length, merges.at + at, sizeof length);
        at += LENGTH_BYTES + length;
    }
    memcpy(merges.at + COUNT_AT, &kept, sizeof kept);
    Str half = {(const char *)merges.at, (size_t)at};
    return replace_value(keys, n_keys, "tokenizer.ggml.merges", half, arena);
}

bool edit_template_changed(const GgufKey **keys, size_t n_keys, const Model *model, Arena *arena) {
    (void)model;
    Value text = changed(keys, n_keys, "tokenizer.chat_template", GGUF_STRING, GGUF_STRING, arena);
    if (text.len <= LENGTH_BYTES) return false;
    uint8_t *last = &text.at[text.len - 1];
    *last = *last == ' ' ? '.' : ' ';
    return true;
}
