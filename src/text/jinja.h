// jinja.h — syntax tree and values of the template interpreter. Internal to text/.
#ifndef LATHE_TEXT_JINJA_H
#define LATHE_TEXT_JINJA_H

#include "base/arena.h"
#include "base/size.h"
#include "text/template.h"

// ---- values

typedef enum {
    J_UNDEFINED,
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_STR,
    J_LIST,
    J_DICT,
    J_NAMESPACE,
    J_MACRO,
    J_METHOD,   // a value's method, not called yet
    J_FUNCTION, // a global one
} JKind;

typedef struct JValue JValue;
typedef struct JList JList;
typedef struct JDict JDict;
typedef struct JMacro JMacro;
typedef struct JMethod JMethod;

struct JValue {
    JKind kind;
    bool is_tuple; // of a list
    bool is_safe;  // of a string: marked by |safe, so that + escapes what is joined to it
    union {
        bool truth;
        int64_t integer;
        double number;
        Str text; // also the name of what is undefined, and of a function
        JList *list;
        JDict *dict;
        JMacro *macro;
        JMethod *method;
    };
};

struct JList {
    JValue *at;
    size_t count, cap;
};

typedef struct {
    JValue key, value;
} JEntry;

// In order of insertion. Lookups walk: chat dictionaries have a handful of keys.
struct JDict {
    JEntry *at;
    size_t count, cap;
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
};

typedef enum {
    S_TEXT,
    S_OUTPUT,
    S_IF,
    S_FOR,
    S_SET,
    S_SET_BLOCK,
    S_MACRO,
    S_CALL,
    S_FILTER,
    S_BREAK,
    S_CONTINUE,
    S_BODY,
} StmtKind;

typedef struct Stmt Stmt;
struct Stmt {
    StmtKind kind;
    int line;
    Str text;     // S_TEXT; name of a macro
    Expr *expr;   // what is output, tested, looped over, assigned, called
    Expr *filter; // of a for: its condition; of a set block or filter block: X_FILTER chain
    Expr *target; // of for and set: a name, a tuple of names, or namespace.name
    Stmt *body, *otherwise; // first of each
    Str *params;            // of macros and call blocks
    Expr **defaults;        // [n_params], NULL without
    size_t n_params;
    Stmt *next;
};

struct Template {
    Arena arena;
    Stmt *body;
};

struct JMacro {
    const Stmt *stmt;
    struct Scope *scope; // where it was defined
    bool is_caller;
};

// ---- parsing

Stmt *jinja_parse(Arena *arena, Str source, Err *err); // NULL with err->kind set on failure

// ---- rendering

typedef struct Scope Scope;

typedef struct {
    Arena *arena; // of everything made while rendering
    Err *err;
    int line; // being evaluated, for messages
    int depth;
    uint64_t steps;
    int64_t now;
    Scope *scope;
    Scope *globals;
    StrBuf *out;
    bool failed;
} Render;

// Fails with the line; returns J_UNDEFINED so that callers can return it.
JValue jinja_fail(Render *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

typedef struct {
    const JValue *at;
    size_t count;
    const Str *keywords; // of the last n_keywords values
    size_t n_keywords;
} JArgs;

// Argument `i` by position or keyword, or `otherwise`.
JValue jinja_arg(const JArgs *args, size_t i, const char *keyword, JValue otherwise);

// jinja_value.c
JValue jinja_list(Render *r);
void jinja_push(Render *r, JList *list, JValue v);
JValue jinja_dict(Render *r);
void jinja_put(Render *r, JDict *dict, JValue key, JValue v);
const JValue *jinja_get(const JDict *dict, JValue key); // NULL when absent
bool jinja_truth(JValue v);
bool jinja_equal(JValue a, JValue b);
// -1, 0, 1; fails for values without an order.
int jinja_order(Render *r, JValue a, JValue b);
bool jinja_contains(Render *r, JValue container, JValue v);
const char *jinja_type_name(JValue v);
// As str() and repr() print it.
void jinja_print(JValue v, StrBuf *out);
void jinja_repr(JValue v, StrBuf *out);
JValue jinja_to_text(Render *r, JValue v);
JValue jinja_keep(Render *r, StrBuf *text); // a string value in the arena; frees the buffer
JValue jinja_from_json(Render *r, const json_t *json);
void jinja_to_json(Render *r, JValue v, int indent, Str item_gap, Str key_gap, bool sorted,
                   int level, StrBuf *out);
// Items of a list, keys of a dict, characters of a string; empty for undefined.
JValue jinja_items(Render *r, JValue v);

// jinja_text.c: strings by code point
size_t text_length(Str s);
Str text_slice(Str s, size_t from, size_t to); // code points [from, to)
typedef enum { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_CAPITAL } TextCase;
void text_change_case(Str s, TextCase how, StrBuf *out);
Str text_strip(Str s, const Str *of, bool left, bool right); // of NULL: white space
size_t text_find(Str s, Str part, size_t from);              // byte offset, SIZE_MAX when absent

// jinja_call.c and jinja_filter.c
bool jinja_has_method(JValue self, Str name);
JValue jinja_call_method(Render *r, JValue self, Str name, const JArgs *args);
JValue jinja_call_function(Render *r, Str name, const JArgs *args);
bool jinja_has_function(Str name);
JValue jinja_escape(Render *r, JValue v); // for HTML, and marked safe
JValue jinja_filter(Render *r, JValue v, Str name, const JArgs *args);
JValue jinja_test(Render *r, JValue v, Str name, const JArgs *args);
// jinja_render.c, for filters that look up and call
JValue jinja_attribute(Render *r, JValue v, Str name);
JValue jinja_item(Render *r, JValue v, JValue key);
JValue jinja_binary(Render *r, JOp op, JValue a, JValue b);

#endif
