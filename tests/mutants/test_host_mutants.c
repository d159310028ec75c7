// Hosts that are wrong on purpose: without a change such a host does what the true one does, to the
// bit, and each row of the table changes something.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/size.h"
#include "mutants/bundle_mutants.h"

#define MODEL LATHE_MODELS "/hello-phi3-f16.gguf"

enum { CONTEXT = 4096, ROWS = 64 };

typedef struct {
    Arena arena;
    Gguf g;
    Model model;
} Hello;

static int open_hello(void **state) {
    static Hello hello;
    Err err = {0};
    *state = &hello;
    return gguf_open(&hello.g, &hello.arena, MODEL, &err) &&
                   model_read(&hello.model, &hello.g, &hello.arena, &err)
               ? 0
               : -1;
}

static int close_hello(void **state) {
    Hello *hello = *state;
    gguf_close(&hello->g);
    arena_free(&hello->arena);
    return 0;
}

// ---- what a host does, as bytes

static void add(StrBuf *all, const void *at, size_t n) {
    strbuf_add(all, (Str){at, n});
}

static void add_step(StrBuf *all, Host *h, uint32_t position, uint32_t n_rows) {
    const HostStep *s = host_fill(h, position, n_rows);
    size_t n_rope = (size_t)h->contract->head_dim / 8 * n_rows; // some of it
    size_t n_mask = (size_t)h->shape.state_rows * n_rows;
    add(all, s->kinds[0].cosines, n_rope * sizeof(float));
    add(all, s->kinds[0].sines, n_rope * sizeof(float));
    add(all, s->kinds[0].mask, n_mask * sizeof(float));
    add(all, s->whole.write_mask, n_mask * sizeof(float));
    add(all, &s->whole.begin, sizeof s->whole.begin);
    add(all, &s->whole.end, sizeof s->whole.end);
}

static void add_tables(StrBuf *all, Host *h) {
    static const uint32_t positions[] = {0, ROWS, 300, 1100, 2101, CONTEXT - ROWS};
    for (size_t i = 0; i < COUNT_OF(positions); i++) {
        add_step(all, h, positions[i], 1);
        add_step(all, h, positions[i], ROWS);
    }
}

static void add_factors(StrBuf *all, Host *h) {
    uint32_t original = h->contract->original_context;
    for (uint32_t length = original - 2; length <= original + 2; length++) {
        bool is_long = h->ops->is_long(h, length);
        h->position = 7;
        uint32_t n_stale = h->ops->n_stale(h, length);
        add(all, &is_long, sizeof is_long);
        add(all, &n_stale, sizeof n_stale);
    }
}

static void add_rows(StrBuf *all, Host *h) {
    const Contract *c = h->contract;
    uint32_t ids[] = {3, mutant_token(c), 5};
    enum { N = 3, N_ROWS = 4 };
    float *x = calloc((size_t)N_ROWS * c->d_model, sizeof *x);
    float *row = calloc(c->d_model, sizeof *row), *logits = calloc(c->n_vocab, sizeof *logits);
    float *slice = calloc(c->n_vocab, sizeof *slice);
    h->ops->embed(h, ids, N, x, N_ROWS);
    add(all, x, (size_t)N_ROWS * c->d_model * sizeof *x);
    h->ops->take_row(h, x, N_ROWS, 1, row);
    add(all, row, c->d_model * sizeof *row);
    for (size_t i = 0; i < c->n_vocab; i++) slice[i] = (float)i;
    size_t half = c->n_vocab / 2;
    h->ops->put_logits(h, logits, 0, slice, half);
    h->ops->put_logits(h, logits, half, slice + half, c->n_vocab - half);
    add(all, logits, c->n_vocab * sizeof *logits);
    free(x);
    free(row);
    free(logits);
    free(slice);
}

static void add_positions(StrBuf *all, Host *h) {
    h->position = 0;
    static const size_t fed[][2] = {{64, 64}, {5, 64}, {1, 1}};
    for (size_t i = 0; i < COUNT_OF(fed); i++) {
        h->ops->advance(h, fed[i][0], fed[i][1]);
        add(all, &h->position, sizeof h->position);
    }
    h->ops->rewind(h, 10);
    add(all, &h->position, sizeof h->position);
    h->ops->rewind(h, 20); // never forwards
    add(all, &h->position, sizeof h->position);
}

// A digest of everything that the host does.
static Sha256 digest(const Hello *hello, const HostOps *ops) {
    Host h;
    Err err = {0};
    HostShape shape = {
        .context = CONTEXT, .state_rows = CONTEXT, .most_rows = ROWS, .has_write_mask = true};
    if (!host_open(&h, ops, &hello->model.contract, hello->model.weights.embedding.tensor, &shape,
                   &err))
        fail_msg("%s", err.text);
    StrBuf all = {0};
    add_tables(&all, &h);
    host_take_factors(&h, true);
    add_step(&all, &h, 1100, 1);
    host_take_factors(&h, false);
    add_factors(&all, &h);
    add_rows(&all, &h);
    add_positions(&all, &h);
    Sha256 sha = sha256_bytes(all.at, all.len);
    strbuf_free(&all);
    host_close(&h);
    return sha;
}

static void test_without_a_change_it_is_the_true_host(void **state) {
    const Hello *hello = *state;
    MutantHost m;
    mutant_host(&m, &(HostChanges){0}, NULL);
    assert_string_equal(digest(hello, &m.ops).hex, digest(hello, &host_ops).hex);
}

static void test_every_row_changes_something(void **state) {
    const Hello *hello = *state;
    Sha256 truth = digest(hello, &host_ops);
    size_t n = 0;
    for (size_t i = 0; bundle_mutant_at(i); i++) {
        const BundleMutant *row = bundle_mutant_at(i);
        if (row->kind != MUTANT_HOST ||
            bundle_mutant_idle_reason(row, &hello->model.contract, CONTEXT, ROWS))
            continue;
        MutantHost m;
        mutant_host(&m, &row->host, NULL);
        if (strcmp(digest(hello, &m.ops).hex, truth.hex) == 0)
            fail_msg("%s changes nothing", row->name);
        n++;
    }
    assert_true(n >= 28);
}

// A host that is handed another contract computes by it, whatever it was opened with.
static void test_another_contract(void **state) {
    const Hello *hello = *state;
    Contract read = hello->model.contract;
    read.embedding_scale *= 2;
    MutantHost m;
    mutant_host(&m, &(HostChanges){0}, &read);
    assert_string_not_equal(digest(hello, &m.ops).hex, digest(hello, &host_ops).hex);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_change_it_is_the_true_host),
        cmocka_unit_test(test_every_row_changes_something),
        cmocka_unit_test(test_another_contract),
    };
    return cmocka_run_group_tests(tests, open_hello, close_hello);
}
