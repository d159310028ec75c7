// A session over the reference: what a rewind leaves, where the context ends, which ids are refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "runtime/session.h"

#define MODEL LATHE_MODELS "/hello-phi3-q8_0.gguf"

typedef struct {
    Arena arena;
    Gguf g;
    Model model;
    Session *session;
} Fixture;

static void open_fixture(Fixture *t, uint32_t context) {
    Err err = {0};
    *t = (Fixture){0};
    if (!gguf_open(&t->g, &t->arena, MODEL, &err) ||
        !model_read(&t->model, &t->g, &t->arena, &err) ||
        !(t->session =
              session_open(model_runner_open_reference(
                               &t->model, &(ReferenceOptions){.n_positions = context}, NULL, &err),
                           &err)))
        fail_msg("%s", err.text);
}

static void close_fixture(Fixture *t) {
    session_close(t->session);
    gguf_close(&t->g);
    arena_free(&t->arena);
}

// After a rewind the same tokens give what a session gives that never saw the others.
static void test_rewind_forgets(void **state) {
    (void)state;
    enum { N = 80, KEPT = 37 };
    Fixture t, fresh;
    uint32_t ids[N], others[N];
    open_fixture(&t, 128);
    open_fixture(&fresh, 128);
    for (uint32_t i = 0; i < N; i++) {
        ids[i] = (i * 37 + 11) % 2000;
        others[i] = i < KEPT ? ids[i] : (i * 53 + 5) % 2000;
    }
    uint32_t n_vocab = session_n_vocab(t.session);
    float *found = calloc(n_vocab, sizeof *found), *wanted = calloc(n_vocab, sizeof *wanted);
    assert_true(session_feed(t.session, others, N, found, NULL, NULL));
    session_rewind(t.session, KEPT);
    assert_int_equal(session_position(t.session), KEPT);
    session_rewind(t.session, KEPT + 9); // never forwards
    assert_int_equal(session_position(t.session), KEPT);
    assert_true(session_feed(t.session, ids + KEPT, N - KEPT, found, NULL, NULL));
    assert_true(session_feed(fresh.session, ids, N, wanted, NULL, NULL));
    // The order of fp32 sums may differ between batches; a stale row costs whole logits.
    for (uint32_t i = 0; i < n_vocab; i++) assert_true(fabsf(found[i] - wanted[i]) <= 1e-3f);
    free(found);
    free(wanted);
    close_fixture(&t);
    close_fixture(&fresh);
}

static void test_the_context_ends_and_ids_are_checked(void **state) {
    (void)state;
    Fixture t;
    uint32_t ids[65] = {0}, unknown;
    Err err = {0};
    open_fixture(&t, 64);
    assert_false(session_feed(t.session, ids, 65, NULL, NULL, &err));
    assert_int_equal(session_position(t.session), 0);
    assert_true(session_feed(t.session, ids, 64, NULL, NULL, NULL));
    assert_false(session_fits(t.session, 1, &err));
    assert_false(session_feed(t.session, ids, 1, NULL, NULL, &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_int_equal(session_position(t.session), 64);
    session_rewind(t.session, 63);
    unknown = session_n_vocab(t.session);
    assert_false(session_feed(t.session, &unknown, 1, NULL, NULL, &err));
    assert_non_null(strstr(err.text, "the vocabulary has ids 0 to 2047"));
    assert_true(session_feed(t.session, ids, 1, NULL, NULL, NULL));
    close_fixture(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewind_forgets),
        cmocka_unit_test(test_the_context_ends_and_ids_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
