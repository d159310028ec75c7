#include "convert/setting_file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

bool setting_name_check(const char *name, Err *err) {
    bool is_good = *name && *name != '.' && *name != '-' && strlen(name) <= 64;
    for (const char *at = name; *at; at++)
        is_good = is_good && (isalnum((unsigned char)*at) || strchr("._-", *at));
    return is_good ||
           err_set(err, ERR_USAGE,
                   "'%s' cannot name a setting: expected letters, digits, '.', '_' or '-'", name);
}

// ---- where named settings lie

static const char *settings_dir(Arena *arena) {
    const char *given = getenv("LATHE_SETTINGS_DIR"), *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    if (given && *given) return given;
    if (xdg && *xdg) return path_join(arena, xdg, "lathe/settings");
    return home ? path_join(arena, home, ".config/lathe/settings") : NULL;
}

static bool make_dirs(const char *path, Arena *arena, Err *err) {
    char *dir = arena_cstr(arena, str_of(path));
    for (char *at = dir + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        bool ok = dir_make(dir, err);
        *at = '/';
        if (!ok) return false;
    }
    return dir_make(dir, err);
}

// ---- writing

static json_t *words_of(const char *options) {
    json_t *words = json_array();
    while (*options) {
        options += strspn(options, " ");
        size_t n = strcspn(options, " ");
        if (n) json_array_append_new(words, json_stringn(options, n));
        options += n;
    }
    return words;
}

bool setting_file_write(const SettingFile *f, const char *folder, Err *err) {
    Arena arena = {0};
    json_t *json =
        json_pack("{s:i, s:s, s:o, s:s, s:s, s:s, s:s, s:b, s:o}", "schema", SETTING_FILE_SCHEMA,
                  "name", f->name, "options", words_of(f->options), "tool", f->tool, "system",
                  f->system, "os_build", f->os_build, "chip", f->chip, "stand_in",
                  (int)f->is_stand_in, "decode_ms", json_of_real(f->decode_ms));
    if (!json) die_out_of_memory(0);
    const char *path = path_join(&arena, folder, arena_printf(&arena, "%s.json", f->name).at);
    bool ok = json_write_file(json, path, err);
    json_decref(json);
    arena_free(&arena);
    return ok;
}

bool setting_file_install(const SettingFile *f, Err *err) {
    Arena arena = {0};
    const char *dir = settings_dir(&arena);
    bool ok = dir ? make_dirs(dir, &arena, err) && setting_file_write(f, dir, err)
                  : err_set(err, ERR_SYSTEM, "no folder for settings: HOME is not set");
    arena_free(&arena);
    return ok;
}

// ---- reading

static const char *place_of(const char *given, Arena *arena, Err *err) {
    if (strchr(given, '/') || str_ends(str_of(given), STR(".json")) || path_exists(given))
        return given;
    const char *dir = settings_dir(arena);
    if (!setting_name_check(given, err)) return NULL;
    const char *path = dir ? path_join(arena, dir, arena_printf(arena, "%s.json", given).at) : NULL;
    if (path && path_exists(path)) return path;
    err_set(err, ERR_USAGE,
            "--settings %s: there is no such file, and no such setting in %s; lathe settle --tune "
            "%s makes one",
            given, dir ? dir : "~/.config/lathe/settings", given);
    return NULL;
}

// Options come with their value, and none may say where the bundle goes.
static bool check_words(const SettingWords *s, Err *err) {
    for (size_t i = 0; i < s->n_words; i += 2) {
        bool is_option = strncmp(s->words[i], "--", 2) == 0 && i + 1 < s->n_words;
        if (is_option && strcmp(s->words[i], "--settings") != 0 &&
            strcmp(s->words[i], "--force") != 0)
            continue;
        return err_set(err, ERR_FORMAT,
                       "%s: options: '%s', expected an option of lathe convert "
                       "and its value",
                       s->path, s->words[i]);
    }
    return true;
}

bool setting_file_read(SettingWords *s, const char *given, Arena *arena, Err *err) {
    *s = (SettingWords){.path = place_of(given, arena, err)};
    json_t *json = s->path ? json_read_file(s->path, err) : NULL;
    if (!json) return false;
    JsonReader r = {.arena = arena, .err = err};
    uint32_t schema = need_u32(&r, json, "schema");
    if (!r.failed && schema != SETTING_FILE_SCHEMA)
        r.failed = !err_set(err, ERR_FORMAT, "schema %u, expected %d", schema, SETTING_FILE_SCHEMA);
    s->is_stand_in = need_bool(&r, json, "stand_in");
    const json_t *words = need_array(&r, json, "options", SETTING_FILE_MAX_WORDS, &s->n_words),
                 *word;
    for (size_t i = 0; !r.failed && i < s->n_words; i++) {
        word = json_array_get(words, i);
        if (json_is_string(word))
            s->words[i] = arena_cstr(arena, str_of(json_string_value(word)));
        else
            r.failed = !err_set(err, ERR_FORMAT, "options: item %zu is not a string", i);
    }
    json_decref(json);
    if (r.failed) return err_prefix(err, "%s", s->path);
    return check_words(s, err);
}
