// test.c — tests (what follows "is") as a table.
#include "jinja/jinja.h"

typedef enum {
    IS_DEFINED,
    IS_UNDEFINED,
    IS_NONE,
    IS_STRING,
    IS_MAPPING,
    IS_ITERABLE,
    IS_SEQUENCE,
    IS_NUMBER,
    IS_INTEGER,
    IS_FLOAT,
    IS_BOOLEAN,
    IS_TRUE,
    IS_FALSE,
    IS_CALLABLE,
    IS_EQ,
    IS_NE,
    IS_LT,
    IS_LE,
    IS_GT,
    IS_GE,
    IS_IN,
    IS_ODD,
    IS_EVEN,
    IS_DIVISIBLE,
    IS_LOWER,
    IS_UPPER,
    IS_ESCAPED,
    IS_SAME,
    IS_FILTER,
    IS_TEST,
} TestId;

typedef struct {
    const char *name;
    TestId id;
    size_t n_args;
} TestRow;

static const TestRow tests[] = {
    {"defined", IS_DEFINED, 0},
    {"undefined", IS_UNDEFINED, 0},
    {"none", IS_NONE, 0},
    {"string", IS_STRING, 0},
    {"mapping", IS_MAPPING, 0},
    {"iterable", IS_ITERABLE, 0},
    {"sequence", IS_SEQUENCE, 0},
    {"number", IS_NUMBER, 0},
    {"integer", IS_INTEGER, 0},
    {"float", IS_FLOAT, 0},
    {"boolean", IS_BOOLEAN, 0},
    {"true", IS_TRUE, 0},
    {"false", IS_FALSE, 0},
    {"callable", IS_CALLABLE, 0},
    {"equalto", IS_EQ, 1},
    {"eq", IS_EQ, 1},
    {"==", IS_EQ, 1},
    {"ne", IS_NE, 1},
    {"!=", IS_NE, 1},
    {"lt", IS_LT, 1},
    {"lessthan", IS_LT, 1},
    {"<", IS_LT, 1},
    {"le", IS_LE, 1},
    {"<=", IS_LE, 1},
    {"gt", IS_GT, 1},
    {"greaterthan", IS_GT, 1},
    {">", IS_GT, 1},
    {"ge", IS_GE, 1},
    {">=", IS_GE, 1},
    {"in", IS_IN, 1},
    {"odd", IS_ODD, 0},
    {"even", IS_EVEN, 0},
    {"divisibleby", IS_DIVISIBLE, 1},
    {"lower", IS_LOWER, 0},
    {"upper", IS_UPPER, 0},
    {"escaped", IS_ESCAPED, 0},
    {"sameas", IS_SAME, 1},
    {"filter", IS_FILTER, 0},
    {"test", IS_TEST, 0},
};

// Whether `v` modulo `by` is `wanted`.
static bool leaves(Render *r, JValue v, JValue by, int64_t wanted) {
    JValue rest = jinja_binary(r, OP_MOD, v, by);
    return !r->failed && jinja_equal(r, rest, J_NUMBER(wanted));
}

static bool is_cased(Render *r, JValue v, const char *method) {
    JValue text = jinja_to_text(r, v);
    return !r->failed && jinja_truth(jinja_call_method(r, text, str_of(method), &(JArgs){0}));
}

// Python's "is", for what a template can tell: singletons, and one and the same container.
static bool is_same(JValue a, JValue b) {
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case J_NONE: return true;
    case J_BOOL: return a.truth == b.truth;
    case J_INT: return a.integer == b.integer;
    case J_BIG_INT:
    case J_STR: return str_eq(a.text, b.text);
    case J_LIST: return a.list == b.list;
    case J_DICT:
    case J_NAMESPACE: return a.dict == b.dict;
    case J_LOOP: return a.loop == b.loop;
    case J_MACRO: return a.macro == b.macro;
    default: return false;
    }
}

static bool holds(Render *r, JValue v, TestId id, JValue arg) {
    switch (id) {
    case IS_DEFINED: return v.kind != J_UNDEFINED;
    case IS_UNDEFINED: return v.kind == J_UNDEFINED;
    case IS_NONE: return v.kind == J_NONE;
    case IS_STRING: return v.kind == J_STR;
    case IS_MAPPING: return v.kind == J_DICT;
    case IS_ITERABLE:
        return v.kind == J_LIST || v.kind == J_DICT || v.kind == J_STR || v.kind == J_LOOP ||
               v.kind == J_UNDEFINED;
    case IS_SEQUENCE:
        return (v.kind == J_LIST && v.form <= FORM_RANGE) || v.kind == J_DICT || v.kind == J_STR ||
               v.kind == J_UNDEFINED;
    case IS_NUMBER: return jinja_is_number(v);
    case IS_INTEGER: return v.kind == J_INT || v.kind == J_BIG_INT;
    case IS_FLOAT: return v.kind == J_FLOAT;
    case IS_BOOLEAN: return v.kind == J_BOOL;
    case IS_TRUE: return v.kind == J_BOOL && v.truth;
    case IS_FALSE: return v.kind == J_BOOL && !v.truth;
    case IS_CALLABLE:
        return v.kind == J_MACRO || v.kind == J_METHOD || v.kind == J_FUNCTION ||
               v.kind == J_LOOP || v.kind == J_UNDEFINED;
    case IS_EQ: return jinja_truth(jinja_compare(r, OP_EQ, v, arg));
    case IS_NE: return jinja_truth(jinja_compare(r, OP_NE, v, arg));
    case IS_LT: return jinja_truth(jinja_compare(r, OP_LT, v, arg));
    case IS_LE: return jinja_truth(jinja_compare(r, OP_LE, v, arg));
    case IS_GT: return jinja_truth(jinja_compare(r, OP_GT, v, arg));
    case IS_GE: return jinja_truth(jinja_compare(r, OP_GE, v, arg));
    case IS_IN: return jinja_contains(r, arg, v);
    case IS_ODD: return leaves(r, v, J_NUMBER(2), 1);
    case IS_EVEN: return leaves(r, v, J_NUMBER(2), 0);
    case IS_DIVISIBLE: return leaves(r, v, arg, 0);
    case IS_LOWER: return is_cased(r, v, "islower");
    case IS_UPPER: return is_cased(r, v, "isupper");
    case IS_ESCAPED: return v.kind == J_STR && v.is_safe;
    case IS_SAME: return is_same(v, arg);
    case IS_FILTER: return v.kind == J_STR && jinja_has_filter(v.text);
    case IS_TEST: return v.kind == J_STR && jinja_has_test(v.text);
    }
    return false;
}

static const TestRow *find_test(Str name) {
    for (size_t i = 0; i < COUNT_OF(tests); i++)
        if (str_is(name, tests[i].name)) return &tests[i];
    return NULL;
}

bool jinja_has_test(Str name) {
    return find_test(name) != NULL;
}

JValue jinja_test(Render *r, JValue v, Str name, const JArgs *args) {
    const TestRow *row = find_test(name);
    if (!row) return jinja_fail(r, "unknown test '%.*s'", STR_ARG(name));
    if (args->count != row->n_args)
        return jinja_fail(r, "test '%.*s' takes %zu arguments", STR_ARG(name), row->n_args);
    return J_TRUTH(holds(r, v, row->id, args->count ? args->at[0] : J_NOTHING));
}
