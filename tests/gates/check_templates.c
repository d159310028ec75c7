// check_templates.c — for the oracles: judges many templates in one process.
//
//     stdin, one JSON object a line:   {"template": "…" or null, "marks": ["…"], "bos": "…", "eos":
//                                       "…", "now": seconds, "waivers": ["published", …]}
//     stdout, one JSON object a line:  {"findings": [[passed, scope, text]…]} or {"error": "…"}
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "gates/template_check.h"

static Str member(const json_t *job, const char *name) {
    const json_t *value = json_object_get(job, name);
    return (Str){json_string_value(value), json_string_length(value)};
}

static bool has_waiver(const json_t *job, const char *name) {
    const json_t *list = json_object_get(job, "waivers");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), name) == 0) return true;
    return false;
}

static json_t *judge_template(const json_t *job, Arena *arena) {
    const json_t *marks = json_object_get(job, "marks");
    TemplateSubject subject = {.source = member(job, "template"),
                               .n_marks = json_array_size(marks),
                               .bos = member(job, "bos"),
                               .eos = member(job, "eos"),
                               .adds_bos = json_is_true(json_object_get(job, "adds_bos"))};
    Str *texts = arena_array(arena, subject.n_marks + 1, Str);
    for (size_t i = 0; i < subject.n_marks; i++)
        texts[i] = str_of(json_string_value(json_array_get(marks, i)));
    subject.marks = texts;
    TemplateWaivers waivers = {.is_published = has_waiver(job, "published"),
                               .accepts_template = has_waiver(job, "accepted"),
                               .goes_without_template = has_waiver(job, "none")};
    TemplateFindings findings;
    Err err = {0};
    if (!check_template(&subject, &waivers, json_integer_value(json_object_get(job, "now")),
                        &findings, arena, &err))
        return json_pack("{s:o}", "error", json_of_str(str_of(err.text)));
    json_t *list = json_array();
    for (size_t i = 0; i < findings.count; i++)
        json_array_append_new(list,
                              json_pack("[b, s, o]", findings.at[i].has_passed,
                                        findings.at[i].scope, json_of_str(findings.at[i].text)));
    return json_pack("{s:o}", "findings", list);
}

int main(void) {
    json_error_t why;
    for (json_t *job; (job = json_loadf(stdin, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &why));) {
        Arena arena = {0};
        json_t *result = judge_template(job, &arena);
        json_dumpf(result, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(result);
        json_decref(job);
        arena_free(&arena);
    }
    return 0;
}
