// template.c — the interface of this folder: compiles a template, renders it with variables.
#include <stdlib.h>

#include "base/utf8.h"
#include "jinja/jinja.h"

Template *template_compile(Str source, Err *err) {
    if (!utf8_is_valid(source)) {
        err_set(err, ERR_FORMAT, "the template is not UTF-8 text");
        return NULL;
    }
    Template *t = calloc(1, sizeof *t);
    if (!t) die_out_of_memory(sizeof *t);
    t->body = jinja_parse(&t->arena, source, err);
    if (t->body) return t;
    template_close(t);
    return NULL;
}

void template_close(Template *t) {
    if (!t) return;
    arena_free(&t->arena);
    free(t);
}

bool template_render_within(const Template *t, const json_t *variables, int64_t now,
                            const TemplateLimits *limits, StrBuf *out, Err *err) {
    Arena arena = {0};
    Scope globals = {0};
    Render r = {
        .arena = &arena, .err = err, .now = now, .limits = *limits, .scope = &globals, .out = out};
    jinja_set_variables(&r, variables);
    jinja_run(&r, t->body);
    arena_free(&arena);
    return !r.failed;
}

bool template_render(const Template *t, const json_t *variables, int64_t now, StrBuf *out,
                     Err *err) {
    TemplateLimits limits = {.steps = TEMPLATE_MAX_STEPS, .memory = TEMPLATE_MAX_MEMORY};
    return template_render_within(t, variables, now, &limits, out, err);
}
