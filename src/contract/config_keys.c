// config_keys.c — keys of Hugging Face files that were not read: harmless for a stated reason, or
// an error.
#include "base/size.h"
#include "contract/config.h"

static const struct {
    ConfigFile file;
    const char *name, *reason;
} harmless[] = {
#define CONFIG_KEY(file, name, reason) {file, name, reason},
#include "contract/config_keys.def"
#undef CONFIG_KEY
};

// Keys that are harmless only while they say no, or one.
static const char *const harmless_when_false[] = {"mlp_bias", "lm_head_bias", "rope_interleaved"};
static const char *const harmless_when_one[] = {"full_attn_mod", "interpolate_factor"};

static bool matches(const char *pattern, Str name) {
    Str p = str_of(pattern);
    if (p.at[p.len - 1] == '*') return str_starts(name, (Str){p.at, p.len - 1});
    return str_eq(p, name);
}

static const char *find_reason(ConfigFile file, Str name, const json_t *value) {
    if (json_is_null(value)) return "null: says nothing";
    for (size_t i = 0; i < COUNT_OF(harmless_when_false); i++)
        if (str_is(name, harmless_when_false[i]) && !json_is_false(value)) return NULL;
    for (size_t i = 0; i < COUNT_OF(harmless_when_one); i++)
        if (str_is(name, harmless_when_one[i]) && json_number_value(value) != 1) return NULL;
    for (size_t i = 0; i < COUNT_OF(harmless); i++)
        if (harmless[i].file == file && matches(harmless[i].name, name)) return harmless[i].reason;
    return NULL;
}

void config_leftovers(ConfigReader *r, ConfigFile kind) {
    Stated *s = r->out;
    Harmless *all = arena_array(r->arena, s->n_unread + json_object_size(r->left), Harmless);
    for (size_t i = 0; i < s->n_unread; i++) all[i] = s->unread[i];
    s->unread = all;
    const char *key;
    json_t *value;
    json_object_foreach(r->left, key, value) {
        const char *reason = find_reason(kind, str_of(key), value);
        if (!reason) {
            config_fail(r,
                        "key '%s': not known to lathe, so the model may mean something lathe would "
                        "not compute",
                        key);
            return;
        }
        s->unread[s->n_unread++] =
            (Harmless){arena_printf(r->arena, "%.*s: %s", STR_ARG(r->file), key), str_of(reason)};
    }
}
