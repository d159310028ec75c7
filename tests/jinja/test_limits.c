// Templates that would go on for too long: their steps, their values and their output are limited.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/size.h"
#include "jinja/render.h"

static const char variables[] = "{}";

static bool render_within(const char *source, const TemplateLimits *limits, Err *err) {
    StrBuf out = {0};
    json_t *json = json_object();
    Template *t = template_compile(str_of(source), err);
    bool ok = t && template_render_within(t, json, RENDER_NOW, limits, &out, err);
    template_close(t);
    json_decref(json);
    strbuf_free(&out);
    return ok;
}

static void refuses_within(const char *source, const TemplateLimits *limits, const char *says) {
    Err err = {0};
    if (render_within(source, limits, &err)) fail_msg("%s", source);
    assert_int_equal(err.kind, ERR_FORMAT);
    if (!strstr(err.text, says)) fail_msg("%s\nsays '%s'", source, err.text);
}

static void test_work_is_limited(void **state) {
    (void)state;
    static const char *const sources[] = {
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% set x = range(100000)|list %}{% for a in x %}{{ -1 in x }}{% endfor %}",
        "{% set x = 'a' * 1000000 %}{% for a in range(100000) %}{{ x.find('b') }}{% endfor %}",
        "{% set x = 'a' * 1000000 %}{% for a in range(100000) %}{% set y = x[1:] %}{% endfor %}",
        "{% macro f(k) %}{% if k %}{{ f(k - 1) }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(60) "
        "}}",
        "{% set s = namespace(x=[1]) %}{% for i in range(60) %}{% set s.x = [s.x, s.x] %}"
        "{% endfor %}{{ s.x == [s.x, s.x] }}{% set y = s.x|tojson %}",
    };
    TemplateLimits limits = {.steps = 300000, .memory = TEMPLATE_MAX_MEMORY};
    for (size_t i = 0; i < COUNT_OF(sources); i++)
        refuses_within(sources[i], &limits, "rendering takes more than 300000 steps");
}

// The bound is the one that was given: as many steps pass, one less does not.
static void test_steps_are_counted_one_by_one(void **state) {
    (void)state;
    static const char source[] = "{% for a in range(100) %}{{ a }}{% endfor %}";
    TemplateLimits limits = {.steps = 1, .memory = TEMPLATE_MAX_MEMORY};
    Err err;
    while (!render_within(source, &limits, &err) && limits.steps < 10000) limits.steps++;
    assert_in_range(limits.steps, 200, 1000);
    limits.steps--;
    assert_false(render_within(source, &limits, &err));
}

static void test_values_are_limited(void **state) {
    (void)state;
    TemplateLimits limits = {.steps = TEMPLATE_MAX_STEPS, .memory = 1 << 20};
    refuses_within("{% set x = range(100000)|list %}", &limits,
                   "rendering needs more than 1048576 bytes for values");
    refuses_within("{% set s = namespace(x='a') %}{% for i in range(40) %}{% set s.x = s.x ~ s.x %}"
                   "{% endfor %}",
                   &limits, "rendering needs more than 1048576 bytes for values");
    limits.memory = 64 << 20;
    assert_true(render_within("{% set x = range(100000)|list %}", &limits, &(Err){0}));
}

// What template_render() takes for itself.
static void test_limits_that_nobody_gave(void **state) {
    (void)state;
    StrBuf out = {0};
    Err err = {0};
    Str source = STR("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}"
                     "{% endfor %}");
    assert_false(render(source, variables, &out, &err));
    assert_non_null(strstr(err.text, "more than "));
    strbuf_free(&out);
}

static void test_output_is_limited(void **state) {
    (void)state;
    static const char *const sources[] = {
        "{% set x = 'a' * 1000000 %}{% for i in range(1000) %}{{ x }}{% endfor %}",
        "{% set s = namespace(x='a') %}{% for i in range(60) %}{% set s.x = s.x ~ s.x %}{% endfor "
        "%}",
        "{{ ('a' * 2000000).replace('a', 'b' * 1000) }}",
        "{{ (['a'] * 1000000)|join('b' * 1000) }}",
        "{{ 'a' * 99999999999 }}",
        "{{ 'a'.center(99999999999) }}",
        "{% macro f(k) %}{{ 'a' * 2000000 }}{% if k %}{{ f(k - 1) }}{% endif %}{% endmacro %}"
        "{{ f(100) }}",
    };
    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        StrBuf out = {0};
        Err err = {0};
        if (render(str_of(sources[i]), variables, &out, &err)) fail_msg("%s", sources[i]);
        assert_int_equal(err.kind, ERR_FORMAT);
        // One text at a time goes beyond the bound, before it is seen.
        assert_true(out.len <= 2 * (size_t)TEMPLATE_MAX_OUTPUT);
        strbuf_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work_is_limited),
        cmocka_unit_test(test_steps_are_counted_one_by_one),
        cmocka_unit_test(test_values_are_limited),
        cmocka_unit_test(test_limits_that_nobody_gave),
        cmocka_unit_test(test_output_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
