// jinja_call.c — methods of strings, dicts and loops, and the global functions, as tables.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text/jinja.h"

typedef JValue Method(Render *r, JValue self, const JArgs *args);

static bool need_text(Render *r, JValue v, Str *out) {
    if (v.kind == J_STR) {
        *out = v.text;
        return true;
    }
    jinja_fail(r, "a string was expected, not %s", jinja_type_name(v));
    return false;
}

// ---- strings

static JValue strip(Render *r, JValue self, const JArgs *args, bool left, bool right) {
    JValue chars = jinja_arg(args, 0, "chars", J_NOTHING);
    Str of;
    if (chars.kind == J_NONE) return J_TEXT(text_strip(self.text, NULL, left, right));
    if (!need_text(r, chars, &of)) return self;
    return J_TEXT(text_strip(self.text, &of, left, right));
}
static JValue str_strip(Render *r, JValue self, const JArgs *args) {
    return strip(r, self, args, true, true);
}
static JValue str_lstrip(Render *r, JValue self, const JArgs *args) {
    return strip(r, self, args, true, false);
}
static JValue str_rstrip(Render *r, JValue self, const JArgs *args) {
    return strip(r, self, args, false, true);
}

static JValue change_case(Render *r, JValue self, TextCase how) {
    StrBuf out = {0};
    text_change_case(self.text, how, &out);
    return jinja_keep(r, &out);
}
static JValue str_upper(Render *r, JValue self, const JArgs *args) {
    (void)args;
    return change_case(r, self, CASE_UPPER);
}
static JValue str_lower(Render *r, JValue self, const JArgs *args) {
    (void)args;
    return change_case(r, self, CASE_LOWER);
}
static JValue str_title(Render *r, JValue self, const JArgs *args) {
    (void)args;
    return change_case(r, self, CASE_TITLE);
}
static JValue str_capitalize(Render *r, JValue self, const JArgs *args) {
    (void)args;
    return change_case(r, self, CASE_CAPITAL);
}

// Whether the string begins (ends) with the argument, or with one of a tuple.
static JValue affix(Render *r, JValue self, const JArgs *args, bool at_end) {
    JValue what = jinja_arg(args, 0, "prefix", J_NOTHING);
    JValue one = jinja_list(r);
    if (what.kind != J_LIST) {
        jinja_push(r, one.list, what);
        what = one;
    }
    for (size_t i = 0; i < what.list->count; i++) {
        Str part;
        if (!need_text(r, what.list->at[i], &part)) return self;
        if (at_end ? str_ends(self.text, part) : str_starts(self.text, part)) return J_TRUTH(true);
    }
    return J_TRUTH(false);
}
static JValue str_startswith(Render *r, JValue self, const JArgs *args) {
    return affix(r, self, args, false);
}
static JValue str_endswith(Render *r, JValue self, const JArgs *args) {
    return affix(r, self, args, true);
}

static JValue str_replace(Render *r, JValue self, const JArgs *args) {
    Str old, new;
    JValue count = jinja_arg(args, 2, "count", J_NUMBER(-1));
    if (!need_text(r, jinja_arg(args, 0, "old", J_NOTHING), &old) ||
        !need_text(r, jinja_arg(args, 1, "new", J_NOTHING), &new))
        return self;
    StrBuf out = {0};
    size_t at = 0;
    for (int64_t left = count.kind == J_INT ? count.integer : -1; left != 0; left--) {
        size_t found = text_find(self.text, old, at);
        if (found == SIZE_MAX || out.len > TEMPLATE_MAX_OUTPUT) break;
        strbuf_add(&out, (Str){self.text.at + at, found - at});
        strbuf_add(&out, new);
        at = found + old.len;
        if (old.len) continue;
        if (at >= self.text.len) break;
        Str one = text_slice((Str){self.text.at + at, self.text.len - at}, 0, 1);
        strbuf_add(&out, one);
        at += one.len;
    }
    if (at < self.text.len) strbuf_add(&out, (Str){self.text.at + at, self.text.len - at});
    return jinja_keep(r, &out);
}

static JValue split_space(Render *r, Str s, int64_t most) {
    JValue list = jinja_list(r);
    for (s = text_strip(s, NULL, true, false); s.len; s = text_strip(s, NULL, true, false)) {
        if (most >= 0 && (int64_t)list.list->count == most) {
            jinja_push(r, list.list, J_TEXT(text_strip(s, NULL, false, true)));
            break;
        }
        size_t n = 0;
        while (n < s.len) {
            Str one = text_slice((Str){s.at + n, s.len - n}, 0, 1);
            if (text_strip(one, NULL, true, false).len == 0) break;
            n += one.len;
        }
        jinja_push(r, list.list, J_TEXT(((Str){s.at, n})));
        s = (Str){s.at + n, s.len - n};
    }
    return list;
}

static JValue str_split(Render *r, JValue self, const JArgs *args) {
    JValue by = jinja_arg(args, 0, "sep", J_NOTHING),
           most = jinja_arg(args, 1, "maxsplit", J_NUMBER(-1));
    int64_t left = most.kind == J_INT ? most.integer : -1;
    Str sep, s = self.text;
    if (by.kind == J_NONE) return split_space(r, s, left);
    if (!need_text(r, by, &sep)) return self;
    if (sep.len == 0) return jinja_fail(r, "split by an empty string");
    JValue list = jinja_list(r);
    for (; left != 0; left--) {
        size_t found = text_find(s, sep, 0);
        if (found == SIZE_MAX) break;
        jinja_push(r, list.list, J_TEXT(((Str){s.at, found})));
        s = (Str){s.at + found + sep.len, s.len - found - sep.len};
    }
    jinja_push(r, list.list, J_TEXT(s));
    return list;
}

static JValue str_rsplit(Render *r, JValue self, const JArgs *args) {
    JValue most = jinja_arg(args, 1, "maxsplit", J_NUMBER(-1));
    JValue all = str_split(r, self, &(JArgs){args->at, args->count ? 1 : 0, NULL, 0});
    if (r->failed || most.kind != J_INT || most.integer < 0) return all;
    size_t keep = (size_t)most.integer;
    if (all.list->count <= keep + 1) return all;
    // The first pieces, with what parted them, are one.
    JValue last = all.list->at[all.list->count - 1 - keep];
    JValue list = jinja_list(r);
    Str head = {self.text.at, (size_t)(last.text.at + last.text.len - self.text.at)};
    jinja_push(r, list.list, J_TEXT(head));
    for (size_t i = all.list->count - keep; i < all.list->count; i++)
        jinja_push(r, list.list, all.list->at[i]);
    return list;
}

static JValue str_splitlines(Render *r, JValue self, const JArgs *args) {
    bool keeps = jinja_truth(jinja_arg(args, 0, "keepends", J_TRUTH(false)));
    JValue list = jinja_list(r);
    Str s = self.text;
    for (size_t start = 0, i = 0; start < s.len; start = i) {
        while (i < s.len && s.at[i] != '\n' && s.at[i] != '\r') i++;
        size_t end = i;
        if (i < s.len) i += s.at[i] == '\r' && i + 1 < s.len && s.at[i + 1] == '\n' ? 2 : 1;
        jinja_push(r, list.list, J_TEXT(((Str){s.at + start, (keeps ? i : end) - start})));
    }
    return list;
}

static JValue str_find(Render *r, JValue self, const JArgs *args) {
    Str part;
    if (!need_text(r, jinja_arg(args, 0, "sub", J_NOTHING), &part)) return self;
    size_t at = text_find(self.text, part, 0);
    return J_NUMBER(at == SIZE_MAX ? -1 : (int64_t)text_length((Str){self.text.at, at}));
}

static JValue str_count(Render *r, JValue self, const JArgs *args) {
    Str part;
    int64_t n = 0;
    if (!need_text(r, jinja_arg(args, 0, "sub", J_NOTHING), &part)) return self;
    if (part.len == 0) return J_NUMBER((int64_t)text_length(self.text) + 1);
    for (size_t at = 0; (at = text_find(self.text, part, at)) != SIZE_MAX; at += part.len) n++;
    return J_NUMBER(n);
}

static JValue str_join(Render *r, JValue self, const JArgs *args) {
    JValue items = jinja_items(r, jinja_arg(args, 0, "iterable", J_NOTHING));
    StrBuf out = {0};
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        Str part;
        if (!need_text(r, items.list->at[i], &part)) break;
        if (i) strbuf_add(&out, self.text);
        strbuf_add(&out, part);
    }
    return jinja_keep(r, &out);
}

// "{}", "{0}" and "{name}" replaced by arguments; format specifications are not supported.
static JValue str_format(Render *r, JValue self, const JArgs *args) {
    StrBuf out = {0};
    size_t next = 0;
    Str s = self.text;
    for (size_t i = 0; i < s.len; i++) {
        bool is_double = i + 1 < s.len && s.at[i + 1] == s.at[i];
        if ((s.at[i] != '{' && s.at[i] != '}') || is_double) {
            strbuf_add_char(&out, s.at[i]);
            i += is_double && (s.at[i] == '{' || s.at[i] == '}');
            continue;
        }
        size_t close = text_find(s, STR("}"), i);
        if (s.at[i] == '}' || close == SIZE_MAX) {
            strbuf_free(&out);
            return jinja_fail(r, "format: a single brace");
        }
        char *name = arena_cstr(r->arena, (Str){s.at + i + 1, close - i - 1}), *end;
        size_t at = *name ? (size_t)strtoul(name, &end, 10) : next++;
        bool is_position = !*name || !*end;
        JValue v = jinja_arg(args, is_position ? at : SIZE_MAX, name, (JValue){0});
        if (v.kind == J_UNDEFINED) {
            strbuf_free(&out);
            return jinja_fail(r, "format: nothing for '{%s}'", name);
        }
        jinja_print(v, &out);
        i = close;
    }
    return jinja_keep(r, &out);
}

static JValue every_char(JValue self, bool digits, bool letters) {
    bool all = self.text.len > 0;
    for (size_t i = 0; i < self.text.len && all; i++) {
        unsigned char c = (unsigned char)self.text.at[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 128;
        all = (digits && c >= '0' && c <= '9') || (letters && is_letter);
    }
    return J_TRUTH(all);
}
static JValue str_isdigit(Render *r, JValue self, const JArgs *args) {
    (void)r, (void)args;
    return every_char(self, true, false);
}
static JValue str_isalpha(Render *r, JValue self, const JArgs *args) {
    (void)r, (void)args;
    return every_char(self, false, true);
}
static JValue str_isspace(Render *r, JValue self, const JArgs *args) {
    (void)r, (void)args;
    return J_TRUTH(self.text.len > 0 && text_strip(self.text, NULL, true, false).len == 0);
}

// ---- dicts

static JValue dict_items(Render *r, JValue self, const JArgs *args) {
    (void)args;
    JValue list = jinja_list(r);
    for (size_t i = 0; i < self.dict->count; i++) {
        JValue both = jinja_list(r);
        both.is_tuple = true;
        jinja_push(r, both.list, self.dict->at[i].key);
        jinja_push(r, both.list, self.dict->at[i].value);
        jinja_push(r, list.list, both);
    }
    return list;
}
static JValue dict_keys(Render *r, JValue self, const JArgs *args) {
    (void)args;
    return jinja_items(r, self);
}
static JValue dict_values(Render *r, JValue self, const JArgs *args) {
    (void)args;
    JValue list = jinja_list(r);
    for (size_t i = 0; i < self.dict->count; i++) jinja_push(r, list.list, self.dict->at[i].value);
    return list;
}
static JValue dict_get(Render *r, JValue self, const JArgs *args) {
    (void)r;
    const JValue *found = jinja_get(self.dict, jinja_arg(args, 0, "key", J_NOTHING));
    return found ? *found : jinja_arg(args, 1, "default", J_NOTHING);
}

// ---- loop

static JValue loop_cycle(Render *r, JValue self, const JArgs *args) {
    const JValue *index = jinja_get(self.dict, J_TEXT(STR("index0")));
    if (!index || args->count == 0) return jinja_fail(r, "cycle of nothing");
    return args->at[(size_t)index->integer % args->count];
}

typedef struct {
    JKind self;
    const char *name;
    Method *run;
} MethodRow;

static const MethodRow methods[] = {
    {J_STR, "strip", str_strip},           {J_STR, "lstrip", str_lstrip},
    {J_STR, "rstrip", str_rstrip},         {J_STR, "upper", str_upper},
    {J_STR, "lower", str_lower},           {J_STR, "title", str_title},
    {J_STR, "capitalize", str_capitalize}, {J_STR, "startswith", str_startswith},
    {J_STR, "endswith", str_endswith},     {J_STR, "replace", str_replace},
    {J_STR, "split", str_split},           {J_STR, "rsplit", str_rsplit},
    {J_STR, "splitlines", str_splitlines}, {J_STR, "find", str_find},
    {J_STR, "count", str_count},           {J_STR, "join", str_join},
    {J_STR, "isdigit", str_isdigit},       {J_STR, "isalpha", str_isalpha},
    {J_STR, "isspace", str_isspace},       {J_STR, "format", str_format},
    {J_DICT, "items", dict_items},         {J_DICT, "keys", dict_keys},
    {J_DICT, "values", dict_values},       {J_DICT, "get", dict_get},
    {J_NAMESPACE, "cycle", loop_cycle},
};

static const MethodRow *find_method(JValue self, Str name) {
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (methods[i].self == self.kind && str_is(name, methods[i].name)) return &methods[i];
    return NULL;
}

bool jinja_has_method(JValue self, Str name) {
    return find_method(self, name) != NULL;
}

JValue jinja_call_method(Render *r, JValue self, Str name, const JArgs *args) {
    return find_method(self, name)->run(r, self, args);
}

// ---- global functions

static JValue call_range(Render *r, const JArgs *args) {
    int64_t from = 0, to, by = 1;
    for (size_t i = 0; i < args->count; i++)
        if (args->at[i].kind != J_INT)
            return jinja_fail(r, "range of a %s", jinja_type_name(args->at[i]));
    if (args->count < 1 || args->count > 3) return jinja_fail(r, "range takes 1 to 3 numbers");
    to = args->at[0].integer;
    if (args->count > 1) from = to, to = args->at[1].integer;
    if (args->count > 2) by = args->at[2].integer;
    if (by == 0) return jinja_fail(r, "range by 0");
    enum { MAX_RANGE = 100000 }; // as Jinja's sandbox has it
    JValue list = jinja_list(r);
    for (int64_t i = from; by > 0 ? i < to : i > to;) {
        if (list.list->count == MAX_RANGE)
            return jinja_fail(r, "a range of more than %d", MAX_RANGE);
        jinja_push(r, list.list, J_NUMBER(i));
        if (__builtin_add_overflow(i, by, &i)) break;
    }
    return list;
}

static JValue call_namespace(Render *r, const JArgs *args) {
    JValue space = jinja_dict(r);
    space.kind = J_NAMESPACE;
    for (size_t i = 0; i < args->count - args->n_keywords; i++)
        if (args->at[i].kind == J_DICT)
            for (size_t k = 0; k < args->at[i].dict->count; k++)
                jinja_put(r, space.dict, args->at[i].dict->at[k].key,
                          args->at[i].dict->at[k].value);
    for (size_t k = 0; k < args->n_keywords; k++)
        jinja_put(r, space.dict, J_TEXT(args->keywords[k]),
                  args->at[args->count - args->n_keywords + k]);
    return space;
}

static JValue call_dict(Render *r, const JArgs *args) {
    JValue dict = call_namespace(r, args);
    dict.kind = J_DICT;
    return dict;
}

static JValue call_raise(Render *r, const JArgs *args) {
    JValue why = jinja_to_text(r, jinja_arg(args, 0, "message", J_TEXT(STR("no reason given"))));
    return jinja_fail(r, "the template refuses: %.*s", STR_ARG(why.text));
}

static JValue call_strftime(Render *r, const JArgs *args) {
    Str format;
    if (!need_text(r, jinja_arg(args, 0, "format", J_NOTHING), &format)) return J_NOTHING;
    time_t now = (time_t)r->now;
    struct tm parts;
    char text[512];
    if (!gmtime_r(&now, &parts)) return jinja_fail(r, "the time cannot be told");
    size_t n = strftime(text, sizeof text, arena_cstr(r->arena, format), &parts);
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

bool jinja_has_function(Str name) {
    for (size_t i = 0; i < COUNT_OF(functions); i++)
        if (str_is(name, functions[i].name)) return true;
    return false;
}

JValue jinja_call_function(Render *r, Str name, const JArgs *args) {
    for (size_t i = 0; i < COUNT_OF(functions); i++)
        if (str_is(name, functions[i].name)) return functions[i].run(r, args);
    return jinja_fail(r, "'%.*s' is no function", STR_ARG(name));
}
