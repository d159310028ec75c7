// keys.c — host.gguf with one key changed. Values are edited as they are encoded (gguf.h).
#include <string.h>

#include "mutants/faults.h"

// A copy of the key `name` with an encoded value of its own to be changed; NULL when absent.
static uint8_t *changed(const GgufKey **keys, size_t n_keys, const char *name, GgufType type,
                        Arena *arena) {
    for (size_t i = 0; i < n_keys; i++) {
        if (!str_is(keys[i]->name, name) || keys[i]->type != type) continue;
        GgufKey *copy = arena_new(arena, GgufKey);
        *copy = *keys[i];
        copy->encoded = arena_str(arena, copy->encoded);
        keys[i] = copy;
        return (uint8_t *)(uintptr_t)copy->encoded.at; // just copied, and ours
    }
    return NULL;
}

static uint32_t last_stop(const Model *model) {
    U32List stops = model->contract.stop_ids;
    return stops.at[stops.count - 1];
}

bool edit_control_token_typed_normal(const GgufKey **keys, size_t n_keys, const Model *model,
                                     Arena *arena) {
    enum { ARRAY_HEADER = 12, TYPE_BYTES = 4, TYPE_NORMAL = 1 }; // item type, count; int32 items
    uint8_t *types = changed(keys, n_keys, "tokenizer.ggml.token_type", GGUF_ARRAY, arena);
    if (types) types[ARRAY_HEADER + TYPE_BYTES * (size_t)last_stop(model)] = TYPE_NORMAL;
    return types != NULL;
}

bool edit_bos_policy_turned_round(const GgufKey **keys, size_t n_keys, const Model *model,
                                  Arena *arena) {
    (void)model;
    uint8_t *adds = changed(keys, n_keys, "tokenizer.ggml.add_bos_token", GGUF_BOOL, arena);
    if (adds) adds[0] = !adds[0];
    return adds != NULL;
}

bool edit_eos_of_the_base_model(const GgufKey **keys, size_t n_keys, const Model *model,
                                Arena *arena) {
    uint8_t *id = changed(keys, n_keys, "tokenizer.ggml.eos_token_id", GGUF_U32, arena);
    uint32_t other = model->contract.stop_ids.at[0];
    if (!id) return false;
    if (id[0] == (uint8_t)other && id[1] == (uint8_t)(other >> 8)) other++;
    for (int i = 0; i < 4; i++) id[i] = (uint8_t)(other >> (8 * i));
    return true;
}

bool edit_template_changed(const GgufKey **keys, size_t n_keys, const Model *model, Arena *arena) {
    (void)model;
    enum { LENGTH_BYTES = 8 };
    uint8_t *text = changed(keys, n_keys, "tokenizer.chat_template", GGUF_STRING, arena);
    for (size_t i = 0; text && i < n_keys; i++) {
        if (!str_is(keys[i]->name, "tokenizer.chat_template")) continue;
        size_t n = keys[i]->encoded.len;
        if (n <= LENGTH_BYTES) return false;
        text[n - 1] = ' ';
    }
    return text != NULL;
}
