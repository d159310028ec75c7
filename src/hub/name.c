// name.c — parses and checks names of models, repositories and files before they become part of a
// URL or a path.
#include "hub/name.h"

#include <string.h>

#define PREFIX "hf:"

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool has_twice(Str s, char c) {
    for (size_t i = 1; i < s.len; i++)
        if (s.at[i] == c && s.at[i - 1] == c) return true;
    return false;
}

// One half of a repository's name: huggingface_hub's validate_repo_id().
static bool is_half(Str s) {
    enum { MOST = 96 };
    if (s.len == 0 || s.len > MOST || !is_word(s.at[0]) || has_twice(s, '.') || has_twice(s, '-'))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_word(s.at[i]) && s.at[i] != '.' && s.at[i] != '-') return false;
    return true;
}

// Where `c` is in `s`, or its length.
static size_t find_char(Str s, char c) {
    const char *at = s.len ? memchr(s.at, c, s.len) : NULL;
    return at ? (size_t)(at - s.at) : s.len;
}

bool hub_is_repo(Str repo) {
    size_t slash = find_char(repo, '/');
    if (slash == repo.len) return is_half(repo);
    return is_half((Str){repo.at, slash}) &&
           is_half((Str){repo.at + slash + 1, repo.len - slash - 1});
}

bool hub_is_path(Str path) {
    if (path.len == 0 || path.len > HUB_MAX_PATH) return false;
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.at[i] < 0x20 || path.at[i] == 0x7f || path.at[i] == '\\')
            return false;
    for (Str rest = path;;) {
        Str part = {rest.at, find_char(rest, '/')};
        if (part.len == 0 || str_is(part, ".") || str_is(part, "..")) return false;
        if (part.len == rest.len) return true;
        rest = (Str){rest.at + part.len + 1, rest.len - part.len - 1};
    }
}

bool hub_is_file_name(Str name) {
    return hub_is_path(name) && name.at[0] != '.' && find_char(name, '/') == name.len;
}

bool hub_is_name(const char *text) {
    return strncmp(text, PREFIX, strlen(PREFIX)) == 0;
}

bool hub_name_read(HubName *name, const char *text, Err *err) {
    *name = (HubName){.revision = STR("main")};
    Str rest = str_of(text + (hub_is_name(text) ? strlen(PREFIX) : 0));
    size_t colon = find_char(rest, ':');
    if (colon < rest.len) {
        name->which = (Str){rest.at + colon + 1, rest.len - colon - 1};
        rest.len = colon;
        if (!hub_is_path(name->which)) goto wrong;
    }
    size_t at = find_char(rest, '@');
    if (at < rest.len) {
        name->revision = (Str){rest.at + at + 1, rest.len - at - 1};
        rest.len = at;
        if (!hub_is_path(name->revision)) goto wrong;
    }
    name->repo = rest;
    if (hub_is_name(text) && hub_is_repo(rest) && find_char(rest, '/') < rest.len) return true;
wrong:
    return err_set(err, ERR_USAGE,
                   "%.200s: no name of a model, expected hf:USER/REPO, hf:USER/REPO:Q8_0 or "
                   "hf:USER/REPO@REVISION:FILE.gguf",
                   text);
}

const char *hub_name_text(Arena *arena, const HubName *name) {
    bool is_main = str_is(name->revision, "main"), has_which = name->which.len > 0;
    return arena_printf(arena, PREFIX "%.*s%s%.*s%s%.*s", STR_ARG(name->repo), is_main ? "" : "@",
                        is_main ? 0 : (int)name->revision.len, name->revision.at,
                        has_which ? ":" : "", STR_ARG(name->which))
        .at;
}

Str hub_file_name(Str path) {
    size_t at = path.len;
    while (at > 0 && path.at[at - 1] != '/') at--;
    return (Str){path.at + at, path.len - at};
}
