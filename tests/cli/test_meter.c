// What the meter writes into a file: a line after a minute of work, none before; how it states what is done.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/meter.h"

// stderr goes to a file while reports are made.
static char *written(double log_after, double seconds_ago, const char *what, uint64_t first,
                     uint64_t done, uint64_t total) {
    char path[] = "/tmp/lathe-meter-XXXXXX";
    int file = mkstemp(path), kept = dup(STDERR_FILENO);
    assert_true(file >= 0 && kept >= 0);
    fflush(stderr);
    dup2(file, STDERR_FILENO);
    Meter m;
    meter_start(&m);
    if (log_after >= 0) m.log_after = log_after;
    Progress p = meter_progress(&m);
    m.drawn += 1000; // the first report logs nothing
    p.report(p.context, what, first, total);
    m.drawn -= 1000 + seconds_ago;
    m.stage_started -= seconds_ago;
    p.report(p.context, what, done, total);
    p.report(p.context, what, done, total);
    meter_stop(&m);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    char *text = calloc(1, 512);
    assert_non_null(text);
    assert_true(pread(file, text, 511, 0) >= 0);
    close(file);
    unlink(path);
    return text;
}

static void assert_written(const char *expected, double seconds_ago, const char *what,
                           uint64_t first, uint64_t done, uint64_t total) {
    char *text = written(-1, seconds_ago, what, first, done, total);
    assert_string_equal(text, expected);
    free(text);
}

static void test_a_line_after_a_minute(void **state) {
    (void)state;
    assert_written("", 59, "vote: readings", 0, 5, 31);
    assert_written("[vote 5 of 31 readings, 12.2 s each, about 6 min left, 61 s so far]\n", 61,
                   "vote: readings", 0, 5, 31);
}

static void test_every_report_without_a_limit(void **state) {
    (void)state;
    char *text = written(0, 1, "graph: layers", 0, 2, 4);
    const char *second = strchr(text, '\n');
    assert_non_null(second);
    assert_non_null(strchr(second + 1, '\n'));
    free(text);
}

static void test_what_is_known(void **state) {
    (void)state;
    // Two steps predict nothing; what was done before the stage's first report is no rate.
    assert_written("[vote 2 of 31 readings, 40.0 s each, 80 s so far]\n", 80, "vote: readings", 0,
                   2, 31);
    assert_written("[vote 17 of 31 readings, 7.3 s each, about 2 min left, 80 s so far]\n", 80,
                   "vote: readings", 6, 17, 31);
    assert_written("[weights 50 %, 10 MB/s, about 80 s left, 80 s so far]\n", 80, "weights", 0,
                   808000000, 1600000000);
    assert_written("[head 405 of 800 tokens, 5.1/s, about 80 s left, 80 s so far]\n", 80,
                   "head: tokens", 0, 405, 800);
    assert_written("[text 7 places, 80 s so far]\n", 80, "text: places", 0, 7, 0);
    assert_written("[compile for this machine, 80 s so far]\n", 80, "compile for this machine", 0,
                   7, 0);
    assert_written("[graph 4 of 4 layers, 20.0 s each, 80 s so far]\n", 80, "graph: layers", 0, 4,
                   4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_after_a_minute),
        cmocka_unit_test(test_every_report_without_a_limit),
        cmocka_unit_test(test_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
