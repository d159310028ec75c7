// render_many.c — for the oracles: renders many templates in one process.
//
//     stdin, one JSON object a line:   {"template": "…", "variables": {…}, "now": seconds}
//     stdout, one JSON object a line:  {"text": "…"} or {"error": "…"}
#include <stdio.h>
#include <stdlib.h>

#include "jinja/template.h"

static json_t *render(const json_t *job) {
    const json_t *source = json_object_get(job, "template");
    Str text = {json_string_value(source), json_string_length(source)};
    int64_t now = json_integer_value(json_object_get(job, "now"));
    Err err = {0};
    StrBuf out = {0};
    Template *t = template_compile(text, &err);
    bool ok = t && template_render(t, json_object_get(job, "variables"), now, &out, &err);
    Str rendered = strbuf_str(&out);
    json_t *result = ok ? json_pack("{s:s%}", "text", rendered.at, rendered.len)
                        : json_pack("{s:s}", "error", err.text);
    if (!result)
        result = json_pack("{s:s}", "error", "not UTF-8"); // a message cut in mid-character
    strbuf_free(&out);
    template_close(t);
    return result;
}

int main(void) {
    char *line = NULL;
    size_t room = 0;
    for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
        Err err = {0};
        json_t *job = template_read_json((Str){line, (size_t)n}, &err);
        json_t *result = job ? render(job) : json_pack("{s:s}", "error", err.text);
        json_dumpf(result, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(result);
        json_decref(job);
    }
    free(line);
    return 0;
}
