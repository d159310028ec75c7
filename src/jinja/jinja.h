// jinja.h — syntax tree and values of the template interpreter. Internal to jinja/.
#ifndef LATHE_JINJA_JINJA_H
#define LATHE_JINJA_JINJA_H

#include "base/arena.h"
#include "base/size.h"
#include "jinja/template.h"

// ---- values

typedef enum {
    J_UNDEFINED,
    J_NONE,
    J_BOOL,
    J_INT,
    J_BIG_INT, // a whole number beyond 64 bits
    J_FLOAT,
    J_STR,
    J_LIST,
    J_DICT,
    J_NAMESPACE,
    J_LOOP,
    J_MACRO,
    J_METHOD,   // a value's method, not called yet
    J_FUNCTION, // a global one
    J_MISSING,  // an argument that was not given; templates never see it
} JKind;

// What a J_LIST is in Python. Only lists and tuples can be written as JSON; only these and ranges
// have items by index; a generator gives its items only once.
typedef enum { FORM_LIST, FORM_TUPLE, FORM_RANGE, FORM_VIEW, FORM_GENERATOR } JForm;

typedef struct JValue JValue;
typedef struct JList JList;
typedef struct JDict JDict;
typedef struct JLoop JLoop;
typedef struct JMacro JMacro;
typedef struct JMethod JMethod;

struct JValue {
    JKind kind;
    JForm form;   // of a list
    bool is_safe; // of a string: marked by |safe, so that + escapes what is joined to it
    union {
        bool truth;
        int64_t integer;
        double number;
        // For an undefined value and a function its name; for a J_BIG_INT its digits, with a
        // leading '-' if negative and a NUL at the end.
        Str text;
        JList *list;
        JDict *dict;
        JLoop *loop;
        JMacro *macro;
        JMethod *method;
    };
};

struct JList {
    JValue *at;
    size_t count, cap;
    Str spelling;  // of a range and a view: "range(0, 4)", "dict_keys"
    bool is_group; // of groupby: a pair whose items also have the names `grouper` and `list`
};

typedef struct {
    JValue key, value;
} JEntry;

// In order of insertion. Lookups are linear: dictionaries of chats have few keys.
struct JDict {
    JEntry *at;
    size_t count, cap;
};

// The variable `loop`. `at` advances with the loop.
struct JLoop {
    const struct Stmt *stmt;
    struct Scope *scope; // of the statement
    const JList *items;
    size_t at;
    size_t depth;    // number of enclosing calls of loop()
    JValue *changed; // what loop.changed() saw last
    size_t n_changed;
};

struct JMethod {
    JValue self;
    Str name;
};

#define J_TEXT(s)   ((JValue){.kind = J_STR, .text = (s)})
#define J_NUMBER(n) ((JValue){.kind = J_INT, .integer = (n)})
#define J_TRUTH(b)  ((JValue){.kind = J_BOOL, .truth = (b)})
#define J_NOTHING   ((JValue){.kind = J_NONE})

// ---- syntax tree

typedef enum {
    X_LITERAL,
    X_NAME,
    X_LIST,
    X_TUPLE,
    X_DICT,
    X_ATTR,
    X_ITEM,
    X_SLICE,
    X_CALL,
    X_FILTER,
    X_TEST,
    X_NOT,
    X_NEGATE,
    X_PLUS,
    X_AND,
    X_OR,
    X_IF,
    X_BINARY,
    X_COMPARE,
} ExprKind;

typedef enum {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOOR_DIV,
    OP_MOD,
    OP_POW,
    OP_CONCAT,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN,
} JOp;

typedef struct Expr Expr;
struct Expr {
    ExprKind kind;
    int line;
    JOp op;
    Str name;       // X_NAME, X_ATTR, X_FILTER, X_TEST
    JValue literal; // X_LITERAL
    Expr *a, *b, *c, *d;
    // X_LIST, X_TUPLE: items; X_DICT: keys and values in turn; calls: arguments
    Expr **items;
    size_t n_items;
    Str *keywords; // of the last n_keywords items
    size_t n_keywords;
    Expr *rest, *rest_named; // calls: *list and **dict
};

typedef enum {
    S_TEXT,
    S_OUTPUT,
    S_IF,
    S_ELIF, // the next branch of an if
    S_FOR,
    S_SET,
    S_SET_BLOCK,
    S_MACRO,
    S_CALL,
    S_FILTER,
    S_BREAK,
    S_CONTINUE,
    S_WITH,
    S_BODY, // a scope of its own
} StmtKind;

typedef struct Stmt Stmt;
struct Stmt {
    StmtKind kind;
    int line;
    Str text;     // S_TEXT; name of a macro
    Expr *expr;   // the expression that is output, tested, looped over, assigned or called
    Expr *filter; // of a for: its condition; of a set block or filter block: a chain of X_FILTER
    Expr *target; // of for and set: a name, namespace.name, or a tuple of targets
    Stmt *body,
        *otherwise; // the first statement of each; for an if, `otherwise` is its next branch
    Str *params;    // of macros and call blocks
    Expr **targets; // of with, as `target`
    // [n_params] of params, NULL where there is none; of with: the values of `targets`
    Expr **defaults;
    size_t n_params;
    bool takes_rest, takes_named, takes_caller; // a macro that reads `varargs`, `kwargs`, `caller`
    bool is_recursive;                          // a for whose body may call loop()
    Stmt *next;
};

struct Template {
    Arena arena;
    Stmt *body;
};

struct JMacro {
    const Stmt *stmt;
    struct Scope *scope; // where it was defined
};

// ---- parsing

Stmt *jinja_parse(Arena *arena, Str source, Err *err); // NULL with err->kind set on failure

// ---- rendering

typedef struct Scope Scope;
struct Scope {
    Scope *parent;
    JDict names;
};

typedef struct {
    Arena *arena; // for everything made while rendering
    Err *err;
    int line; // the line being evaluated, for messages
    int depth;
    uint64_t steps;
    int64_t now;
    TemplateLimits limits;
    Scope *scope;
    StrBuf *out;
    size_t n_held; // bytes of the outer outputs while a macro is rendered
    bool failed;
} Render;

// limits.c Sets the error, with the line, and returns J_UNDEFINED so that callers can return it.
JValue jinja_fail(Render *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Counts work against the limits. False when rendering has failed, by this or before.
bool jinja_charge(Render *r, size_t steps);
bool jinja_charge_bytes(Render *r, size_t n); // copied or searched

typedef struct {
    const JValue *at;
    size_t count;
    const Str *keywords; // of the last n_keywords values
    size_t n_keywords;
} JArgs;

// bind.c. Assigns arguments to the parameters in `params`: "width? first?" are two optional ones,
// "/old new" two that are positional only. Fails if one is missing, unknown or too many. A
// parameter that was not given becomes J_MISSING.
enum { JINJA_MAX_PARAMS = 8 };
bool jinja_bind(Render *r, Str callee, const char *params, const JArgs *args, JValue *in);
static inline JValue jinja_or(JValue given, JValue otherwise) {
    return given.kind == J_MISSING ? otherwise : given;
}
// Reads a bound argument as text, or as an integer. They fail and return false for any other type.
bool jinja_need_text(Render *r, JValue v, Str *out);
bool jinja_need_number(Render *r, JValue v, int64_t *out);

// scope.c
Scope *jinja_push_scope(Render *r, Scope *parent);
void jinja_assign(Render *r, Str name, JValue v);
JValue jinja_look_up(Render *r, Str name);

// value.c
JValue jinja_list(Render *r);
JValue jinja_sequence(Render *r, JForm form);
void jinja_push(Render *r, JList *list, JValue v);
JValue jinja_pair(Render *r, JValue a, JValue b); // a tuple
// Items [from, to) of a list as another one, of `form`. They are shared, not copied: no template
// can change a list, and jinja_push copies before it writes.
JValue jinja_share(Render *r, JValue list, size_t from, size_t to, JForm form);
JValue jinja_dict(Render *r);
// Fails for values that Python cannot hash: lists, dicts.
bool jinja_need_hashable(Render *r, JValue key);
void jinja_put(Render *r, JDict *dict, JValue key, JValue v);
const JValue *jinja_get(Render *r, const JDict *dict, JValue key); // NULL when absent
bool jinja_truth(JValue v);
bool jinja_equal(Render *r, JValue a, JValue b);
// Returns -1, 0 or 1; fails for values without an order.
int jinja_order(Render *r, JValue a, JValue b);
bool jinja_contains(Render *r, JValue container, JValue v);
const char *jinja_type_name(JValue v);
// Items of a list, keys of a dict, characters of a string; empty for an undefined value. A
// generator is empty afterwards.
JValue jinja_items(Render *r, JValue v);
JValue jinja_undefined(Str name);
JValue jinja_refuse_undefined(Render *r, JValue v); // fails, naming it

// number.c
bool jinja_is_number(JValue v); // booleans are
bool jinja_is_whole(JValue v);
bool jinja_is_nan(JValue v);
double jinja_number(JValue v); // the nearest double of a number
// Compares two numbers exactly: -1, 0 or 1; unspecified when one is a NaN.
int jinja_compare_numbers(JValue a, JValue b);
JValue jinja_integer(Arena *arena, Str digits);  // decimal, after a sign or none
JValue jinja_whole_part(Arena *arena, double x); // of a finite number
__extension__ typedef __int128 JWide;
bool jinja_wide(JValue whole, JWide *out); // false when 128 bits do not hold it
JValue jinja_of_wide(Arena *arena, JWide n);

// print.c. Print a value as Python's str(), repr() and json.dumps() do.
void jinja_print(JValue v, StrBuf *out);
void jinja_repr(JValue v, StrBuf *out);
JValue jinja_to_text(Render *r, JValue v);
JValue jinja_keep(Render *r, StrBuf *text); // a string value in the arena; frees the buffer
typedef struct {
    bool breaks; // one item per line, indented
    Str indent, item_gap, key_gap;
    bool is_sorted, is_ascii;
} JsonStyle;
void jinja_to_json(Render *r, JValue v, const JsonStyle *style, int level, StrBuf *out);

// text.c: strings by code point
size_t text_length(Str s);
Str text_slice(Str s, size_t from, size_t to); // code points [from, to)
uint32_t text_take(Str *s);                    // the first code point, removed
void text_put(uint32_t c, StrBuf *out);        // as UTF-8; a surrogate as U+FFFD
typedef enum { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_CAPITAL, CASE_SWAP } TextCase;
void text_change_case(Str s, TextCase how, StrBuf *out);
Str text_strip(Str s, const Str *of, bool left, bool right); // of NULL: white space
bool text_is_space(uint32_t c);
bool text_is_printable(uint32_t c); // as for repr(); unassigned code points count as printable
size_t text_find(Str s, Str part, size_t from); // byte offset, SIZE_MAX when absent
size_t text_find_last(Str s, Str part);         // likewise
Str text_line(Str *s, bool keeps_end);          // the first line, removed

// access.c
typedef enum { METHOD_NONE, METHOD_BARRED, METHOD_CALLABLE } JMethodState;
// A barred method cannot be called, but hides a key of the same name, as in Jinja's sandbox.
JMethodState jinja_has_method(JValue self, Str name);
JValue jinja_attribute(Render *r, JValue v, Str name);
JValue jinja_item(Render *r, JValue v, JValue key);

// method.c, string.c, function.c, format.c
typedef struct {
    JKind self;
    const char *name;
    JValue (*run)(Render *r, JValue self, const JValue *in);      // NULL: see `run_any`
    const char *params;                                           // as jinja_bind reads them
    JValue (*run_any)(Render *r, JValue self, const JArgs *args); // takes any arguments
} JMethodRow;
extern const JMethodRow jinja_string_methods[]; // to a row without a name
// Of a method that `self` has.
JValue jinja_call_method(Render *r, JValue self, Str name, const JArgs *args);
JValue jinja_call_function(Render *r, Str name, const JArgs *args);
bool jinja_has_function(Str name);
JValue jinja_format_braces(Render *r, Str format, const JArgs *args); // "{}".format()
JValue jinja_format_percent(Render *r, Str format, JValue args);      // "%s" % args

// escape.c
JValue jinja_escape(Render *r, JValue v); // for HTML, and marked safe

// filter.c, filter_list.c, test.c
typedef struct {
    const char *name;
    JValue (*run)(Render *r, JValue v, const JValue *in); // NULL: see `run_any`
    const char *params;                                   // as jinja_bind reads them
    JValue (*run_any)(Render *r, JValue v, const JArgs *args);
} JFilterRow;
extern const JFilterRow jinja_list_filters[]; // to a row without a name
bool jinja_has_filter(Str name);
JValue jinja_filter(Render *r, JValue v, Str name, const JArgs *args);
bool jinja_has_test(Str name);
JValue jinja_test(Render *r, JValue v, Str name, const JArgs *args);

// evaluate.c
JValue jinja_evaluate(Render *r, const Expr *e);
JValue jinja_call(Render *r, const Expr *e, const JValue *caller); // X_CALL; `caller` or NULL
JValue jinja_apply_filters(Render *r, const Expr *chain, JValue v);

// operate.c
JValue jinja_binary(Render *r, JOp op, JValue a, JValue b);
JValue jinja_compare(Render *r, JOp op, JValue a, JValue b);
JValue jinja_negate(Render *r, JValue v);
JValue jinja_slice(Render *r, JValue v, JValue from, JValue to, JValue step); // J_NONE: not given

// render.c
JValue jinja_call_macro(Render *r, const JMacro *m, const JArgs *args, const JValue *caller);
JValue jinja_call_loop(Render *r, const JLoop *loop, const JArgs *args); // loop(items)
void jinja_run(Render *r, const Stmt *body);
// template_variables.c Defines what transformers passes to every template, then `variables`.
void jinja_set_variables(Render *r, const json_t *variables);

#endif
