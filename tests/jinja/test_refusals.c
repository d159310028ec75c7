// Templates that are refused: each with its line and words that name what is wrong, and those that
// are nested too deep. What takes too long is in test_limits.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/size.h"
#include "jinja/render.h"

static const char variables[] = "{\"n\": 7, \"word\": \"ab\", \"nums\": [3, 1], \"d\": {\"a\": 1}}";

static void test_malformed(void **state) {
    (void)state;
    static const RefusalRow rows[] = {
        {"a\n{{ n", 2, "tag {{ is not closed"},
        {"{% if n", 1, "tag {% is not closed"},
        {"\n\n{# x", 3, "tag {# is not closed"},
        {"{% raw %}x", 1, "tag 'raw' is not closed, expected 'endraw'"},
        {"{{ 'abc }}", 1, "tag {{ is not closed"},
        {"\n{{ }}", 2, "expected an expression, found"},
        {"{{ 1 + }}", 1, "expected an expression, found"},
        {"{{ n n }}", 1, "unexpected 'n'"},
        {"{{ (n }}", 1, "tag {{ is not closed"}, // a bracket left open holds the end back
        {"{{ [n) }}", 1, "expected ']', found ')'"},
        {"{{ n[] }}", 1, "empty subscript"},
        {"{{ n. }}", 1, "expected a name, found"},
        {"{{ n | }}", 1, "expected a name, found"},
        {"{{ n is }}", 1, "expected a name, found"},
        {"{{ n is odd is odd }}", 1, "a test cannot follow a test"},
        {"{{ {'a' 1} }}", 1, "expected ':', found '1'"},
        {"{{ f(a=1, 2) }}", 1, "a positional argument after"},
        {"{{ 0xffffffffffffffffff }}", 1, "does not fit into 64 bits"},
        {"{{ 012 }}", 1, "must not begin with 0"},
        {"{{ n ? 1 : 2 }}", 1, "unexpected '?'"},
        {"{% %}", 1, "unknown tag"},
        {"a\nb\n{% nosuch %}", 3, "unknown tag 'nosuch'"},
        {"{% endif %}", 1, "unknown tag 'endif'"},
        {"{% else %}", 1, "unknown tag 'else'"},
        {"{% include 'x' %}", 1, "unknown tag 'include'"},
        {"x\n{% if n %}\n\n", 2, "'endif' is missing"},
        {"{% for i in nums %}", 1, "'endfor' is missing"},
        {"{% if n %}{% endfor %}", 1, "unknown tag 'endfor'"},
        {"{% macro m() %}", 1, "'endmacro' is missing"},
        {"{% set x %}", 1, "'endset' is missing"},
        {"{% for i nums %}{% endfor %}", 1, "for: expected 'in'"},
        {"{% for (a b) in nums %}{% endfor %}", 1, "expected ')', found"},
        {"{% for a.b in nums %}{% endfor %}", 1, "for: expected 'in'"},
        {"{% set (a, b.c) = nums %}", 1, "expected ')', found"},
        {"{% set none = 1 %}", 1, "cannot assign to 'none'"},
        {"{% for i in nums %}{% set loop = 1 %}{% endfor %}", 1, "the loop's own name"},
        {"{% for i in nums recursive %}{% else %}{% break %}{% endfor %}", 1, "outside of a loop"},
        {"{% raw +%}{% endraw %}", 1, "unknown tag 'raw'"},
        {"{% set = 1 %}", 1, "expected a name, found"},
        {"{% macro m(a b) %}{% endmacro %}", 1, "expected ')', found 'b'"},
        {"{% call n %}{% endcall %}", 1, "call: expected a macro call"},
        {"{% break %}", 1, "outside of a loop"},
        {"{% for i in nums %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}", 1,
         "outside of a loop"},
        {"\n{{ n|nosuch }}", 2, "unknown filter 'nosuch'"},
        {"{% for i in [] %}\n{{ n is nosuch }}{% endfor %}", 2, "unknown test 'nosuch'"},
    };
    refuses(rows, COUNT_OF(rows), variables);
}

static void test_mistakes_while_rendering(void **state) {
    (void)state;
    static const RefusalRow rows[] = {
        {"\n\n{{ raise_exception('stop: ' ~ n) }}", 3, "the template refuses: stop: 7"},
        {"{{ raise_exception() }}", 1, "raise_exception: argument 'message' is missing"},
        {"{{ missing.a }}", 1, "'missing' is undefined"},
        {"a\n{{ n }}\n{{ d.b.c }}", 3, "'b' is undefined"},
        {"{{ missing + 1 }}", 1, "'missing' is undefined"},
        {"{{ missing() }}", 1, "'missing' is undefined"},
        {"{{ word.nosuch() }}", 1, "unknown method 'nosuch'"},
        {"{{ nums.append(1) }}", 1, "unknown method 'append'"},
        {"{{ d.update({}) }}", 1, "unknown method 'update'"},
        {"{{ n() }}", 1, "integer is not callable"},
        {"{{ 'a' + 1 }}", 1, "unsupported operands: string and integer"},
        {"{{ 'a' < 1 }}", 1, "cannot order string and integer"},
        {"{{ 1 in 'a' }}", 1, "'in' a string: expected a string"},
        {"{{ 1 in 2 }}", 1, "'in' needs a container, found integer"},
        {"{{ 1 / 0 }}", 1, "division by zero"},
        {"{{ 2 ** 127 }}", 1, "does not fit into 128 bits"},
        {"{{ nums[0] * 99999999999999999999999999999999999999 * 9 }}", 1,
         "does not fit into 128 bits"},
        {"{{ range(99999999999999999999) }}", 1, "does not fit into 64 bits"},
        {"{% for i in nums %}{{ loop([1]) }}{% endfor %}", 1, "needs a for with 'recursive'"},
        {"{% for i in nums recursive %}{{ loop([1]) }}{% endfor %}", 1, "nested too deep"},
        {"{% for (a, (b, c)) in [(1, (2,))] %}{% endfor %}", 1,
         "cannot unpack 1 values into 2 names"},
        {"{% macro m() %}{% endmacro %}{% call m() %}{% endcall %}", 1,
         "takes no argument 'caller'"},
        {"{{ dict(missing) }}", 1, "'missing' is undefined"},
        {"{{ {1: 2, 'a': 3}|tojson(sort_keys=true) }}", 1, "cannot sort keys"},
        {"{{ n[1:] }}", 1, "cannot slice integer"},
        {"{{ nums[::0] }}", 1, "slice step cannot be zero"},
        {"{% for x in n %}{% endfor %}", 1, "integer is not iterable"},
        {"{% for a, b in nums %}{% endfor %}", 1, "integer is not iterable"},
        {"{% set a, b = [1] %}", 1, "cannot unpack 1 values into 2 names"},
        {"{% set d.x = 1 %}", 1, "'d' is not a namespace"},
        {"{% set s = namespace() %}{% set s._x = 1 %}", 1, "must not begin with '_'"},
        {"{{ missing|tojson }}", 1, "tojson: cannot serialize undefined value"},
        {"{{ nums|map('string')|tojson }}", 1, "tojson: cannot serialize generator"},
        {"{{ nums|map('string')|length }}", 1, "generator has no length"},
        {"{{ {nums: 1} }}", 1, "list cannot be a dict key"},
        {"{{ word|trim(1, 2) }}", 1, "trim takes at most 1 arguments, found 2"},
        {"{{ word|trim(a=1) }}", 1, "trim takes no argument 'a'"},
        {"{{ word|indent(2, width=3) }}", 1, "indent: 'width' is given twice"},
        {"{{ word.replace('a') }}", 1, "replace: argument 'new' is missing"},
        {"{{ word.strip(chars='a') }}", 1, "strip takes no argument 'chars'"},
        {"{{ word.split('') }}", 1, "split: empty separator"},
        {"{{ word.index('q') }}", 1, "index: substring not found"},
        {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", 1, "macro 'm' takes 1 arguments, found 2"},
        {"{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", 1, "macro 'm' takes no argument 'b'"},
        {"{{ '{'.format(1) }}", 1, "format: single brace"},
        {"{{ '{}'.format() }}", 1, "format: no argument for '{}'"},
        {"{{ '%s %s' % 1 }}", 1, "not enough values for the format"},
        {"{{ '%d' % 'a' }}", 1, "'%d' does not take string"},
        {"{{ n is divisibleby 0 }}", 1, "division by zero"},
        {"{{ n is odd(1) }}", 1, "test 'odd' takes 0 arguments"},
        {"{{ range(100001) }}", 1, "range has more than 100000 items"},
        {"{% if n %}\n{{ n|nosuch }}{% endif %}", 2, "unknown filter 'nosuch'"},
    };
    refuses(rows, COUNT_OF(rows), variables);
}

// An unknown filter in a branch that is not taken does no harm, as in Jinja.
static void test_unknown_filter_in_a_branch_not_taken(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{% if not n %}{{ n|nosuch }}{% endif %}x", "x"},
        {"{{ n|nosuch if not n else 'y' }}", "y"},
    };
    renders(rows, COUNT_OF(rows), variables);
}

// ---- limits

static void refuse(Str source, const char *says) {
    StrBuf out = {0};
    Err err = {0};
    assert_false(render(source, variables, &out, &err));
    assert_int_equal(err.kind, ERR_FORMAT);
    if (!strstr(err.text, says)) fail_msg("says '%s'\nexpected '%s'", err.text, says);
    strbuf_free(&out);
}

// `open` n times, `middle`, `close` n times.
static void refuse_nested(const char *open, const char *middle, const char *close,
                          const char *says) {
    StrBuf source = {0};
    enum { DEEP = 20000 };
    for (int i = 0; i < DEEP; i++) strbuf_add(&source, str_of(open));
    strbuf_add(&source, str_of(middle));
    for (int i = 0; i < DEEP; i++) strbuf_add(&source, str_of(close));
    refuse(strbuf_str(&source), says);
    strbuf_free(&source);
}

static void test_nesting_is_limited(void **state) {
    (void)state;
    refuse_nested("{% if n %}", "", "{% endif %}", "nested too deep");
    refuse_nested("{% for i in nums %}", "", "{% endfor %}", "nested too deep");
    refuse(STR("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), "nested too deep");
    static const char *const opens[][2] = {{"(", ")"},    {"[", "]"},  {"not ", ""}, {"-", ""},
                                           {"1 if ", ""}, {"f(", ")"}, {"a[", "]"}};
    for (size_t i = 0; i < COUNT_OF(opens); i++) {
        StrBuf source = {0};
        strbuf_add(&source, STR("{{ "));
        for (int k = 0; k < 20000; k++) strbuf_add(&source, str_of(opens[i][0]));
        strbuf_add(&source, STR("1"));
        for (int k = 0; k < 20000; k++) strbuf_add(&source, str_of(opens[i][1]));
        strbuf_add(&source, STR(" }}"));
        refuse(strbuf_str(&source), "nested too deep");
        strbuf_free(&source);
    }
}

// What reads as a chain is none in the tree: it must end in a message, not in the stack.
static void test_long_chains(void **state) {
    (void)state;
    static const char *const parts[] = {"+1", ".a", "|abs", "(1)", " and 1", " < 1", " ~ 1"};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        StrBuf source = {0};
        strbuf_add(&source, STR("{{ 1"));
        for (int k = 0; k < 20000; k++) strbuf_add(&source, str_of(parts[i]));
        strbuf_add(&source, STR(" }}"));
        refuse(strbuf_str(&source), "nested too deep");
        strbuf_free(&source);
    }
    StrBuf source = {0}; // branches of one if are no nesting
    StrBuf out = {0};
    Err err = {0};
    strbuf_add(&source, STR("{% if not n %}a"));
    for (int k = 0; k < 20000; k++) strbuf_printf(&source, "{%% elif n == %d %%}%d", k, k);
    strbuf_add(&source, STR("{% endif %}"));
    assert_true(render(strbuf_str(&source), variables, &out, &err));
    assert_string_equal(out.at, "7");
    strbuf_free(&source);
    strbuf_free(&out);
}

// A template that looks back at every message: what it slices and lists is shared, not copied.
static void test_what_is_sliced_is_shared(void **state) {
    (void)state;
    StrBuf json = {0}, out = {0};
    Err err = {0};
    enum { N_MESSAGES = 5000 }; // copies of each beginning would be 5000^2 / 2 values, 400 MB
    strbuf_add(&json, STR("{\"messages\": [1"));
    for (int i = 1; i < N_MESSAGES; i++) strbuf_printf(&json, ", %d", i % 7);
    strbuf_add(&json, STR("]}"));
    Str source =
        STR("{% for m in messages %}{% set b = messages[:loop.index0] %}"
            "{% set c = (b|list).copy()[0:] %}{% if loop.last %}{{ b|length }} {{ c|length }}"
            " {{ c[-1] }}{% endif %}{% endfor %}");
    if (!render(source, json.at, &out, &err)) fail_msg("%s", err.text);
    assert_string_equal(out.at, "4999 4999 0");
    strbuf_free(&json);
    strbuf_free(&out);
}

static void test_every_beginning_of_a_template(void **state) {
    (void)state;
    static const char source[] =
        "{% macro m(a, b='x') -%}{{ a|default(b) ~ '}}' }}{%- endmacro %}\n"
        "{# note #}{% for m in messages if m.role is defined %}{% raw %}{{{% endraw %}"
        "{% set x, y = [1, {'a': (2, 3)}], m['content'][::-1] %}{{ -x[0] ** 2 if x else "
        "\"\\u00e9\" "
        "}}{% else %}none{% endfor %}{% call(z) m(1, *[2], **{'c': 3}) %}{{ z }}{% endcall %}"
        "{% filter upper|trim %}a{% endfilter %}{% with q = 1.5e3 %}{{ q is not none }}{% endwith "
        "%}";
    for (size_t n = 0; n < sizeof source; n++) {
        char *exact = malloc(n + 1); // so that a sanitizer sees each byte read beyond
        StrBuf out = {0};
        Err err = {0};
        memcpy(exact, source, n);
        if (!render((Str){exact, n}, variables, &out, &err)) assert_int_equal(err.kind, ERR_FORMAT);
        strbuf_free(&out);
        free(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_mistakes_while_rendering),
        cmocka_unit_test(test_unknown_filter_in_a_branch_not_taken),
        cmocka_unit_test(test_nesting_is_limited),
        cmocka_unit_test(test_long_chains),
        cmocka_unit_test(test_what_is_sliced_is_shared),
        cmocka_unit_test(test_every_beginning_of_a_template),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
