// What of an answer may be shown: the earliest stop string in the text wins, whatever the order of the
// options and wherever the text is cut into tokens.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "chat/stop_filter.h"

// Gives `text` in pieces of `n` bytes; what comes out, and how much of it before the end.
static void filter(const char *const *stops, size_t n_stops, const char *text, size_t n,
                   StrBuf *shown, bool *has_stopped) {
    StopFilter f = {.stops = stops, .n_stops = n_stops};
    shown->len = 0;
    for (size_t at = 0; at < strlen(text) && !f.has_stopped; at += n) {
        strbuf_add(&f.text, (Str){text + at, min_size(n, strlen(text) - at)});
        strbuf_add(shown, stop_filter_next(&f, false));
    }
    if (!f.has_stopped) strbuf_add(shown, stop_filter_next(&f, true));
    *has_stopped = f.has_stopped;
    assert_true(str_eq(strbuf_str(&f.text), strbuf_str(shown)));
    strbuf_free(&f.text);
}

static const struct {
    const char *stops[3];
    const char *text, *shown;
} cases[] = {
    {{"odule", "module"}, "-module(hello)", "-"},
    {{"module", "odule"}, "-module(hello)", "-"},
    {{"World", "export", "start"}, "-export([start]) World", "-"},
    {{"]).\n```\nand more"}, "[]).\n```", NULL}, // begins and does not come
    {{"aab"}, "aaaab.", "aa"},                   // its beginning comes again inside of it
    {{"abac", "bad"}, "abad", "a"},              // one grows until another is complete
    {{""}, "text", NULL},
    {{"x"}, "x", ""},
    {{"\xC3\xA9"}, "caf\xC3\xA9 au lait", "caf"},
};

static void test_the_earliest_stop_wins_over_any_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t n_stops = 0;
        while (n_stops < 3 && cases[i].stops[n_stops]) n_stops++;
        for (size_t n = 1; n <= strlen(cases[i].text); n++) {
            StrBuf shown = {0};
            bool has_stopped;
            filter(cases[i].stops, n_stops, cases[i].text, n, &shown, &has_stopped);
            const char *wanted = cases[i].shown ? cases[i].shown : cases[i].text;
            if (!str_is(strbuf_str(&shown), wanted))
                fail_msg("%s in pieces of %zu: '%.*s'", cases[i].text, n,
                         STR_ARG(strbuf_str(&shown)));
            assert_int_equal(has_stopped, cases[i].shown != NULL);
            strbuf_free(&shown);
        }
    }
}

// Only what may still become a stop string is held back, and no longer than it may.
static void test_nothing_is_held_back_without_need(void **state) {
    (void)state;
    const char *stops[] = {"<end>"};
    StopFilter f = {.stops = stops, .n_stops = 1};
    strbuf_add(&f.text, STR("a <"));
    assert_true(str_is(stop_filter_next(&f, false), "a "));
    strbuf_add(&f.text, STR("en"));
    assert_true(str_is(stop_filter_next(&f, false), ""));
    strbuf_add(&f.text, STR("tity"));
    assert_true(str_is(stop_filter_next(&f, false), "<entity"));
    assert_false(f.has_stopped);
    strbuf_free(&f.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_earliest_stop_wins_over_any_cut),
        cmocka_unit_test(test_nothing_is_held_back_without_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
