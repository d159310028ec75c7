#include "bundle/gates.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "base/str.h"

const GateInfo gates[GATE_COUNT] = {
#define GATE(id, schema, needs, name, doc) [GATE_##id] = {name, doc, schema, needs},
#include "bundle/gates.def"
#undef GATE
};

bool gate_is_listed(const char *list, const char *name) {
    if (!list) return true;
    size_t n = strlen(name);
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',') {
        if (strcspn(at, ",") != n) continue;
        bool same = true;
        for (size_t i = 0; i < n; i++)
            same = same && (at[i] == name[i] || (at[i] == '-' && name[i] == ' '));
        if (same) return true;
    }
    return false;
}

bool gate_check_list(const char *list, Err *err) {
    if (list && !*list) return err_set(err, ERR_USAGE, "--gates names no gate");
    for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',') {
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)min_size(strcspn(at, ","), sizeof name - 1), at);
        bool is_known = false;
        for (int i = 0; i < GATE_COUNT; i++)
            is_known = is_known || gate_is_listed(name, gates[i].name);
        if (is_known) continue;
        StrBuf known = {0};
        for (int i = 0; i < GATE_COUNT; i++)
            strbuf_printf(&known, "%s%s", i ? ", " : "", gates[i].name);
        err_set(err, ERR_USAGE, "no gate '%s'; there are: %.*s", name, STR_ARG(strbuf_str(&known)));
        strbuf_free(&known);
        return false;
    }
    return true;
}
