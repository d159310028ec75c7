#include "bundle/gates.h"

#include <string.h>

#include "base/str.h"

const GateInfo gates[GATE_COUNT] = {
#define GATE(id, ...) [GATE_##id] = {__VA_ARGS__},
#include "bundle/gates.def"
#undef GATE
};

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
    if (list && !*list)
        return err_set(err, ERR_USAGE, "--gates is an empty list, expected names of gates");
    while (list && *list) {
        Str name = str_next_item(&list);
        if (is_gate(name)) continue;
        StrBuf known = {0};
        for (int i = 0; i < GATE_COUNT; i++)
            strbuf_printf(&known, "%s%s", i ? ", " : "", gates[i].name);
        err_set(err, ERR_USAGE, "no gate '%.*s'; expected some of: %.*s", STR_ARG(name),
                STR_ARG(strbuf_str(&known)));
        strbuf_free(&known);
        return false;
    }
    return true;
}
