// bind.c — assigns the arguments of a call to its parameters.
#include <assert.h>
#include <string.h>

#include "jinja/jinja.h"

typedef struct {
    Str name;
    bool is_optional;
} Param;

// "/old new count?" -> three, none of which may be named.
static size_t read_params(const char *text, Param *out, bool *may_be_named) {
    size_t n = 0;
    *may_be_named = *text != '/';
    if (*text == '/') text++;
    while (*text) {
        size_t len = strcspn(text, " ");
        Param p = {{text, len}, text[len - 1] == '?'};
        if (p.is_optional) p.name.len--;
        assert(n < JINJA_MAX_PARAMS);
        out[n++] = p;
        text += len;
        if (*text == ' ') text++;
    }
    return n;
}

bool jinja_bind(Render *r, Str callee, const char *params, const JArgs *args, JValue *in) {
    Param list[JINJA_MAX_PARAMS];
    bool may_be_named;
    size_t n = read_params(params, list, &may_be_named), n_plain = args->count - args->n_keywords;
    for (size_t i = 0; i < n; i++) in[i] = (JValue){.kind = J_MISSING};
    if (n_plain > n)
        jinja_fail(r, "%.*s takes at most %zu arguments, found %zu", STR_ARG(callee), n, n_plain);
    for (size_t i = 0; i < n_plain && !r->failed; i++) in[i] = args->at[i];
    for (size_t k = 0; k < args->n_keywords && !r->failed; k++) {
        size_t i = 0;
        while (i < n && !(may_be_named && str_eq(list[i].name, args->keywords[k]))) i++;
        if (i == n)
            jinja_fail(r, "%.*s takes no argument '%.*s'", STR_ARG(callee),
                       STR_ARG(args->keywords[k]));
        else if (in[i].kind != J_MISSING)
            jinja_fail(r, "%.*s: '%.*s' is given twice", STR_ARG(callee), STR_ARG(list[i].name));
        else
            in[i] = args->at[n_plain + k];
    }
    for (size_t i = 0; i < n && !r->failed; i++)
        if (in[i].kind == J_MISSING && !list[i].is_optional)
            jinja_fail(r, "%.*s: argument '%.*s' is missing", STR_ARG(callee),
                       STR_ARG(list[i].name));
    return !r->failed;
}

bool jinja_need_text(Render *r, JValue v, Str *out) {
    *out = STR("");
    if (v.kind == J_STR) *out = v.text;
    if (v.kind == J_UNDEFINED) jinja_refuse_undefined(r, v);
    if (v.kind != J_STR) jinja_fail(r, "expected a string, found %s", jinja_type_name(v));
    return v.kind == J_STR;
}

bool jinja_need_number(Render *r, JValue v, int64_t *out) {
    *out = 0;
    if (v.kind == J_INT) *out = v.integer;
    if (v.kind == J_BOOL) *out = v.truth;
    if (v.kind == J_UNDEFINED) jinja_refuse_undefined(r, v);
    if (v.kind == J_BIG_INT)
        jinja_fail(r, "%.*s does not fit into 64 bits", STR_ARG(v.text));
    else if (v.kind != J_INT && v.kind != J_BOOL)
        jinja_fail(r, "expected an integer, found %s", jinja_type_name(v));
    return !r->failed;
}
