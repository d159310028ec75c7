#include "gguf/keys.h"

#include "base/half.h"
#include "gguf/parse.h"

static void put_le(StrBuf *out, uint64_t value, unsigned n) {
    for (unsigned i = 0; i < n; i++) strbuf_add_char(out, (char)(value >> (8 * i)));
}

static void put_text(StrBuf *out, Str s) {
    put_le(out, s.len, 8);
    strbuf_add(out, s);
}

static void put_head(GgufKeys *k, const char *name, GgufType type) {
    put_text(&k->bytes, str_of(name));
    put_le(&k->bytes, type, 4);
    k->count++;
}

static void put_list_head(GgufKeys *k, const char *name, GgufType type, size_t n) {
    put_head(k, name, GGUF_ARRAY);
    put_le(&k->bytes, type, 4);
    put_le(&k->bytes, n, 8);
}

void gguf_put_u32(GgufKeys *k, const char *name, uint32_t value) {
    put_head(k, name, GGUF_U32);
    put_le(&k->bytes, value, 4);
}

void gguf_put_f32(GgufKeys *k, const char *name, float value) {
    put_head(k, name, GGUF_F32);
    put_le(&k->bytes, f32_bits(value), 4);
}

void gguf_put_bool(GgufKeys *k, const char *name, bool value) {
    put_head(k, name, GGUF_BOOL);
    put_le(&k->bytes, value, 1);
}

void gguf_put_str(GgufKeys *k, const char *name, Str value) {
    put_head(k, name, GGUF_STRING);
    put_text(&k->bytes, value);
}

void gguf_put_u32s(GgufKeys *k, const char *name, const uint32_t *at, size_t n) {
    put_list_head(k, name, GGUF_U32, n);
    for (size_t i = 0; i < n; i++) put_le(&k->bytes, at[i], 4);
}

void gguf_put_i32s(GgufKeys *k, const char *name, const int32_t *at, size_t n) {
    put_list_head(k, name, GGUF_I32, n);
    for (size_t i = 0; i < n; i++) put_le(&k->bytes, (uint32_t)at[i], 4);
}

void gguf_put_f32s(GgufKeys *k, const char *name, const float *at, size_t n) {
    put_list_head(k, name, GGUF_F32, n);
    for (size_t i = 0; i < n; i++) put_le(&k->bytes, f32_bits(at[i]), 4);
}

void gguf_put_bools(GgufKeys *k, const char *name, const bool *at, size_t n) {
    put_list_head(k, name, GGUF_BOOL, n);
    for (size_t i = 0; i < n; i++) put_le(&k->bytes, at[i], 1);
}

void gguf_put_strs(GgufKeys *k, const char *name, const Str *at, size_t n) {
    put_list_head(k, name, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) put_text(&k->bytes, at[i]);
}

void gguf_keys_add(GgufKeys *to, const GgufKeys *from) {
    strbuf_add(&to->bytes, strbuf_str(&from->bytes));
    to->count += from->count;
}

void gguf_keys_free(GgufKeys *k) {
    strbuf_free(&k->bytes);
    k->count = 0;
}

bool gguf_of_keys(Gguf *g, Arena *arena, const GgufKeys *k, const char *name, Err *err) {
    StrBuf file = {0};
    strbuf_add(&file, STR("GGUF"));
    put_le(&file, 3, 4);
    put_le(&file, 0, 8); // tensors
    put_le(&file, k->count, 8);
    strbuf_add(&file, strbuf_str(&k->bytes));
    char *kept = arena_array(arena, file.len, char);
    memcpy(kept, file.at, file.len);
    size_t n = file.len;
    strbuf_free(&file);
    return gguf_open_bytes(g, arena, kept, n, name, err);
}

bool gguf_put_tensors(Gguf *g, Arena *arena, const TensorInfo *tensors, size_t n, Err *err) {
    NameRow *rows = arena_array(arena, n, NameRow);
    for (size_t i = 0; i < n; i++) rows[i] = (NameRow){tensors[i].name, i};
    name_rows_sort(rows, n);
    const NameRow *duplicate = name_rows_find_duplicate(rows, n);
    if (duplicate)
        return err_set(err, ERR_FORMAT, "tensor '%.*s' occurs twice", NAME_ARG(duplicate->name));
    gguf_replace_tensors(g, arena, tensors, n, rows);
    return true;
}
