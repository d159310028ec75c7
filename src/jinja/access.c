// access.c — access to parts of a value: attributes, methods by name, items.
#include "jinja/jinja.h"

// ---- methods, by name alone: method.c and string.c run them

static const struct {
    JKind self;
    const char *name;
    JMethodState state;
} methods[] = {
#define METHOD(self, name, run, params) {self, name, METHOD_CALLABLE},
#define METHOD_ANY(self, name, run)     {self, name, METHOD_CALLABLE},
#define BARRED(self, name)              {self, name, METHOD_BARRED},
#include "jinja/methods.def"
#include "jinja/string_methods.def"
#undef METHOD
#undef METHOD_ANY
#undef BARRED
};

JMethodState jinja_has_method(JValue self, Str name) {
    // Only lists, tuples and ranges have any, and only lists can be copied.
    if (self.kind == J_LIST && self.form > FORM_RANGE) return METHOD_NONE;
    if (self.kind == J_LIST && self.form != FORM_LIST && str_is(name, "copy")) return METHOD_NONE;
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (methods[i].self == self.kind && str_is(name, methods[i].name)) return methods[i].state;
    return METHOD_NONE;
}

// ---- attributes and items

static JValue bound_method(Render *r, JValue self, Str name) {
    JMethod *m = arena_new(r->arena, JMethod);
    *m = (JMethod){self, name};
    return (JValue){.kind = J_METHOD, .method = m};
}

static JValue loop_attribute(const JLoop *loop, Str name) {
    int64_t n = (int64_t)loop->items->count, at = (int64_t)loop->at;
    const JValue *items = loop->items->at;
    if (str_is(name, "index")) return J_NUMBER(at + 1);
    if (str_is(name, "index0")) return J_NUMBER(at);
    if (str_is(name, "revindex")) return J_NUMBER(n - at);
    if (str_is(name, "revindex0")) return J_NUMBER(n - at - 1);
    if (str_is(name, "first")) return J_TRUTH(at == 0);
    if (str_is(name, "last")) return J_TRUTH(at + 1 == n);
    if (str_is(name, "length")) return J_NUMBER(n);
    if (str_is(name, "depth")) return J_NUMBER((int64_t)loop->depth + 1);
    if (str_is(name, "depth0")) return J_NUMBER((int64_t)loop->depth);
    if (str_is(name, "previtem") && at > 0) return items[at - 1];
    if (str_is(name, "nextitem") && at + 1 < n) return items[at + 1];
    return jinja_undefined(name);
}

JValue jinja_attribute(Render *r, JValue v, Str name) {
    if (v.kind == J_UNDEFINED) return jinja_refuse_undefined(r, v);
    JMethodState method = jinja_has_method(v, name);
    if (method == METHOD_BARRED) return jinja_undefined(name);
    if (method == METHOD_CALLABLE) return bound_method(r, v, name);
    if (v.kind == J_LOOP) return loop_attribute(v.loop, name);
    if (v.kind == J_LIST && v.list->is_group) {
        if (str_is(name, "grouper")) return v.list->at[0];
        if (str_is(name, "list")) return v.list->at[1];
    }
    if (v.kind == J_DICT || v.kind == J_NAMESPACE) {
        const JValue *found = jinja_get(r, v.dict, J_TEXT(name));
        if (found) return *found;
    }
    return jinja_undefined(name);
}

static JValue element(JValue v, int64_t i) {
    int64_t n = (int64_t)(v.kind == J_LIST ? v.list->count : text_length(v.text));
    if (i < 0) i += n;
    if (i < 0 || i >= n) return jinja_undefined(STR("an item beyond the end of a list"));
    if (v.kind == J_LIST) return v.list->at[i];
    v.text = text_slice(v.text, (size_t)i, (size_t)i + 1);
    return v;
}

JValue jinja_item(Render *r, JValue v, JValue key) {
    if (v.kind == J_UNDEFINED) return jinja_refuse_undefined(r, v);
    bool has_places = v.kind == J_STR || (v.kind == J_LIST && v.form <= FORM_RANGE);
    if (has_places && (key.kind == J_INT || key.kind == J_BOOL)) {
        if (v.kind == J_STR && !jinja_charge_bytes(r, v.text.len)) return v;
        return element(v, key.kind == J_INT ? key.integer : key.truth);
    }
    if (v.kind == J_DICT) {
        const JValue *found = jinja_get(r, v.dict, key);
        if (found) return *found;
    }
    if (key.kind == J_STR) return jinja_attribute(r, v, key.text);
    return jinja_undefined(STR("an item"));
}
