// method.c — calls methods; the methods of lists, dicts and loops.
#include <assert.h>

#include "jinja/jinja.h"

// ---- lists and dicts

static JValue list_index(Render *r, JValue self, const JValue *in) {
    for (size_t i = 0; i < self.list->count && jinja_charge(r, 1); i++)
        if (jinja_equal(r, self.list->at[i], in[0])) return J_NUMBER((int64_t)i);
    return jinja_fail(r, "index: the value is not in the list");
}
static JValue list_count(Render *r, JValue self, const JValue *in) {
    int64_t n = 0;
    for (size_t i = 0; i < self.list->count && jinja_charge(r, 1); i++)
        n += jinja_equal(r, self.list->at[i], in[0]);
    return J_NUMBER(n);
}
static JValue list_copy(Render *r, JValue self, const JValue *in) {
    (void)in;
    return jinja_share(r, self, 0, self.list->count, self.form);
}

static JValue view(Render *r, Str spelling) {
    JValue list = jinja_sequence(r, FORM_VIEW);
    list.list->spelling = spelling;
    return list;
}
static JValue dict_items(Render *r, JValue self, const JValue *in) {
    (void)in;
    JValue list = view(r, STR("dict_items"));
    for (size_t i = 0; i < self.dict->count && jinja_charge(r, 1); i++)
        jinja_push(r, list.list, jinja_pair(r, self.dict->at[i].key, self.dict->at[i].value));
    return list;
}
static JValue dict_keys(Render *r, JValue self, const JValue *in) {
    (void)in;
    JValue list = view(r, STR("dict_keys"));
    for (size_t i = 0; i < self.dict->count; i++) jinja_push(r, list.list, self.dict->at[i].key);
    return list;
}
static JValue dict_values(Render *r, JValue self, const JValue *in) {
    (void)in;
    JValue list = view(r, STR("dict_values"));
    for (size_t i = 0; i < self.dict->count; i++) jinja_push(r, list.list, self.dict->at[i].value);
    return list;
}
static JValue dict_get(Render *r, JValue self, const JValue *in) {
    const JValue *found = jinja_need_hashable(r, in[0]) ? jinja_get(r, self.dict, in[0]) : NULL;
    return found ? *found : jinja_or(in[1], J_NOTHING);
}
static JValue dict_copy(Render *r, JValue self, const JValue *in) {
    (void)in;
    JValue copy = jinja_dict(r);
    for (size_t i = 0; i < self.dict->count; i++)
        jinja_put(r, copy.dict, self.dict->at[i].key, self.dict->at[i].value);
    return copy;
}

// ---- loops

static JValue loop_cycle(Render *r, JValue self, const JArgs *args) {
    if (args->count == 0) return jinja_fail(r, "cycle: expected at least one value");
    return args->at[self.loop->at % args->count];
}

static JValue loop_changed(Render *r, JValue self, const JArgs *args) {
    JLoop *loop = self.loop;
    bool is_same = loop->changed && loop->n_changed == args->count;
    for (size_t i = 0; i < args->count && is_same; i++)
        is_same = jinja_equal(r, loop->changed[i], args->at[i]);
    loop->changed = arena_array(r->arena, args->count + 1, JValue);
    loop->n_changed = args->count;
    for (size_t i = 0; i < args->count; i++) loop->changed[i] = args->at[i];
    return J_TRUTH(!is_same);
}

// ---- the table

static const JMethodRow other_methods[] = {
#define METHOD(self, name, run, params) {self, name, run, params, NULL},
#define METHOD_ANY(self, name, run)     {self, name, NULL, NULL, run},
#define BARRED(self, name)
#include "jinja/methods.def"
#undef METHOD
#undef METHOD_ANY
#undef BARRED
    {0},
};

static const JMethodRow *find_method(JValue self, Str name) {
    const JMethodRow *row = self.kind == J_STR ? jinja_string_methods : other_methods;
    while (row->name && !(row->self == self.kind && str_is(name, row->name))) row++;
    assert(row->name); // a method that jinja_has_method() calls callable
    return row;
}

// What comes of safe text is safe.
static JValue as_safe(JValue v) {
    if (v.kind == J_STR) v.is_safe = true;
    for (size_t i = 0; v.kind == J_LIST && i < v.list->count; i++)
        if (v.list->at[i].kind == J_STR) v.list->at[i].is_safe = true;
    return v;
}

JValue jinja_call_method(Render *r, JValue self, Str name, const JArgs *args) {
    const JMethodRow *row = find_method(self, name);
    JValue in[JINJA_MAX_PARAMS], v = J_NOTHING;
    if (row->run_any)
        v = row->run_any(r, self, args);
    else if (jinja_bind(r, name, row->params, args, in))
        v = row->run(r, self, in);
    return self.kind == J_STR && self.is_safe && !r->failed ? as_safe(v) : v;
}
