// settings.c — keys that the user adds to those of a file or puts in their place. A set key is a
// row like the file's own, with its value encoded as in a file, so that readers, digests and copies
// need no special case.
#include "gguf/settings.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "gguf/parse.h"

// ---- values

static void put_le(StrBuf *out, uint64_t value, unsigned n_bytes) {
    for (unsigned i = 0; i < n_bytes; i++) strbuf_add_char(out, (char)(value >> 8 * i));
}

static GgufType type_of(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_INTEGER: return GGUF_I64;
    case JSON_REAL: return GGUF_F64;
    case JSON_TRUE:
    case JSON_FALSE: return GGUF_BOOL;
    case JSON_STRING: return GGUF_STRING;
    default: return GGUF_TYPE_COUNT;
    }
}

static void put_item(StrBuf *out, const json_t *value) {
    double real = json_real_value(value);
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    switch (json_typeof(value)) {
    case JSON_INTEGER: put_le(out, (uint64_t)json_integer_value(value), 8); break;
    case JSON_REAL: put_le(out, bits, 8); break;
    case JSON_STRING:
        put_le(out, json_string_length(value), 8);
        strbuf_add(out, (Str){json_string_value(value), json_string_length(value)});
        break;
    default: strbuf_add_char(out, json_is_true(value)); break;
    }
}

// The items of a list have one type, which GGUF states once.
static bool put_list(GgufKey *k, const json_t *list, StrBuf *out, Err *err) {
    k->type = GGUF_ARRAY;
    k->n_items = json_array_size(list);
    k->item_type = k->n_items ? type_of(json_array_get(list, 0)) : GGUF_I64;
    put_le(out, k->item_type, 4);
    put_le(out, k->n_items, 8);
    for (size_t i = 0; i < k->n_items; i++) {
        const json_t *item = json_array_get(list, i);
        if (type_of(item) != k->item_type || k->item_type == GGUF_TYPE_COUNT)
            return err_set(err, ERR_USAGE,
                           "--set %.*s: item %zu of the list has another type than item 0, "
                           "expected numbers, booleans or texts alone",
                           STR_ARG(k->name), i);
        put_item(out, item);
    }
    return true;
}

static void point_into(GgufKey *k, Arena *arena) {
    enum { LIST_HEAD = 4 + 8, LENGTH = 8 };
    const char *at = k->encoded.at + (k->type == GGUF_ARRAY ? LIST_HEAD : 0);
    k->data = (const uint8_t *)at;
    if (k->item_type != GGUF_STRING) return;
    Str *strings = arena_array(arena, k->n_items, Str);
    for (size_t i = 0; i < k->n_items; i++) {
        size_t n = (size_t)load_le((const uint8_t *)at, LENGTH);
        strings[i] = (Str){at + LENGTH, n};
        at += LENGTH + n;
    }
    k->data = NULL;
    k->strings = strings;
}

static bool encode(GgufKey *k, Str text, bool is_text, Arena *arena, Err *err) {
    json_t *value =
        is_text ? NULL : json_loadb(text.at, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!value || (type_of(value) == GGUF_TYPE_COUNT && !json_is_array(value))) {
        json_decref(value);
        value = json_stringn(text.at, text.len);
    }
    if (!value)
        return err_set(err, ERR_USAGE, "--set %.*s: the value is not UTF-8", STR_ARG(k->name));
    StrBuf bytes = {0};
    k->type = k->item_type = type_of(value);
    k->n_items = 1;
    bool ok = true;
    if (json_is_array(value))
        ok = put_list(k, value, &bytes, err);
    else
        put_item(&bytes, value);
    json_decref(value);
    k->encoded = arena_str(arena, strbuf_str(&bytes));
    strbuf_free(&bytes);
    if (ok) point_into(k, arena);
    return ok;
}

// ---- applying

// Keys by which the tensors were found when the file was opened.
static bool is_layout(Str name) {
    return str_is(name, "general.alignment") || str_starts(name, STR("split."));
}

static bool check_name(const char *option, Str name, Err *err) {
    bool is_printable = name.len > 0 && name.len <= GGUF_MAX_KEY_BYTES;
    for (size_t i = 0; i < name.len; i++)
        is_printable = is_printable && name.at[i] > ' ' && name.at[i] <= '~';
    if (!is_printable)
        return err_set(err, ERR_USAGE, "%s: expected the name of a key, such as llama.vocab_size",
                       option);
    return !is_layout(name) ||
           err_set(err, ERR_USAGE,
                   "%s %.*s: the key says how the file is laid out; it cannot be %s", option,
                   NAME_ARG(name), strcmp(option, "--set") == 0 ? "set" : "ignored");
}

typedef struct {
    GgufKey *at;
    size_t n;
} Keys;

static GgufKey *find(const Keys *keys, Str name) {
    for (size_t i = 0; i < keys->n; i++)
        if (str_eq(keys->at[i].name, name)) return &keys->at[i];
    return NULL;
}

static bool set_key(Keys *keys, const Gguf *g, Arena *arena, const char *word, Err *err) {
    const char *equals = strchr(word, '=');
    if (!equals)
        return err_set(err, ERR_USAGE,
                       "--set %s: expected KEY=VALUE, such as phi3.attention.sliding_window=2047",
                       word);
    GgufKey k = {.name = arena_str(arena, (Str){word, (size_t)(equals - word)}), .is_set = true};
    if (!check_name("--set", k.name, err)) return false;
    GgufKey *there = find(keys, k.name);
    if (there && there->is_set)
        return err_set(err, ERR_USAGE, "--set %.*s: given twice", NAME_ARG(k.name));
    k.replaced = gguf_find_key(g, k.name);
    bool is_text = k.replaced && k.replaced->type == GGUF_STRING;
    if (!encode(&k, str_of(equals + 1), is_text, arena, err)) return false;
    *(there ? there : &keys->at[keys->n++]) = k;
    return true;
}

static bool ignore_key(Keys *keys, const char *name, Err *err) {
    if (!check_name("--ignore-key", str_of(name), err)) return false;
    GgufKey *k = find(keys, str_of(name));
    if (!k || (k->is_set && !k->replaced))
        return err_set(err, ERR_USAGE, "--ignore-key %s: the file has no such key", name);
    if (k->is_set) return err_set(err, ERR_USAGE, "--ignore-key %s: --set gives it a value", name);
    k->is_ignored = true;
    return true;
}

bool gguf_apply_settings(Gguf *g, Arena *arena, const GgufSettings *s, Err *err) {
    if (!has_settings(s)) return true;
    Keys keys = {arena_array(arena, g->n_keys + s->n_set, GgufKey), g->n_keys};
    for (size_t i = 0; i < g->n_keys; i++) keys.at[i] = g->keys[i];
    for (size_t i = 0; i < s->n_set; i++)
        if (!set_key(&keys, g, arena, s->set[i], err)) return false;
    for (size_t i = 0; i < s->n_ignored; i++)
        if (!ignore_key(&keys, s->ignored[i], err)) return false;
    gguf_replace_keys(g, arena, keys.at, keys.n);
    return true;
}

// ---- for people

static void print_item(const GgufKey *k, size_t i, StrBuf *out) {
    uint64_t magnitude;
    int64_t whole;
    double real;
    bool yes;
    Str text;
    if (gguf_str(k, i, &text))
        strbuf_add(out, text);
    else if (gguf_bool(k, i, &yes))
        strbuf_add(out, yes ? STR("true") : STR("false"));
    else if (gguf_i64(k, i, &whole))
        strbuf_printf(out, "%" PRId64, whole);
    else if (gguf_u64(k, i, &magnitude))
        strbuf_printf(out, "%" PRIu64, magnitude);
    else if (gguf_f64(k, i, &real) && k->item_type == GGUF_F32)
        strbuf_add_float(out, (float)real);
    else if (gguf_f64(k, i, &real))
        strbuf_printf(out, "%.17g", real);
}

void gguf_print_value(const GgufKey *k, StrBuf *out) {
    enum { MOST = 4 };
    if (k->type != GGUF_ARRAY) {
        print_item(k, 0, out);
        return;
    }
    strbuf_add_char(out, '[');
    for (size_t i = 0; i < k->n_items && i < MOST; i++) {
        if (i) strbuf_add(out, STR(", "));
        print_item(k, i, out);
    }
    strbuf_add(out, k->n_items > MOST ? STR(", …]") : STR("]"));
    if (k->n_items > MOST) strbuf_printf(out, " (%zu)", k->n_items);
}

// A value in a sentence: no control characters, and no longer than a line.
static void print_short(const GgufKey *k, StrBuf *out) {
    enum { MOST = 80 };
    StrBuf value = {0};
    gguf_print_value(k, &value);
    if (value.at) str_replace_controls(value.at, 0);
    Str cut = str_cut(strbuf_str(&value), MOST);
    strbuf_add(out, cut);
    if (cut.len < value.len) strbuf_add(out, STR("…"));
    strbuf_free(&value);
}

void gguf_print_setting(const GgufKey *k, StrBuf *out) {
    if (k->is_ignored) strbuf_printf(out, "--ignore-key %.*s", STR_ARG(k->name));
    if (!k->is_set) return;
    strbuf_printf(out, "--set %.*s=", STR_ARG(k->name));
    print_short(k, out);
    if (!k->replaced) {
        strbuf_add(out, STR(" (the file has no such key)"));
        return;
    }
    strbuf_add(out, STR(" (the file has "));
    print_short(k->replaced, out);
    strbuf_add_char(out, ')');
}

// ---- as JSON

json_t *gguf_settings_to_json(const GgufSettings *s) {
    json_t *set = json_object(), *ignored = json_array();
    for (size_t i = 0; i < s->n_set; i++) {
        const char *equals = strchr(s->set[i], '=');
        json_object_setn_new(set, s->set[i], (size_t)(equals - s->set[i]), json_string(equals + 1));
    }
    for (size_t i = 0; i < s->n_ignored; i++)
        json_array_append_new(ignored, json_string(s->ignored[i]));
    return json_pack("{s:o, s:o}", "set", set, "ignored", ignored);
}

bool gguf_settings_from_json(GgufSettings *s, const json_t *json, Arena *arena, Err *err) {
    JsonReader n = {.arena = arena, .err = err};
    size_t n_ignored;
    json_t *set = (json_t *)need_object(&n, json, "set"), *value; // jansson walks no const object
    const json_t *ignored = need_array(&n, json, "ignored", GGUF_MAX_SETTINGS, &n_ignored);
    if (n.failed) return false;
    if (json_object_size(set) > GGUF_MAX_SETTINGS)
        return err_set(err, ERR_FORMAT, "member \"set\": more than %d keys", GGUF_MAX_SETTINGS);
    const char **words = arena_array(arena, json_object_size(set), const char *);
    const char **names = arena_array(arena, n_ignored, const char *), *key;
    *s = (GgufSettings){.set = words, .ignored = names};
    json_object_foreach(set, key, value) {
        if (!json_is_string(value))
            return err_set(err, ERR_FORMAT, "member \"set\": '%s' is not a text", key);
        words[s->n_set++] = arena_printf(arena, "%s=%s", key, json_string_value(value)).at;
    }
    for (; s->n_ignored < n_ignored; s->n_ignored++) {
        const json_t *name = json_array_get(ignored, s->n_ignored);
        if (!json_is_string(name))
            return err_set(err, ERR_FORMAT, "member \"ignored\": item %zu is not a text",
                           s->n_ignored);
        names[s->n_ignored] = arena_cstr(arena, str_of(json_string_value(name)));
    }
    return true;
}
