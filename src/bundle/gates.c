#include "bundle/gates.h"

#include <string.h>

#include "base/size.h"
#include "base/str.h"

const GateInfo gates[GATE_COUNT] = {
#define GATE(id, ...) [GATE_##id] = {__VA_ARGS__},
#include "bundle/gates.def"
#undef GATE
};

Str gate_command(Arena *arena, const GateInfo *gate, const char *bundle, const char *source) {
    const struct {
        Str word;
        const char *name;
    } gaps[] = {{STR("BUNDLE"), bundle}, {STR("SOURCE"), source}};
    StrBuf out = {0};
    for (const char *at = gate->command; *at;) {
        Str rest = str_of(at);
        size_t i = 0;
        while (i < COUNT_OF(gaps) && !str_starts(rest, gaps[i].word)) i++;
        if (i < COUNT_OF(gaps)) {
            strbuf_add(&out, str_of(gaps[i].name));
            at += gaps[i].word.len;
        } else {
            strbuf_add_char(&out, *at++);
        }
    }
    Str command = arena_str(arena, strbuf_str(&out));
    strbuf_free(&out);
    return command;
}

// Whether `given`, as it was typed, means `name`.
static bool is_name(Str given, const char *name) {
    if (given.len != strlen(name)) return false;
    for (size_t i = 0; i < given.len; i++)
        if (given.at[i] != name[i] && !(given.at[i] == '-' && name[i] == ' ')) return false;
    return true;
}

bool gate_is_listed(const char *list, const char *name) {
    if (!list) return true;
    while (*list)
        if (is_name(str_next_item(&list), name)) return true;
    return false;
}

static bool is_gate(Str given) {
    for (int i = 0; i < GATE_COUNT; i++)
        if (is_name(given, gates[i].name)) return true;
    return false;
}

bool gate_check_list(const char *list, Err *err) {
    if (list && !*list) return err_set(err, ERR_USAGE, "--gates names no gate");
    while (list && *list) {
        Str name = str_next_item(&list);
        if (is_gate(name)) continue;
        StrBuf known = {0};
        for (int i = 0; i < GATE_COUNT; i++)
            strbuf_printf(&known, "%s%s", i ? ", " : "", gates[i].name);
        err_set(err, ERR_USAGE, "no gate '%.*s'; there are: %.*s", STR_ARG(name),
                STR_ARG(strbuf_str(&known)));
        strbuf_free(&known);
        return false;
    }
    return true;
}
