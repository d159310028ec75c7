// The page: figures of a stand-in are called so, and what comes from a device's texts is escaped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "settle/page.h"

static char *page_of(bool is_stand_in, bool is_complete, bool is_predicted) {
    json_t *result = json_pack(
        "{s:s, s:b, s:b, s:{s:s, s:b}, s:{s:i, s:i, s:i},"
        " s:[{s:s, s:s, s:s, s:s, s:f, s:f, s:s, s:s, s:s, s:{s:f}}],"
        " s:[{s:s, s:s, s:s, s:s, s:s, s:[{s:s, s:s, s:s, s:{s:{s:f, s:f, s:f, s:i}},"
        " s:[{s:s, s:s, s:f, s:s, s:s, s:{s:[{s:i, s:f, s:f, s:f, s:i}]}}]}]}]}",
        "subject", "m.gguf", "complete", (int)is_complete, "predicted_only", (int)is_predicted,
        "machine", "system", "macOS 27.0", "stand_in", (int)is_stand_in, "predictions", "right", 3,
        "wrong", 1, "open", 2, "wrong", "question", "speed", "variant", "as_is", "figure",
        "decode_ms", "unit", "ms", "low", 1.0, "high", 2.0, "because", "it streams", "source",
        "a/b: c", "verdict", "wrong", "measured", "median", 12.5, "questions", "id", "speed",
        "title", "Speed", "asks", "How fast?", "decides", "decode_ms", "answer", "as_is: 12.5 ms",
        "variants", "name", "as_is", "options", "--kv slice", "means", "as converted", "figures",
        "decode_ms", "median", 12.5, "least", 12.0, "most", 13.0, "runs", 3, "stages", "stage",
        "decode", "ended", "died", "seconds", 1.5, "log", "default-decode.log", "why",
        "<script>alert(1)</script>", "details", "depths", "position", 85, "ms", 3.5, "least", 3.0,
        "most", 4.0, "calls", 20);
    assert_non_null(result);
    StrBuf out = {0};
    settle_page(result, &out);
    json_decref(result);
    return out.at;
}

static void test_figures_of_a_stand_in_are_not_called_measured(void **state) {
    (void)state;
    char *page = page_of(true, true, false);
    assert_non_null(strstr(page, "No figure here is a device's"));
    assert_non_null(strstr(page, "from the stand-in"));
    assert_non_null(strstr(page, "The stand-in answered:"));
    assert_null(strstr(page, ">measured<"));
    assert_null(strstr(page, "Answer:"));
    free(page);
    page = page_of(false, true, false);
    assert_non_null(strstr(page, ">measured<"));
    assert_null(strstr(page, "stand-in"));
    free(page);
}

static void test_the_top_says_how_far_it_is(void **state) {
    (void)state;
    char *page = page_of(false, true, false);
    assert_non_null(strstr(page, "1 prediction is wrong"));
    free(page);
    page = page_of(false, false, false);
    assert_non_null(strstr(page, "Not complete: run the same command again to continue"));
    free(page);
    page = page_of(false, false, true);
    assert_non_null(strstr(page, "Predicted, nothing measured"));
    free(page);
}

static void test_figures_come_with_their_range_and_texts_escaped(void **state) {
    (void)state;
    char *page = page_of(false, true, false);
    assert_non_null(strstr(page, "<b>12.5 ms</b>, 80 tokens a second (12 to 13 in 3 runs)"));
    assert_non_null(strstr(page, "1 ms to 2 ms"));
    assert_non_null(strstr(page, "at position 85 3.5 ms (3 to 4 in 20 calls)"));
    assert_non_null(strstr(page, "&lt;script&gt;"));
    assert_null(strstr(page, "<script"));
    free(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_of_a_stand_in_are_not_called_measured),
        cmocka_unit_test(test_the_top_says_how_far_it_is),
        cmocka_unit_test(test_figures_come_with_their_range_and_texts_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
