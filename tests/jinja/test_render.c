// What templates render to: a table a theme. Every filter, test and method against Jinja itself is
// tests/oracle/test_template_language.py; here stands, with the text in sight, what each is for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/size.h"
#include "jinja/render.h"

static const char variables[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"},"
    " {\"role\": \"assistant\", \"content\": \"yo\", \"n\": 2}],"
    " \"n\": 7, \"half\": 2.5, \"word\": \"Hello World\", \"nums\": [3, 1, 2], \"yes\": true,"
    " \"no\": false, \"none\": null, \"uni\": \"\\u00fcn 你好\","
    " \"d\": {\"b\": 1, \"a\": {\"x\": [10, 20]}, \"items\": 5}}";

#define RENDERS(rows) renders((rows), COUNT_OF(rows), variables)

static void test_text_and_output(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"{{ n }}{{ half }}{{ yes }}{{ none }}{{ missing }}", "72.5TrueNone"},
        {"{{ nums }}{{ (1, 'a') }}{{ (1,) }}{{ d.a }}", "[3, 1, 2](1, 'a')(1,){'x': [10, 20]}"},
        {"{{ 'it\\'s' \"two\" }}{{ '\\x41\\u00e9\\n' }}", "it'stwoA\u00e9\n"},
        {"{{ '}}' }}{{ {'a': {'b': 1}} }}", "}}{'a': {'b': 1}}"},
        {"a{# {{ n }} #}b", "ab"},
        {"{% raw %}{{ n }}{% if %}{% endraw %}", "{{ n }}{% if %}"},
        {"{{ 1, 2 }}", "(1, 2)"},
    };
    RENDERS(rows);
}

static void test_white_space(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"a\n{% if yes %}\n  b\n{% endif %}\nc\n", "a\n  b\nc"}, // trim, lstrip, no last newline
        {"a\r\nb\rc\r\n", "a\nb\nc"},
        {"a {%- if yes -%} b {%- endif -%} c", "abc"},
        {"a  {{- n -}}  b", "a7b"},
        {"  {{ n }}\n", "  7"}, // an output is not stripped
        {"  {%+ if yes %}x{% endif %}", "  x"},
        {"{% if yes +%}\nx{% endif %}", "\nx"},
        {"x {% if yes %}y{% endif %}", "x y"}, // not at the line's start
        {"a\n  {#- c -#}\n  b", "ab"},
        {"{% raw %}\n a{% endraw %}\nb", "\n ab"},
    };
    RENDERS(rows);
}

static void test_if_and_expressions(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{% if no %}1{% elif none %}2{% elif n %}3{% else %}4{% endif %}", "3"},
        {"{% if no %}1{% elif none %}2{% else %}4{% endif %}", "4"},
        {"{{ 'a' if no else 'b' }}{{ 'a' if no }}", "b"},
        {"{{ no or none or 'z' }}{{ 'a' and 'b' }}{{ not no }}", "zbTrue"},
        {"{{ 1 + 2 * 3 }}{{ 2 ** 3 ** 2 }}{{ 7 // 2 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 7 / 2 }}",
         "7643-423.5"},
        {"{{ 'a' ~ 1 ~ none }}{{ 'ab' * 2 }}{{ [1] + [2] }}", "a1Noneabab[1, 2]"},
        {"{{ 1 < 2 < 3 }}{{ 1 < 2 > 3 }}{{ 1 == 1.0 }}{{ 'a' != 'b' }}", "TrueFalseTrueTrue"},
        {"{{ 'ell' in word }}{{ 2 in nums }}{{ 'b' in d }}{{ 9 not in nums }}", "TrueTrueTrueTrue"},
        {"{{ -n }}{{ +n }}{{ - -n }}", "-777"},
    };
    RENDERS(rows);
}

static void test_items_and_slices(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{{ d.b }}{{ d['b'] }}{{ d.a.x[1] }}{{ d.a.x.0 }}", "112010"},
        {"{{ d['items'] }}{{ d.items()|length }}", "53"}, // a method hides the key of its name
        {"{{ nums[-1] }}{{ word[0] }}{{ uni[-1] }}{{ nums[9] is defined }}", "2H好False"},
        {"{{ nums[1:] }}{{ nums[:-1] }}{{ nums[::-1] }}{{ nums[5:] }}", "[1, 2][3, 1][2, 1, 3][]"},
        {"{{ word[1:4] }}{{ word[-5:] }}{{ word[::-2] }}{{ uni[3:] }}", "ellWorlddrWolH你好"},
        {"{{ none.x }}{{ n.x is defined }}", "False"},
    };
    RENDERS(rows);
}

static void test_loops(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{% for i in nums %}{{ i }}{{ ',' if not loop.last }}{% endfor %}", "3,1,2"},
        {"{% for i in nums %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}"
         "{{ loop.revindex0 }}{{ loop.length }};{% endfor %}",
         "10323;21213;32103;"},
        {"{% for i in nums %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}",
         "<3>1 3<1>2 1<2> "},
        {"{% for i in nums %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i > 1) }}{% endfor %}",
         "aTruebTrueaTrue"},
        {"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
         "b=1;a={'x': [10, 20]};items=5;"},
        {"{% for m in messages %}{{ m.role }}:{{ m['content'] }}{{ m.get('n', 0) }} {% endfor %}",
         "user:hi0 assistant:yo2 "},
        {"{% for i in nums if i > 1 %}{{ i }}/{{ loop.length }} {% endfor %}", "3/2 2/2 "},
        {"{% for i in [] %}x{% else %}empty{% endfor %}{% for i in missing %}x{% endfor %}",
         "empty"},
        {"{% for i in nums %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "32"},
        {"{% for i in nums %}{{ i }}{% if i == 1 %}{% break %}{% endif %}{% endfor %}", "31"},
        {"{% for i in nums %}{% for k in nums %}{{ loop.index }}{% endfor %}{{ loop.index }} "
         "{% endfor %}",
         "1231 1232 1233 "},
        {"{% for c in uni %}{{ c }}.{% endfor %}", "\u00fc.n. .你.好."},
        {"{% for i in range(3) %}{{ i }}{% endfor %}{{ range(5, 0, -2)|list }}", "012[5, 3, 1]"},
    };
    RENDERS(rows);
}

static void test_names_and_scopes(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{% set a, b = 1, 2 %}{{ a }}{{ b }}", "12"},
        {"{% set x = 1 %}{% for i in nums %}{% set x = i %}{% endfor %}{{ x }}", "1"},
        {"{% if yes %}{% set x = 1 %}{% endif %}{{ x }}", "1"}, // an if is no scope
        {"{% set s = namespace(x=0) %}{% for i in nums %}{% set s.x = s.x + i %}{% endfor %}"
         "{{ s.x }}",
         "6"},
        {"{% set x %}a{{ n }}{% endset %}[{{ x }}]", "[a7]"},
        {"{% set x | upper %}a{{ n }}{% endset %}[{{ x }}]", "[A7]"},
        {"{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a }}", "17"},
        {"{% filter upper %}a{{ n }}b{% endfilter %}", "A7B"},
        {"{% generation %}a{% set z = 1 %}{% endgeneration %}{{ z }}", "a"},
    };
    RENDERS(rows);
}

static void test_macros(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(b=3, a=4) }} {{ m() }}",
         "1-2 4-3 -2"},
        {"{% macro f(k) %}{{ k }}{% if k %}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
         "3210"},
        {"{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, z=3) }}", "(1,){'z': 3}"},
        {"{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1], **{'b': 2}) }}", "12"},
        {"{% macro m(a) %}{{ a }}{{ caller('k') }}{% endmacro %}"
         "{% call(v) m(1) %}<{{ v }}{{ n }}>{% endcall %}",
         "1<k7>"},
        {"{% macro m() %}{{ later }}{% endmacro %}{% set later = 7 %}{{ m() }}", "7"},
        {"{% macro m() %}{% set y = 1 %}{% endmacro %}{{ m() }}{{ y }}", ""},
    };
    RENDERS(rows);
}

static void test_filters(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{{ '  a '|trim }}{{ 'aXb'|lower }}{{ 'aXb'|upper }}{{ 'ab cd'|title }}", "aaxbAXBAb Cd"},
        {"{{ missing|default('q') }}{{ ''|default('q', true) }}{{ none|default('q') }}", "qqNone"},
        {"{{ nums|length }}{{ uni|length }}{{ d|count }}", "353"},
        {"{{ nums|first }}{{ nums|last }}{{ nums|sort }}{{ nums|sort(reverse=true)|join('-') }}",
         "32[1, 2, 3]3-2-1"},
        {"{{ nums|sum }}{{ nums|max }}{{ nums|min }}{{ [1, 1, 2]|unique|list }}", "631[1, 2]"},
        {"{{ nums|map('string')|join }}{{ nums|select('odd')|list }}{{ nums|reject('odd')|list }}",
         "312[3, 1][2]"},
        {"{{ messages|map(attribute='role')|list }}{{ messages|selectattr('n')|list|length }}",
         "['user', 'assistant']1"},
        {"{{ 'a\nb'|indent(2) }}|{{ 'a\nb'|indent(2, true) }}", "a\n  b|  a\n  b"},
        {"{{ '3.7'|int }}{{ 'x'|int(9) }}{{ '3.7'|float }}{{ 2.567|round(1) }}{{ -3|abs }}",
         "393.72.63"},
        {"{{ {'b': 1, 'A': 2}|dictsort }}{{ {'b': 1}|items|list }}",
         "[('A', 2), ('b', 1)][('b', 1)]"},
        {"{{ '<a>'|e }}{{ ('<'|e) + '<' }}{{ '%s=%d'|format('a', 3) }}", "&lt;a&gt;&lt;&lt;a=3"},
        {"{{ nums|batch(2)|list }}{{ nums|slice(2)|list }}", "[[3, 1], [2]][[3, 1], [2]]"},
        {"{% set g = nums|map('string') %}{{ g|join }}{{ g|join }}", "312"}, // spent once
    };
    RENDERS(rows);
}

static void test_json(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{{ d|tojson }}", "{\"b\": 1, \"a\": {\"x\": [10, 20]}, \"items\": 5}"},
        {"{{ {'b': 1, 'a': [2]}|tojson(indent=2, sort_keys=true) }}",
         "{\n  \"a\": [\n    2\n  ],\n  \"b\": 1\n}"},
        {"{{ [none, true, 1.0, 1e100, 'a\"\\\\\\n<\\x01']|tojson }}",
         "[null, true, 1.0, 1e+100, \"a\\\"\\\\\\n<\\u0001\"]"},
        {"{{ uni|tojson }}{{ '😀é'|tojson(ensure_ascii=true) }}",
         "\"\u00fcn 你好\"\"\\ud83d\\ude00\\u00e9\""},
        {"{{ [1, {'a': 2}]|tojson(separators=(',', ':')) }}", "[1,{\"a\":2}]"},
        {"{{ {1: 2, none: 3, true: 4}|tojson }}", "{\"1\": 4, \"null\": 3}"}, // 1 == true
        {"{{ []|tojson(indent=2) }}{{ {}|tojson(indent=2) }}", "[]{}"},
    };
    RENDERS(rows);
}

static void test_tests(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{{ n is defined }}{{ missing is defined }}{{ missing is undefined }}{{ none is none }}",
         "TrueFalseTrueTrue"},
        {"{{ word is string }}{{ n is number }}{{ yes is boolean }}{{ yes is integer }}",
         "TrueTrueTrueFalse"},
        {"{{ d is mapping }}{{ nums is iterable }}{{ nums is sequence }}{{ n is iterable }}",
         "TrueTrueTrueFalse"},
        {"{{ n is odd }}{{ 4 is even }}{{ 9 is divisibleby 3 }}{{ n is eq 7 }}{{ n is gt(8) }}",
         "TrueTrueTrueTrueFalse"},
        {"{{ 'a' is in ['a'] }}{{ 'a' is lower }}{{ n is not none }}{{ none is sameas none }}",
         "TrueTrueTrueTrue"},
    };
    RENDERS(rows);
}

static void test_methods(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{{ ' a '.strip() }}{{ 'xax'.strip('x') }}{{ 'xa'.lstrip('x') }}{{ 'ax'.rstrip('x') }}",
         "aaaa"},
        {"{{ 'a,b,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a,b,c'.rsplit(',', 1) }}",
         "['a', 'b', 'c']['a', 'b']['a,b', 'c']"},
        {"{{ word.startswith('He') }}{{ word.endswith(('x', 'ld')) }}", "TrueTrue"},
        {"{{ word.replace('l', 'L') }}{{ word.replace('l', 'L', 1) }}", "HeLLo WorLdHeLlo World"},
        {"{{ word.upper() }}{{ word.title() }}{{ 'it'.capitalize() }}", "HELLO WORLDHello WorldIt"},
        {"{{ word.find('o') }}{{ word.rfind('o') }}{{ word.count('l') }}{{ uni.find('好') }}",
         "4734"},
        {"{{ '-'.join(['a', 'b']) }}{{ 'a\nb\r\nc'.splitlines() }}", "a-b['a', 'b', 'c']"},
        {"{{ '12'.isdigit() }}{{ 'ab'.isalpha() }}{{ ' '.isspace() }}", "TrueTrueTrue"},
        {"{{ 'a=b=c'.partition('=') }}{{ 'ab'.removeprefix('a') }}", "('a', '=', 'b=c')b"},
        {"{{ '{} {a:>4} {:.2f}'.format(1, 2.5, a='x') }}{{ '%s-%03d' % ('a', 7) }}",
         "1    x 2.50a-007"},
        {"{{ d.keys()|list }}{{ d.values()|list|length }}{{ d.get('q', 3) }}",
         "['b', 'a', 'items']33"},
    };
    RENDERS(rows);
}

static void test_what_transformers_passes_is_there(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{{ messages }}{{ tools }}{{ documents }}{{ add_generation_prompt }}", "[]NoneNoneFalse"},
        {"{{ bos_token is defined }}", "False"},
    };
    renders(rows, COUNT_OF(rows), "{}");
    static const RenderRow given[] = {{"{{ tools|length }}{{ add_generation_prompt }}", "2True"}};
    renders(given, COUNT_OF(given), "{\"tools\": [1, 2], \"add_generation_prompt\": true}");
}

static void test_reasoning_goes_by_three_names(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{{ messages[0].reasoning_content }}{{ messages[0].thinking }}{{ messages[0].reasoning }}",
         "aaa"},
        {"{{ messages[1].reasoning_content }}{{ messages[1].thinking }}", "bb"},
        {"{{ messages[2].reasoning_content is defined }}", "False"},
    };
    renders(rows, COUNT_OF(rows),
            "{\"messages\": [{\"reasoning\": \"a\"}, {\"thinking\": \"b\"},"
            " {\"thinking\": null}]}");
}

static void test_time_is_the_callers(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{{ strftime_now('%Y-%m-%d %H:%M:%S') }}", "2026-09-21 14:13:20"},
        {"{{ strftime_now('%d %b %Y, %A') }}{{ strftime_now('') }}", "21 Sep 2026, Monday"},
    };
    static const RenderRow east[] = {
        {"{{ strftime_now('%d %b %Y %H:%M') }}", "22 Sep 2026 04:13"},
    };
    setenv("TZ", "UTC0", 1);
    RENDERS(rows);
    setenv("TZ", "EAST-14", 1); // fourteen hours before UTC, as in Kiribati
    RENDERS(east);
    setenv("TZ", "UTC0", 1);
}

static void test_targets_and_jumps(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        // The else of a loop that no round ended; a jump in it is one of the loop around.
        {"{% for x in [1, 2] %}{% continue %}{% else %}E{% endfor %}", "E"},
        {"{% for x in [1] %}{% break %}{% else %}E{% endfor %}", "E"},
        {"{% for x in [1, 2] %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% else %}E"
         "{% endfor %}",
         "2"},
        {"{% for x in [1, 2] %}{{ x }}{% for y in [] %}{% else %}{% break %}{% endfor %}!"
         "{% endfor %}",
         "1"},
        {"{% for x in [1, 2] %}{% set y %}a{% if x == 1 %}{% continue %}{% endif %}b{% endset %}"
         "{{ y }}{{ x }}{% endfor %}",
         "ab2"},
        {"{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "123"},
        {"{% set (a, (b, c)) = [1, [2, 3]] %}{{ a }}{{ b }}{{ c }}", "123"},
        {"{% with (a, b) = nums[:2], c = 5 %}{{ a }}{{ b }}{{ c }}{% endwith %}{{ a }}", "315"},
        {"{% for x in [[1, [2]], [3, []]] recursive %}{% if x is number %}{{ x }}@{{ loop.depth }} "
         "{% else %}({{ loop(x) }}){% endif %}{% endfor %}",
         "(1@2 (2@3 ))(3@2 ())"},
        {"{% for g in [{'k': 'b'}, {'k': 'A'}, {'k': 'B'}]|groupby('k') %}{{ g.grouper }}:"
         "{{ g.list|length }} {{ g == (g[0], g[1]) }};{% endfor %}",
         "A:1 True;b:2 True;"},
    };
    RENDERS(rows);
}

static void test_raw_text_is_raw(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{% raw %}{% x {% endraw %}", "{% x "},
        {"{% raw %}{% ' {# {{ ( {%- endraw -%}  z", "{% ' {# {{ (z"},
        {"{% raw -%}\n a\n  {% endraw %}\nb", "a\nb"},
        {"{% raw %}{% endraws %}{%+endraw+%}\nb", "{% endraws %}\nb"},
    };
    RENDERS(rows);
}

static void test_numbers_keep_all_their_digits(void **state) {
    (void)state;
    static const RenderRow rows[] = {
        {"{{ a }} {{ a|tojson }} {{ [a, -a]|string }}",
         "18446744073709551615 18446744073709551615 [18446744073709551615, -18446744073709551615]"},
        {"{{ b|tojson }} {{ c }} {{ d }}",
         "-1000000000000000000000000000000000000000000 9223372036854775807 -9223372036854775808"},
        {"{{ a is number }}{{ a is integer }}{{ a is string }}{{ a is float }}",
         "TrueTrueFalseFalse"},
        {"{{ a > c }}{{ b < d }}{{ a == 18446744073709551615 }}{{ c + 1 == 9223372036854775808 }}",
         "TrueTrueTrueTrue"},
        {"{{ 9007199254740993 == 9007199254740992.0 }}{{ 9007199254740993 > 9007199254740992.0 }}"
         "{{ a < 1e30 }}{{ 2 == 2.0 }}{{ 2 < 2.5 }}{{ -3 < -2.5 }}",
         "FalseTrueTrueTrueTrueTrue"},
        {"{{ c + 1 }} {{ a // 2 }} {{ a % 10 }} {{ a / 2 }} {{ -d }} {{ a|abs }} {{ d|abs }}",
         "9223372036854775808 9223372036854775807 5 9.223372036854776e+18 9223372036854775808 "
         "18446744073709551615 9223372036854775808"},
        {"{{ '18446744073709551616'|int }} {{ 1e20|int }} {{ '%d' % a }} {{ '{:,}'.format(a) }}",
         "18446744073709551616 100000000000000000000 18446744073709551615 "
         "18,446,744,073,709,551,615"},
        {"{{ [1, 2, 3][:a] }}{{ [1, 2, 3][b:1] }}", "[1, 2, 3][1]"},
        {"{{ 0b101 }} {{ 0o17 }} {{ 0xF_F }} {{ 1_0.5 }} {{ [[7, 8]].0.1 }}", "5 15 255 10.5 8"},
        {"{{ e }} {{ f }}", "1 \xEE\x80\x80"},
    };
    renders(rows, COUNT_OF(rows),
            "{\"a\": 18446744073709551615, \"b\": -1000000000000000000000000000000000000000000,"
            " \"c\": 9223372036854775807, \"d\": -9223372036854775808, \"e\": 1,"
            " \"f\": \"\\ue000\"}");
}

static void test_text_goes_behind_what_is_there(void **state) {
    (void)state;
    StrBuf out = {0};
    Err err = {0};
    strbuf_add(&out, STR("before "));
    assert_true(render(STR("{{ 1 }}"), "{}", &out, &err));
    assert_string_equal(out.at, "before 1");
    strbuf_free(&out);
}

static void test_nul_is_a_character(void **state) {
    (void)state;
    static const char source[] = "a\0b{{ '\\0c'|length }}";
    StrBuf out = {0};
    Err err = {0};
    assert_true(render((Str){source, sizeof source - 1}, "{}", &out, &err));
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.at, "a\0b2", 4);
    strbuf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_and_output),
        cmocka_unit_test(test_white_space),
        cmocka_unit_test(test_if_and_expressions),
        cmocka_unit_test(test_items_and_slices),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_names_and_scopes),
        cmocka_unit_test(test_macros),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_tests),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_what_transformers_passes_is_there),
        cmocka_unit_test(test_reasoning_goes_by_three_names),
        cmocka_unit_test(test_time_is_the_callers),
        cmocka_unit_test(test_targets_and_jumps),
        cmocka_unit_test(test_raw_text_is_raw),
        cmocka_unit_test(test_numbers_keep_all_their_digits),
        cmocka_unit_test(test_text_goes_behind_what_is_there),
        cmocka_unit_test(test_nul_is_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
