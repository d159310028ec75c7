#include "gguf/spec.h"

#include <assert.h>

#include "base/size.h"

void put_le(StrBuf *out, uint64_t value, unsigned n_bytes) {
    for (unsigned i = 0; i < n_bytes; i++) strbuf_add_char(out, (char)(value >> (8 * i)));
}

void put_str(StrBuf *out, const char *s) {
    put_le(out, strlen(s), 8);
    strbuf_add(out, str_of(s));
}

void spec_init(FileSpec *s) {
    *s = (FileSpec){.magic = {'G', 'G', 'U', 'F'}, .version = 3, .alignment = 32};
}

void spec_free(FileSpec *s) {
    arena_free(&s->arena);
}

KeySpec *spec_add_key(FileSpec *s, const char *name, uint32_t type, const void *value, size_t n) {
    assert(s->keys_there < SPEC_MAX_KEYS);
    KeySpec *k = &s->keys[s->keys_there++];
    *k = (KeySpec){str_of(name), strlen(name), type, arena_str(&s->arena, (Str){value, n})};
    s->n_keys++;
    return k;
}

KeySpec *spec_add_u32(FileSpec *s, const char *name, uint32_t value) {
    StrBuf encoded = {0};
    put_le(&encoded, value, 4);
    KeySpec *k = spec_add_key(s, name, GGUF_U32, encoded.at, encoded.len);
    strbuf_free(&encoded);
    return k;
}

KeySpec *spec_add_string(FileSpec *s, const char *name, const char *value) {
    StrBuf encoded = {0};
    put_str(&encoded, value);
    KeySpec *k = spec_add_key(s, name, GGUF_STRING, encoded.at, encoded.len);
    strbuf_free(&encoded);
    return k;
}

KeySpec *spec_add_f32(FileSpec *s, const char *name, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    KeySpec *k = spec_add_u32(s, name, bits);
    k->type = GGUF_F32;
    return k;
}

KeySpec *spec_add_bool(FileSpec *s, const char *name, bool value) {
    return spec_add_key(s, name, GGUF_BOOL, value ? "\1" : "\0", 1);
}

KeySpec *spec_add_strings(FileSpec *s, const char *name, const char *const *items, size_t n) {
    StrBuf encoded = {0};
    put_le(&encoded, GGUF_STRING, 4);
    put_le(&encoded, n, 8);
    for (size_t i = 0; i < n; i++) put_str(&encoded, items[i]);
    KeySpec *k = spec_add_key(s, name, GGUF_ARRAY, encoded.at, encoded.len);
    strbuf_free(&encoded);
    return k;
}

KeySpec *spec_add_i32s(FileSpec *s, const char *name, const int32_t *items, size_t n) {
    StrBuf encoded = {0};
    put_le(&encoded, GGUF_I32, 4);
    put_le(&encoded, n, 8);
    for (size_t i = 0; i < n; i++) put_le(&encoded, (uint32_t)items[i], 4);
    KeySpec *k = spec_add_key(s, name, GGUF_ARRAY, encoded.at, encoded.len);
    strbuf_free(&encoded);
    return k;
}

TensorSpec *spec_add_tensor(FileSpec *s, const char *name, const char *type, uint32_t n_dims,
                            const uint64_t *dims) {
    assert(s->tensors_there < SPEC_MAX_TENSORS && n_dims <= SPEC_MAX_DIMS);
    const BlockType *block = block_type_named(type);
    TensorSpec *t = &s->tensors[s->tensors_there++];
    *t = (TensorSpec){str_of(name), strlen(name), n_dims, .type = block->id};
    uint64_t n_weights = 1;
    for (uint32_t i = 0; i < n_dims; i++) n_weights *= t->dims[i] = dims[i];
    t->offset = round_up(s->data_bytes, s->alignment);
    s->data_bytes = (size_t)(t->offset + n_weights / block->n_weights * block->n_bytes);
    s->n_tensors++;
    return t;
}

void spec_init_sample(FileSpec *s) {
    spec_init(s);
    spec_add_string(s, "general.architecture", "llama");
    spec_add_u32(s, "general.alignment", 32);
    spec_add_u32(s, "x.count", 7);
    spec_add_key(s, "x.flag", GGUF_BOOL, "\1", 1);
    StrBuf value = {0};
    put_le(&value, GGUF_BOOL, 4);
    put_le(&value, 3, 8);
    strbuf_add(&value, (Str){"\0\1\0", 3});
    spec_add_key(s, "x.flags", GGUF_ARRAY, value.at, value.len);
    value.len = 0;
    put_le(&value, GGUF_STRING, 4);
    put_le(&value, 2, 8);
    put_str(&value, "one");
    put_str(&value, "");
    spec_add_key(s, "x.names", GGUF_ARRAY, value.at, value.len);
    value.len = 0;
    put_le(&value, GGUF_I16, 4);
    put_le(&value, 2, 8);
    put_le(&value, 0xFFFE, 2);
    put_le(&value, 300, 2);
    spec_add_key(s, "x.sizes", GGUF_ARRAY, value.at, value.len);
    strbuf_free(&value);
    spec_add_tensor(s, "a.weight", "F32", 2, (uint64_t[]){8, 2});
    spec_add_tensor(s, "b.weight", "Q8_0", 2, (uint64_t[]){64, 2});
    spec_add_tensor(s, "c.weight", "F16", 1, (uint64_t[]){4});
}

KeySpec *spec_key(FileSpec *s, const char *name) {
    size_t i = 0;
    while (i < s->keys_there && !str_is(s->keys[i].name, name)) i++;
    assert(i < s->keys_there);
    return &s->keys[i];
}

TensorSpec *spec_tensor(FileSpec *s, const char *name) {
    size_t i = 0;
    while (i < s->tensors_there && !str_is(s->tensors[i].name, name)) i++;
    assert(i < s->tensors_there);
    return &s->tensors[i];
}

void spec_set_value(FileSpec *s, const char *key, const void *value, size_t n) {
    spec_key(s, key)->value = arena_str(&s->arena, (Str){value, n});
}

void spec_drop_key(FileSpec *s, const char *name) {
    KeySpec *k = spec_key(s, name), *end = s->keys + s->keys_there;
    memmove(k, k + 1, (size_t)(end - k - 1) * sizeof *k);
    s->keys_there--;
    s->n_keys--;
}

void spec_drop_tensor(FileSpec *s, const char *name) {
    TensorSpec *t = spec_tensor(s, name), *end = s->tensors + s->tensors_there;
    memmove(t, t + 1, (size_t)(end - t - 1) * sizeof *t);
    s->tensors_there--;
    s->n_tensors--;
}

void spec_set_floats(FileSpec *s, const char *tensor, const float *values, size_t n) {
    spec_tensor(s, tensor)->data =
        arena_str(&s->arena, (Str){(const char *)values, n * sizeof *values});
}

Str spec_bytes(FileSpec *s) {
    StrBuf out = {0};
    strbuf_add(&out, (Str){s->magic, sizeof s->magic});
    put_le(&out, s->version, 4);
    put_le(&out, s->n_tensors, 8);
    put_le(&out, s->n_keys, 8);
    for (size_t i = 0; i < s->keys_there; i++) {
        const KeySpec *k = &s->keys[i];
        put_le(&out, k->name_bytes, 8);
        strbuf_add(&out, k->name);
        put_le(&out, k->type, 4);
        strbuf_add(&out, k->value);
    }
    for (size_t i = 0; i < s->tensors_there; i++) {
        const TensorSpec *t = &s->tensors[i];
        put_le(&out, t->name_bytes, 8);
        strbuf_add(&out, t->name);
        put_le(&out, t->n_dims, 4);
        for (uint32_t d = 0; d < t->n_dims && d < SPEC_MAX_DIMS; d++) put_le(&out, t->dims[d], 8);
        put_le(&out, t->type, 4);
        put_le(&out, t->offset, 8);
    }
    strbuf_extend(&out, (size_t)round_up(out.len, s->alignment) - out.len);
    size_t data_at = out.len;
    for (size_t i = 0; i < s->data_bytes; i++) strbuf_add_char(&out, (char)(i % 251));
    for (size_t i = 0; i < s->tensors_there; i++) {
        const TensorSpec *t = &s->tensors[i];
        if (t->data.len) memcpy(out.at + data_at + t->offset, t->data.at, t->data.len);
    }
    Str bytes = arena_str(&s->arena, strbuf_str(&out));
    strbuf_free(&out);
    return bytes;
}
