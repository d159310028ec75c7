// scope.c — variables: a name is looked up in its scope, then in the enclosing ones.
#include "jinja/jinja.h"

Scope *jinja_push_scope(Render *r, Scope *parent) {
    Scope *s = arena_new(r->arena, Scope);
    s->parent = parent;
    return s;
}

void jinja_assign(Render *r, Str name, JValue v) {
    jinja_put(r, &r->scope->names, J_TEXT(name), v);
}

JValue jinja_look_up(Render *r, Str name) {
    for (const Scope *s = r->scope; s; s = s->parent) {
        const JValue *v = jinja_get(r, &s->names, J_TEXT(name));
        if (v) return *v;
    }
    if (jinja_has_function(name)) return (JValue){.kind = J_FUNCTION, .text = name};
    return jinja_undefined(name);
}
