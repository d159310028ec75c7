// What gates record: what is unproved fails nothing, is said as such and is listed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proof/proof.h"

typedef struct {
    ProofVerdict last;
    char text[64];
} Heard;

static void hear_line(void *context, const char *gate, const char *scope, const char *figures,
                      ProofVerdict verdict) {
    Heard *heard = context;
    (void)gate, (void)scope;
    heard->last = verdict;
    strncpy(heard->text, figures, sizeof heard->text - 1);
}

static void test_unproved_is_listed_and_fails_nothing(void **state) {
    (void)state;
    Heard heard = {0};
    VerifyJob job = {.line = hear_line, .line_context = &heard};
    Proof p = {.job = &job, .gates = json_object()};
    proof_result(&p, "vote", true, NULL, "eps", "worse");
    assert_int_equal(heard.last, PROOF_PASSED);
    proof_unproved(&p, "text", "a turn of %d ids", 7);
    assert_int_equal(heard.last, PROOF_UNPROVED);
    assert_string_equal(heard.text, "a turn of 7 ids");
    proof_note(&p, "vote", "measured", "nothing");
    assert_int_equal(heard.last, PROOF_NOTE);
    proof_unproved(&p, "vote", "rope_dim");
    assert_false(p.has_failed || p.gate_failed);

    // In the order of the gates, whatever ran first.
    json_t *listed = proof_list_unproved(p.gates);
    json_t *expected =
        json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}]", "gate", "vote", "scope", "-", "text",
                  "rope_dim", "gate", "text", "scope", "-", "text", "a turn of 7 ids");
    assert_true(json_equal(listed, expected));
    json_decref(listed);
    json_decref(expected);

    proof_result(&p, "vote", false, NULL, "eps", "better");
    assert_true(p.has_failed && p.gate_failed && heard.last == PROOF_FAILED);
    json_decref(p.gates);
}

// Of what this program does not know, nothing is believed; older results have no verdict.
static void test_verdict_of_a_result(void **state) {
    (void)state;
    const struct {
        const char *text;
        ProofVerdict expected;
    } cases[] = {
        {"{\"passed\": true, \"verdict\": \"unproved\"}", PROOF_UNPROVED},
        {"{\"passed\": true, \"verdict\": \"splendid\"}", PROOF_FAILED},
        {"{\"passed\": false, \"verdict\": \"passed\"}", PROOF_FAILED},
        {"{\"passed\": true}", PROOF_PASSED},
        {"{\"passed\": false}", PROOF_FAILED},
        {"{}", PROOF_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *result = json_loads(cases[i].text, 0, NULL);
        assert_int_equal(proof_verdict_of(result), cases[i].expected);
        json_decref(result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unproved_is_listed_and_fails_nothing),
        cmocka_unit_test(test_verdict_of_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
