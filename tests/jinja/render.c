#include "jinja/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

bool render(Str source, const char *variables, StrBuf *out, Err *err) {
    json_t *json = template_read_json(str_of(variables), err);
    if (!json) fail_msg("variables: %s", err->text);
    Template *t = template_compile(source, err);
    bool ok = t && template_render(t, json, RENDER_NOW, out, err);
    template_close(t);
    json_decref(json);
    return ok;
}

void renders(const RenderRow *rows, size_t n, const char *variables) {
    for (size_t i = 0; i < n; i++) {
        StrBuf out = {0};
        Err err = {0};
        if (!render(str_of(rows[i].source), variables, &out, &err))
            fail_msg("%s\n%s", rows[i].source, err.text);
        if (!str_is(strbuf_str(&out), rows[i].text))
            fail_msg("%s\ngives    %.*s\nexpected %s", rows[i].source, STR_ARG(strbuf_str(&out)),
                     rows[i].text);
        strbuf_free(&out);
    }
}

void refuses(const RefusalRow *rows, size_t n, const char *variables) {
    for (size_t i = 0; i < n; i++) {
        StrBuf out = {0};
        Err err = {0};
        char line[40];
        if (render(str_of(rows[i].source), variables, &out, &err))
            fail_msg("%s\nis rendered as %.*s", rows[i].source, STR_ARG(strbuf_str(&out)));
        snprintf(line, sizeof line, "template line %d: ", rows[i].line);
        assert_int_equal(err.kind, ERR_FORMAT);
        if (!str_starts(str_of(err.text), str_of(line)) || !strstr(err.text, rows[i].says))
            fail_msg("%s\nsays '%s'\nexpected '%s…%s'", rows[i].source, err.text, line,
                     rows[i].says);
        strbuf_free(&out);
    }
}
