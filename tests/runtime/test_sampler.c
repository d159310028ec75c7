// Sampling against a model of each rule in double precision, written from the rules' descriptions
// and not from sampler.c: which tokens may come at all, and how often each comes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/size.h"
#include "runtime/sampler.h"

enum { VOCAB = 24, DRAWS = 20000 };

static const SamplerOptions all_open = {
    .temperature = 1, .top_p = 1, .repeat_penalty = 1, .seed = 7};

// Logits in no order, two of them equal, none on the edge of a rule below.
static void fill_logits(float *logits) {
    for (int i = 0; i < VOCAB; i++) logits[i] = 3.1f * sinf(1.7f * (float)i + 0.4f);
    logits[9] = logits[4];
}

// ---- the model

static bool comes_before(const float *logits, int a, int b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

// shares[i] is how often token i comes, 0 when a rule takes it out.
static void model_shares(const SamplerOptions *o, const float *logits, double *shares) {
    double weights[VOCAB], total = 0, before = 0, kept = 0;
    int order[VOCAB];
    for (int i = 0; i < VOCAB; i++) {
        int rank = 0;
        for (int k = 0; k < VOCAB; k++) rank += comes_before(logits, k, i);
        order[rank] = i;
        shares[i] = 0;
    }
    int n = o->top_k && o->top_k < VOCAB ? (int)o->top_k : VOCAB;
    for (int r = 0; r < n; r++)
        total += weights[r] = exp((double)logits[order[r]] / (double)o->temperature);
    for (int r = 0; r < n; r++) {
        bool is_kept = r == 0 || ((before / total < (double)o->top_p || o->top_p >= 1) &&
                                  weights[r] / weights[0] >= (double)o->min_p);
        before += weights[r];
        if (is_kept) kept += shares[order[r]] = weights[r];
    }
    for (int i = 0; i < VOCAB; i++) shares[i] /= kept;
}

// ---- drawing

static void check_draws(const SamplerOptions *o) {
    float logits[VOCAB], given[VOCAB];
    double shares[VOCAB];
    size_t counts[VOCAB] = {0};
    Err err = {0};
    Sampler *s = sampler_open(o, VOCAB, &err);
    assert_non_null(s);
    fill_logits(logits);
    model_shares(o, logits, shares);
    for (int i = 0; i < DRAWS; i++) {
        memcpy(given, logits, sizeof given);
        uint32_t token = sampler_next(s, given, NULL, 0);
        assert_true(token < VOCAB);
        counts[token]++;
    }
    for (int i = 0; i < VOCAB; i++) {
        // Five standard deviations of a count of independent draws: one row of a table of hundreds
        // would stray so far in 5,000 seeds, and the seed is fixed. One draw more for rounding.
        double wanted = DRAWS * shares[i], bound = 5 * sqrt(wanted * (1 - shares[i])) + 1;
        if (shares[i] == 0) assert_int_equal(counts[i], 0);
        if (fabs((double)counts[i] - wanted) > bound)
            fail_msg("token %d came %zu times, expected %.1f within %.1f", i, counts[i], wanted,
                     bound);
    }
    sampler_close(s);
}

static void test_each_rule_and_all_together(void **state) {
    (void)state;
    static const struct {
        float temperature;
        uint32_t top_k;
        float top_p, min_p;
    } rows[] = {
        {1, 0, 1, 0},                                 // none
        {0.5f, 0, 1, 0},        {2.5f, 0, 1, 0},      // temperature
        {1, 1, 1, 0},           {1, 5, 1, 0},         // top-k
        {1, VOCAB, 1, 0},       {1, VOCAB + 9, 1, 0}, // … of all and more than all
        {1, 0, 0, 0},           {1, 0, 0.6f, 0},      {1, 0, 0.93f, 0}, // top-p
        {1, 0, 1, 0.11f},       {1, 0, 1, 0.6f},      {1, 0, 1, 1},     // min-p
        {2.5f, 9, 1, 0},        {2.5f, 0, 0.8f, 0},   {2.5f, 0, 1, 0.2f},
        {0.7f, 12, 0.9f, 0.1f}, {3, 7, 0.95f, 0.05f}, // all
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        SamplerOptions o = all_open;
        o.temperature = rows[i].temperature;
        o.top_k = rows[i].top_k;
        o.top_p = rows[i].top_p;
        o.min_p = rows[i].min_p;
        check_draws(&o);
    }
}

static void draw(uint64_t seed, uint32_t *tokens, size_t n) {
    SamplerOptions o = all_open;
    o.seed = seed;
    Sampler *s = sampler_open(&o, VOCAB, NULL);
    float logits[VOCAB];
    for (size_t i = 0; i < n; i++) {
        fill_logits(logits);
        tokens[i] = sampler_next(s, logits, NULL, 0);
    }
    sampler_close(s);
}

// The first `k` of a sorted vocabulary, against a sampler that sorts it whole (no top-k) and is given
// the same logits with all others at -infinity: the same tokens for every seed, equals included.
static void test_top_k_draws_as_from_a_sorted_vocabulary(void **state) {
    (void)state;
    enum { MANY = 1009 };
    static const uint32_t ks[] = {1, 2, 3, 7, 50, 200, 512, MANY - 1, MANY, MANY + 1};
    static const uint32_t levels[] = {1, 2, 5, 40,
                                      1000000}; // of logits: the fewer, the more equals
    uint32_t random = 1;
    for (size_t l = 0; l < COUNT_OF(levels); l++)
        for (size_t i = 0; i < COUNT_OF(ks); i++) {
            SamplerOptions by_k = all_open, sorted = all_open;
            by_k.seed = sorted.seed = 31 * l + i;
            by_k.temperature = sorted.temperature = 0.9f;
            by_k.top_p = sorted.top_p = l % 2 ? 0.93f : 1;
            by_k.min_p = sorted.min_p = i % 2 ? 1e-6f : 0; // more than what is left at -infinity
            by_k.top_k = ks[i];
            Sampler *a = sampler_open(&by_k, MANY, NULL), *b = sampler_open(&sorted, MANY, NULL);
            for (int draw = 0; draw < 20; draw++) {
                float logits[MANY], first_k[MANY];
                for (int t = 0; t < MANY; t++) {
                    random = random * 1664525 + 1013904223;
                    logits[t] = 8 * (float)((random >> 8) % levels[l]) / (float)levels[l];
                }
                for (int t = 0; t < MANY; t++) {
                    uint32_t rank = 0;
                    for (int o = 0; o < MANY; o++) rank += comes_before(logits, o, t);
                    first_k[t] = rank < ks[i] ? logits[t] : -INFINITY;
                }
                uint32_t got = sampler_next(a, logits, NULL, 0);
                uint32_t want = sampler_next(b, first_k, NULL, 0);
                if (got != want) fail_msg("k %u, draw %d: %u, sorted %u", ks[i], draw, got, want);
            }
            sampler_close(a);
            sampler_close(b);
        }
}

static void test_the_seed_decides(void **state) {
    (void)state;
    uint32_t a[32], again[32], other[32];
    draw(1, a, 32);
    draw(1, again, 32);
    draw(2, other, 32);
    assert_memory_equal(a, again, sizeof a);
    assert_memory_not_equal(a, other, sizeof a);
}

static void test_without_temperature_the_largest_and_the_first_of_equals(void **state) {
    (void)state;
    SamplerOptions o = all_open;
    o.temperature = 0;
    Sampler *s = sampler_open(&o, VOCAB, NULL);
    float logits[VOCAB] = {0};
    logits[5] = logits[11] = 2;
    for (int i = 0; i < 8; i++) assert_int_equal(sampler_next(s, logits, NULL, 0), 5);
    logits[20] = 2.5f;
    assert_int_equal(sampler_next(s, logits, NULL, 0), 20);
    sampler_close(s);
}

// Logits of tokens that were seen shrink towards "unlikely" whatever their sign, each once and
// however long ago, as the publisher's code has it.
static void test_repeat_penalty(void **state) {
    (void)state;
    SamplerOptions o = all_open;
    o.temperature = 0;
    o.repeat_penalty = 2;
    uint32_t seen[200];
    for (size_t i = 0; i < COUNT_OF(seen); i++) seen[i] = i % 2 ? 3 : 8;
    seen[0] = 6;
    Sampler *s = sampler_open(&o, VOCAB, NULL);
    float logits[VOCAB], before[VOCAB];
    for (int i = 0; i < VOCAB; i++) before[i] = logits[i] = i % 3 ? 1 + (float)i : -1 - (float)i;
    sampler_next(s, logits, seen, COUNT_OF(seen));
    for (int i = 0; i < VOCAB; i++) {
        bool is_seen = i == 3 || i == 8 || i == 6;
        float wanted = !is_seen ? before[i] : before[i] > 0 ? before[i] / 2 : before[i] * 2;
        assert_true(logits[i] == wanted);
    }
    sampler_close(s);
}

static void test_repeat_penalty_of_one_changes_nothing(void **state) {
    (void)state;
    Sampler *s = sampler_open(&all_open, VOCAB, NULL);
    float logits[VOCAB], before[VOCAB];
    uint32_t recent[] = {1, 2, 3};
    fill_logits(logits);
    memcpy(before, logits, sizeof before);
    sampler_next(s, logits, recent, COUNT_OF(recent));
    assert_memory_equal(logits, before, sizeof before);
    sampler_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule_and_all_together),
        cmocka_unit_test(test_top_k_draws_as_from_a_sorted_vocabulary),
        cmocka_unit_test(test_the_seed_decides),
        cmocka_unit_test(test_without_temperature_the_largest_and_the_first_of_equals),
        cmocka_unit_test(test_repeat_penalty),
        cmocka_unit_test(test_repeat_penalty_of_one_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
