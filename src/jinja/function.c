// function.c — the global functions, as a table.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "jinja/jinja.h"

static JValue call_range(Render *r, const JArgs *args) {
    int64_t n[3] = {0, 0, 1}; // from, to, by
    if (args->count < 1 || args->count > 3 || args->n_keywords)
        return jinja_fail(r, "range takes 1 to 3 numbers");
    for (size_t i = 0; i < args->count; i++)
        if (!jinja_need_number(r, args->at[i], &n[args->count == 1 ? 1 : i])) return args->at[i];
    if (n[2] == 0) return jinja_fail(r, "range step cannot be zero");
    enum { MAX_RANGE = 100000 }; // as Jinja's sandbox has it
    JValue list = jinja_sequence(r, FORM_RANGE);
    for (int64_t i = n[0]; n[2] > 0 ? i < n[1] : i > n[1];) {
        if (list.list->count == MAX_RANGE)
            return jinja_fail(r, "range has more than %d items, the limit", MAX_RANGE);
        jinja_push(r, list.list, J_NUMBER(i));
        if (__builtin_add_overflow(i, n[2], &i)) break;
    }
    char text[80];
    int len = snprintf(text, sizeof text, "range(%lld, %lld", (long long)n[0], (long long)n[1]);
    if (n[2] != 1)
        len += snprintf(text + len, sizeof text - (size_t)len, ", %lld", (long long)n[2]);
    list.list->spelling = arena_printf(r->arena, "%s)", text);
    return jinja_charge(r, list.list->count) ? list : J_NOTHING;
}

// A dict, or pairs; then what was named.
static JValue call_dict(Render *r, const JArgs *args) {
    JValue dict = jinja_dict(r);
    size_t n_plain = args->count - args->n_keywords;
    if (n_plain > 1) return jinja_fail(r, "dict and namespace take one dict and keyword arguments");
    if (n_plain && args->at[0].kind == J_UNDEFINED) return jinja_refuse_undefined(r, args->at[0]);
    if (n_plain && args->at[0].kind == J_DICT) {
        const JDict *from = args->at[0].dict;
        for (size_t i = 0; i < from->count; i++)
            jinja_put(r, dict.dict, from->at[i].key, from->at[i].value);
    } else if (n_plain) {
        JValue pairs = jinja_items(r, args->at[0]);
        for (size_t i = 0; !r->failed && i < pairs.list->count; i++) {
            JValue both = jinja_items(r, pairs.list->at[i]);
            if (r->failed || both.list->count != 2) return jinja_fail(r, "dict: expected pairs");
            jinja_put(r, dict.dict, both.list->at[0], both.list->at[1]);
        }
    }
    for (size_t k = 0; k < args->n_keywords; k++)
        jinja_put(r, dict.dict, J_TEXT(args->keywords[k]), args->at[n_plain + k]);
    return dict;
}

static JValue call_namespace(Render *r, const JArgs *args) {
    JValue space = call_dict(r, args);
    for (size_t i = 0; !r->failed && i < space.dict->count; i++) {
        JValue key = space.dict->at[i].key;
        if (key.kind == J_STR && str_starts(key.text, STR("_")))
            return jinja_fail(r, "namespace attribute '%.*s' must not begin with '_'",
                              STR_ARG(key.text));
    }
    space.kind = J_NAMESPACE;
    return space;
}

static JValue call_raise(Render *r, const JArgs *args) {
    JValue in[1];
    if (!jinja_bind(r, STR("raise_exception"), "message", args, in)) return J_NOTHING;
    JValue why = jinja_to_text(r, in[0]);
    return jinja_fail(r, "the template refuses: %.*s", STR_ARG(why.text));
}

// Python's datetime.now().strftime(format): local time, as TZ or the system has it; a naive time
// has no zone, and microseconds.
static JValue call_strftime(Render *r, const JArgs *args) {
    JValue in[1];
    Str format;
    time_t now = (time_t)r->now;
    struct tm parts;
    char text[512];
    if (!jinja_bind(r, STR("strftime_now"), "format", args, in) ||
        !jinja_need_text(r, in[0], &format))
        return J_NOTHING;
    tzset(); // localtime_r need not
    if (!localtime_r(&now, &parts))
        return jinja_fail(r, "strftime_now: the system gives no local time for now");
    StrBuf plain = {0};
    for (size_t i = 0; i < format.len; i++) {
        bool is_mark = format.at[i] == '%' && i + 1 < format.len;
        char c = is_mark ? format.at[i + 1] : 0;
        if (c == 'f') strbuf_add(&plain, STR("000000"));
        if (is_mark && c != 'f' && c != 'z' && c != 'Z')
            strbuf_add(&plain, (Str){format.at + i, 2});
        if (!is_mark) strbuf_add_char(&plain, format.at[i]);
        i += is_mark;
    }
    size_t n = plain.len ? strftime(text, sizeof text, plain.at, &parts) : 0;
    strbuf_free(&plain);
    return J_TEXT(arena_str(r->arena, (Str){text, n}));
}

typedef struct {
    const char *name;
    JValue (*run)(Render *r, const JArgs *args);
} FunctionRow;

static const FunctionRow functions[] = {
    {"range", call_range},           {"namespace", call_namespace},   {"dict", call_dict},
    {"raise_exception", call_raise}, {"strftime_now", call_strftime},
};

static const FunctionRow *find_function(Str name) {
    for (size_t i = 0; i < COUNT_OF(functions); i++)
        if (str_is(name, functions[i].name)) return &functions[i];
    return NULL;
}

bool jinja_has_function(Str name) {
    return find_function(name) != NULL;
}

JValue jinja_call_function(Render *r, Str name, const JArgs *args) {
    return find_function(name)->run(r, args);
}
