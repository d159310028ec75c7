// Which engine runs the packages for a gate: the job's, but the CPU engine where the gate looks at
// values inside a program and the job's engine does not show them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proof/execution.h"

static const EngineInfo device = {.name = "device", .capabilities = ENGINE_RUNS_BUNDLES};
static const EngineInfo glass = {.name = "glass",
                                 .capabilities = ENGINE_RUNS_BUNDLES | ENGINE_HAS_TAPS};

static const char *engine_of(const EngineInfo *engine, const char *gate) {
    VerifyJob job = {.engine = engine};
    Proof p = {.job = &job, .running = gate};
    return proof_engine(&p)->name;
}

static void test_gates_that_tap_keep_the_cpu_engine(void **state) {
    (void)state;
    static const char *const tapping[] = {"graph", "layer golden", "range"};
    static const char *const reading[] = {"positions", "head", "text"};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(engine_of(&device, tapping[i]), "cpu");
        assert_string_equal(engine_of(&glass, tapping[i]), "glass");
        assert_string_equal(engine_of(&device, reading[i]), "device");
        assert_string_equal(engine_of(NULL, reading[i]), "cpu");
    }
    assert_string_equal(engine_of(&device, NULL), "device");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gates_that_tap_keep_the_cpu_engine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
