// The table of passes.
#include "engine/pass.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*run)(Engine *e);
} passes[] = {
    {"attend_written", pass_attend_written},
    {"blend_rows", pass_blend_rows},
    {"sum_written", pass_sum_written},
};

typedef struct {
    bool is_on[COUNT_OF(passes)];
} Choice;

static bool unknown_pass(Str name, Err *err) {
    StrBuf known = {0};
    for (size_t i = 0; i < COUNT_OF(passes); i++) strbuf_printf(&known, ", %s", passes[i].name);
    err_set(err, ERR_USAGE, "LATHE_PASSES: unknown pass '%.*s', expected none%s", STR_ARG(name),
            known.at);
    strbuf_free(&known);
    return false;
}

// The passes that LATHE_PASSES leaves on; read here and nowhere else.
static bool choose_passes(Choice *choice, Err *err) {
    const char *list = getenv("LATHE_PASSES");
    bool is_given = list && *list;
    for (size_t i = 0; i < COUNT_OF(passes); i++) choice->is_on[i] = !is_given;
    if (!is_given || strcmp(list, "none") == 0) return true;
    for (;; list++) {
        Str name = {list, strcspn(list, ",")};
        bool is_known = false;
        for (size_t i = 0; i < COUNT_OF(passes); i++)
            if (str_is(name, passes[i].name)) choice->is_on[i] = is_known = true;
        if (!is_known) return unknown_pass(name, err);
        list += name.len;
        if (!*list) return true;
    }
}

bool passes_run(Engine *e, Err *err) {
    Choice choice;
    if (!choose_passes(&choice, err)) return false;
    for (size_t i = 0; i < COUNT_OF(passes); i++)
        if (choice.is_on[i] && e->rules->allows_spans) passes[i].run(e);
    return true;
}
