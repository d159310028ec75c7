// A session over a model that only records: which chunks it is fed, what is fed again when the
// factor set changes, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "runtime/session.h"

// Takes 4 tokens at once. Logit i of token t at position p is 100 p + 10 t + i. The long factors
// apply from 10 tokens on.
enum { WIDEST = 4, VOCAB = 3, CONTEXT = 32, ORIGINAL = 9 };

typedef struct {
    ModelRunner model;
    uint32_t position, oldest; // a rewind below `oldest` leaves nothing of use
    bool is_long;
    char log[512];
    size_t n_closed, n_left; // chunks until reading is stopped (0: never)
    uint32_t spoilt;         // the position whose logits are not finite; 0: none
    char note[128];
    uint32_t seen[CONTEXT]; // tokens by position
} Recorder;

static Recorder *of(const ModelRunner *m) {
    return (Recorder *)(uintptr_t)m;
}

static void log_line(Recorder *r, const char *what, uint32_t number) {
    size_t n = strlen(r->log);
    snprintf(r->log + n, sizeof r->log - n, "%s%s %u", n ? ", " : "", what, number);
}

static void close_recorder(ModelRunner *m) {
    of(m)->n_closed++;
}

static uint32_t chunk(const ModelRunner *m, size_t n_left) {
    (void)m;
    return n_left < WIDEST ? 1 : WIDEST;
}

static bool feed(ModelRunner *m, const uint32_t *tokens, uint32_t n, uint32_t from, float *logits,
                 Err *err) {
    (void)err;
    Recorder *r = of(m);
    log_line(r, "feed", n);
    for (uint32_t k = 0; k < n; k++) r->seen[r->position + k] = tokens[k];
    for (uint32_t k = from; k < n; k++)
        for (uint32_t i = 0; i < VOCAB; i++)
            logits[(k - from) * VOCAB + i] =
                r->spoilt && r->position + k == r->spoilt
                    ? NAN
                    : (float)(100 * (r->position + k) + 10 * tokens[k] + i);
    r->position += n;
    return true;
}

static uint32_t position(const ModelRunner *m) {
    return of(m)->position;
}

static bool is_long(const ModelRunner *m, size_t length) {
    (void)m;
    return length > ORIGINAL;
}

static uint32_t n_stale(const ModelRunner *m, size_t length) {
    bool is_kept = is_long(m, length) == of(m)->is_long && of(m)->position >= of(m)->oldest;
    return is_kept ? 0 : of(m)->position;
}

static bool expect(ModelRunner *m, uint32_t length, Err *err) {
    (void)err;
    if (n_stale(m, length)) of(m)->position = of(m)->oldest = 0;
    if (is_long(m, length) != of(m)->is_long) log_line(of(m), "factors of", length);
    of(m)->is_long = is_long(m, length);
    return true;
}

static void rewind_to(ModelRunner *m, uint32_t to) {
    log_line(of(m), "rewind", to);
    if (to < of(m)->position) of(m)->position = to;
}

static bool remembers(const ModelRunner *m, uint32_t at) {
    return at >= of(m)->oldest;
}

static void reset(ModelRunner *m) {
    log_line(of(m), "reset", of(m)->position);
    of(m)->position = 0;
}

static const ModelRunnerOps ops = {close_recorder, chunk,  feed,      position, is_long,
                                   n_stale,        expect, rewind_to, reset,    remembers};

static const uint32_t ids[CONTEXT] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};

static Session *open_session(Recorder *r) {
    *r = (Recorder){.model = {.ops = &ops,
                              .label = "recorder",
                              .context = CONTEXT,
                              .n_vocab = VOCAB,
                              .widest = WIDEST,
                              .original_context = ORIGINAL}};
    Session *s = session_open(&r->model, NULL);
    assert_non_null(s);
    return s;
}

static void expect_log(Recorder *r, const char *wanted) {
    assert_string_equal(r->log, wanted);
    r->log[0] = '\0';
}

static void test_chunks_and_the_last_logits(void **state) {
    (void)state;
    Recorder r;
    Session *s = open_session(&r);
    float logits[VOCAB] = {0};
    assert_true(session_feed(s, ids, 6, logits, NULL, NULL));
    expect_log(&r, "feed 4, feed 1, feed 1");
    assert_true(logits[0] == 520 && logits[2] == 522);
    assert_int_equal(session_position(s), 6);
    assert_memory_equal(session_tokens(s), ids, 6 * sizeof *ids);
    assert_true(session_feed(s, ids, 0, logits, NULL, NULL));
    assert_true(session_feed(s, ids, 2, NULL, NULL, NULL)); // nobody wants logits
    expect_log(&r, "feed 1, feed 1");
    session_close(s);
    assert_int_equal(r.n_closed, 1);
}

typedef struct {
    size_t n;
    float first[CONTEXT];
    size_t at[CONTEXT];
} Taken;

static void take(void *context, size_t i, const float *logits) {
    Taken *t = context;
    t->at[t->n] = i;
    t->first[t->n++] = logits[0];
}

static void test_logits_of_each_token_from_one_on(void **state) {
    (void)state;
    Recorder r;
    Session *s = open_session(&r);
    Taken t = {0};
    assert_true(session_feed_each(s, ids, 9, 3, take, &t, NULL));
    assert_int_equal(t.n, 6);
    for (size_t k = 0; k < t.n; k++) {
        assert_int_equal(t.at[k], 3 + k);
        assert_true(t.first[k] == (float)(100 * (3 + k) + 10 * ids[3 + k]));
    }
    session_close(s);
}

static void test_rewind_and_reset(void **state) {
    (void)state;
    Recorder r;
    Session *s = open_session(&r);
    assert_true(session_feed(s, ids, 8, NULL, NULL, NULL));
    session_rewind(s, 5);
    assert_int_equal(session_position(s), 5);
    assert_true(session_feed(s, ids + 1, 1, NULL, NULL, NULL));
    assert_int_equal(session_tokens(s)[5], ids[1]);
    session_reset(s);
    assert_int_equal(session_position(s), 0);
    expect_log(&r, "feed 4, feed 4, rewind 5, feed 1, reset 6");
    session_close(s);
}

static void keep_note(void *context, const char *text) {
    snprintf(((Recorder *)context)->note, sizeof((Recorder *)context)->note, "%s", text);
}

// What was fed is fed again under the set of the new length, on the way up and down.
static void test_tokens_are_fed_again_when_the_factor_set_changes(void **state) {
    (void)state;
    Recorder r;
    Session *s = open_session(&r);
    Progress progress = {.context = &r, .note = keep_note};
    assert_true(session_feed(s, ids, 8, NULL, &progress, NULL));
    r.log[0] = '\0';
    assert_true(session_feed(s, ids + 8, 2, NULL, &progress, NULL));
    expect_log(&r, "factors of 10, feed 4, feed 4, feed 1, feed 1");
    assert_string_equal(r.note, "position 10: the long factors apply; reading 8 tokens again");
    assert_memory_equal(r.seen, ids, 10 * sizeof *ids);
    session_rewind(s, 6);
    assert_true(session_feed(s, ids + 6, 1, NULL, &progress, NULL));
    expect_log(&r, "rewind 6, factors of 7, feed 4, feed 1, feed 1, feed 1");
    assert_string_equal(r.note, "position 7: the short factors apply; reading 6 tokens again");
    session_close(s);
}

// A rewind further than the model's rings remember: everything before it is fed again, once.
static void test_tokens_are_fed_again_when_rings_have_lost_them(void **state) {
    (void)state;
    Recorder r;
    Session *s = open_session(&r);
    Progress progress = {.context = &r, .note = keep_note};
    assert_true(session_feed(s, ids, 8, NULL, &progress, NULL));
    r.oldest = 6;
    assert_int_equal(session_reach(s, 6), 6);
    assert_int_equal(session_reach(s, 5), 0);
    session_rewind(s, 6);
    r.log[0] = '\0';
    assert_true(session_feed(s, ids + 6, 1, NULL, &progress, NULL));
    expect_log(&r, "feed 1");
    session_rewind(s, 5);
    assert_int_equal(session_position(s), 5);
    r.log[0] = '\0';
    assert_true(session_feed(s, ids + 5, 1, NULL, &progress, NULL));
    expect_log(&r, "feed 4, feed 1, feed 1");
    assert_string_equal(r.note, "layers with a window no longer hold the rows before position 5; "
                                "reading 5 tokens again");
    assert_memory_equal(r.seen, ids, 6 * sizeof *ids);
    session_close(s);
}

static void test_an_announced_length_decides_until_a_rewind(void **state) {
    (void)state;
    Recorder r;
    Session *s = open_session(&r);
    assert_true(session_expect(s, 12, NULL));
    assert_true(session_feed(s, ids, 2, NULL, NULL, NULL));
    expect_log(&r, "factors of 12, feed 1, feed 1");
    session_rewind(s, 1);
    assert_true(session_feed(s, ids + 1, 1, NULL, NULL, NULL));
    expect_log(&r, "rewind 1, factors of 2, feed 1, feed 1");
    session_close(s);
}

static bool goes_on(void *context) {
    Recorder *r = context;
    return r->n_left == 0 || --r->n_left > 0;
}

static void test_stopped_between_chunks(void **state) {
    (void)state;
    Recorder r;
    Session *s = open_session(&r);
    Progress progress = {.context = &r, .goes_on = goes_on};
    Err err = {0};
    r.n_left = 3;
    assert_false(session_feed(s, ids, 12, NULL, &progress, &err));
    assert_int_equal(err.kind, ERR_STOPPED);
    assert_int_equal(session_position(s), 8); // what was read stays
    expect_log(&r, "factors of 12, feed 4, feed 4");
    session_close(s);
}

static void keep_report(void *context, const char *what, uint64_t done, uint64_t total) {
    Recorder *r = context;
    snprintf(r->note, sizeof r->note, "%s %u of %u", what, (unsigned)done, (unsigned)total);
}

static void test_a_token_of_an_answer_is_no_prefill(void **state) {
    (void)state;
    Recorder r;
    Session *s = open_session(&r);
    Progress progress = {.context = &r, .report = keep_report};
    assert_true(session_feed(s, ids, 5, NULL, &progress, NULL));
    assert_string_equal(r.note, "prefill: tokens 5 of 5");
    r.note[0] = 0;
    assert_true(session_feed(s, ids + 5, 1, NULL, &progress, NULL));
    assert_string_equal(r.note, "");
    session_close(s);
}

static void test_logits_that_are_not_finite_empty_the_session(void **state) {
    (void)state;
    Recorder r;
    Session *s = open_session(&r);
    Err err = {0};
    float logits[VOCAB];
    r.spoilt = 4;
    assert_true(session_feed(s, ids, 4, logits, NULL, &err));
    assert_false(session_feed(s, ids + 4, 1, logits, NULL, &err));
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_non_null(strstr(err.text, "logits of positions 4 to 4 are not finite in recorder"));
    assert_int_equal(session_position(s), 0);
    expect_log(&r, "feed 4, feed 1, reset 5");
    session_close(s);
}

static void test_what_does_not_fit_changes_nothing(void **state) {
    (void)state;
    Recorder r;
    Session *s = open_session(&r);
    Err err = {0};
    uint32_t unknown = VOCAB, many[CONTEXT + 1] = {0};
    assert_false(session_feed(s, many, CONTEXT + 1, NULL, NULL, &err));
    assert_non_null(strstr(err.text, "33 tokens at position 0 do not fit into the context of 32"));
    assert_false(session_feed(s, &unknown, 1, NULL, NULL, &err));
    assert_string_equal(err.text, "token id 3: the vocabulary has ids 0 to 2");
    expect_log(&r, "");
    assert_true(session_fits(s, CONTEXT, NULL));
    session_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks_and_the_last_logits),
        cmocka_unit_test(test_logits_of_each_token_from_one_on),
        cmocka_unit_test(test_rewind_and_reset),
        cmocka_unit_test(test_tokens_are_fed_again_when_the_factor_set_changes),
        cmocka_unit_test(test_tokens_are_fed_again_when_rings_have_lost_them),
        cmocka_unit_test(test_an_announced_length_decides_until_a_rewind),
        cmocka_unit_test(test_stopped_between_chunks),
        cmocka_unit_test(test_a_token_of_an_answer_is_no_prefill),
        cmocka_unit_test(test_logits_that_are_not_finite_empty_the_session),
        cmocka_unit_test(test_what_does_not_fit_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
