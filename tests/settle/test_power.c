// What powermetrics prints, as its manual page and public logs show it.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "settle/power.h"

#define SAMPLE(cpu, gpu, ane)                                                                      \
    "*** Sampled system activity (Mon Nov 30 10:00:00 2026 +0100) (103.25ms elapsed) ***\n\n"      \
    "**** Processor usage ****\n\nE-Cluster Power: 12 mW\nCPU 0 frequency: 1020 MHz\n"             \
    "CPU Power: " #cpu " mW\nGPU Power: " #gpu " mW\nANE Power: " #ane " mW\n"                     \
    "Combined Power (CPU + GPU + ANE): 99999 mW\n\n**** GPU usage ****\n\nGPU Power: " #gpu        \
    " mW\n"                                                                                        \
    "**** Thermal pressure ****\n\nCurrent pressure level: Nominal\n\n"

static void test_means_of_samples_in_watts(void **state) {
    (void)state;
    Power p;
    Err err = {0};
    assert_true(power_read(&p, STR(SAMPLE(1000, 20, 3000) SAMPLE(2000, 40, 5000)), &err));
    assert_int_equal(p.n_samples, 2);
    assert_true(fabs(p.cpu - 1.5) < 1e-9 && fabs(p.gpu - 0.03) < 1e-9 && fabs(p.ane - 4) < 1e-9);
    assert_string_equal(p.pressure, "Nominal");
}

static void test_a_text_without_samples_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"", "powermetrics must be invoked as the superuser\n",
                                        "CPU Power: 5 mW\nGPU Power: 5 mW\n",
                                        "CPU Power: 5 mW\nGPU Power: 5 mW\nANE Power: 5 W\n",
                                        "CPU Power: five mW\nGPU Power: 5 mW\nANE Power: 5 mW\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        Power p;
        Err err = {0};
        assert_false(power_read(&p, str_of(texts[i]), &err));
        assert_int_equal(err.kind, ERR_FORMAT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_means_of_samples_in_watts),
        cmocka_unit_test(test_a_text_without_samples_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
