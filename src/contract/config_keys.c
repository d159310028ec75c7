// config_keys.c — keys of Hugging Face files that were not read: harmless for a stated reason, or
// an error.
#include "base/size.h"
#include "contract/config.h"

typedef struct {
    ConfigFile file;
    const char *name;
    const char *only; // the one value that is harmless, as JSON; NULL: any
    const char *reason;
} HarmlessKey;

static const HarmlessKey harmless[] = {
#define CONFIG_KEY(file, name, reason)           {file, name, NULL, reason},
#define CONFIG_KEY_AT(file, name, value, reason) {file, name, value, reason},
#include "contract/config_keys.def"
#undef CONFIG_KEY
#undef CONFIG_KEY_AT
};

static bool matches(const char *pattern, Str name) {
    Str p = str_of(pattern);
    if (p.at[p.len - 1] == '*') return str_starts(name, (Str){p.at, p.len - 1});
    return str_eq(p, name);
}

static const HarmlessKey *find_key(ConfigFile file, Str name) {
    for (size_t i = 0; i < COUNT_OF(harmless); i++)
        if (harmless[i].file == file && matches(harmless[i].name, name)) return &harmless[i];
    return NULL;
}

static bool is_value(const json_t *value, const char *text) {
    json_t *wanted = json_loads(text, JSON_DECODE_ANY, NULL);
    bool is_same = json_is_number(wanted) ? json_is_number(value) && json_number_value(value) ==
                                                                         json_number_value(wanted)
                                          : json_equal(value, wanted);
    json_decref(wanted);
    return is_same;
}

// Makes room for `n` more.
static void grow_unread(ConfigReader *r, size_t n) {
    Stated *s = r->out;
    Harmless *all = arena_array(r->arena, s->n_unread + n, Harmless);
    for (size_t i = 0; i < s->n_unread; i++) all[i] = s->unread[i];
    s->unread = all;
}

void config_unread(ConfigReader *r, const char *key, const char *reason) {
    grow_unread(r, 1);
    r->out->unread[r->out->n_unread++] =
        (Harmless){arena_printf(r->arena, "%.*s: %s", STR_ARG(r->file), key), str_of(reason)};
}

void config_leftovers(ConfigReader *r, ConfigFile kind) {
    Stated *s = r->out;
    grow_unread(r, json_object_size(r->left));
    const char *key;
    json_t *value;
    json_object_foreach(r->left, key, value) {
        const HarmlessKey *known = find_key(kind, str_of(key));
        bool is_null = json_is_null(value);
        if (!known && !is_null) {
            config_fail(r,
                        "key '%s': lathe does not know it, so the model may mean something that "
                        "lathe does not compute",
                        key);
            return;
        }
        if (!is_null && known->only && !is_value(value, known->only)) {
            config_fail(r, "key '%s': expected %s, the only value that lathe computes", key,
                        known->only);
            return;
        }
        s->unread[s->n_unread++] =
            (Harmless){arena_printf(r->arena, "%.*s: %s", STR_ARG(r->file), key),
                       str_of(is_null ? "null: says nothing" : known->reason)};
    }
}
