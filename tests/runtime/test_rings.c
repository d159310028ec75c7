// Rings against a table: which position lies in which slot is noted from what the host writes, and then
// every mask must show exactly the positions of the window, wherever a sequence goes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "decoder/ports.h"
#include "runtime/host.h"
#include "runtime/wide_step.h"

// The ring is as short as it may be: a window and a call.
enum { ROWS = 4, WINDOW = 5, SLOTS = WINDOW + ROWS, BEHIND = ROWS, STATE = 64, NOTHING = -1 };
typedef enum { OVERWRITE, SLICE, NEW_ROWS, FORMS } Form;

typedef struct {
    Contract contract;
    Host host;
    WideStep wide;
    Form form;
    int64_t held[STATE]; // by slot: whose row lies there
} Ring;

static void open_ring(Ring *t, Form form, bool is_one_function) {
    Err err = {0};
    *t = (Ring){.contract = {.d_model = 8, .kinds = {{.attn_window = WINDOW}}}, .form = form};
    HostShape shape = {.context = STATE,
                       .state_rows = STATE,
                       .ring_slots = SLOTS,
                       .ring_rows = SLOTS + (form == OVERWRITE ? 0 : BEHIND),
                       .most_rows = ROWS,
                       .least_rows = is_one_function && form != OVERWRITE ? ROWS : 1,
                       .has_write_mask = form == OVERWRITE,
                       .masks_new_rows = form == NEW_ROWS};
    if (!host_open(&t->host, &host_ops, &t->contract, NULL, &shape, &err) ||
        (is_one_function && !wide_step_open(&t->wide, &t->host, ROWS, &err)))
        fail_msg("%s", err.text);
    for (size_t s = 0; s < STATE; s++) t->held[s] = NOTHING;
}

static void close_ring(Ring *t) {
    wide_step_close(&t->wide);
    host_close(&t->host);
}

// Row t of a step, whose position is `p`, is stored: a copy of another, or padding, is nobody's.
static void store(Ring *t, const HostStep *step, int64_t p, uint32_t row) {
    if (t->form != OVERWRITE) {
        int32_t slot = step->ring.begin + (int32_t)row;
        assert_true(slot >= 0 && slot < SLOTS + BEHIND);
        t->held[slot] = p;
        return;
    }
    for (uint32_t s = 0; s < SLOTS; s++) {
        float mask = step->ring.write_mask[s * step->n_rows + row];
        assert_true(mask == 0 || mask == 1);
        if (mask == 1) t->held[s] = p;
    }
}

// Row `row` must see the rows of its window, each once, and nothing else.
static void check_row(const Ring *t, const HostStep *step, uint32_t row, uint32_t position) {
    size_t n_columns = host_n_columns(&t->host, 0, step->n_rows), n_slots = t->host.shape.ring_rows;
    const float *mask = step->kinds[0].mask + row * n_columns;
    uint32_t n_seen = 0, wanted = position + 1 < WINDOW ? position + 1 : WINDOW;
    bool is_seen[STATE] = {false};
    for (size_t i = 0; i < n_columns; i++) {
        assert_true(mask[i] == 0 || mask[i] == MASK_OFF);
        if (mask[i] != 0) continue;
        int64_t p = i < n_slots ? t->held[i] : (int64_t)(step->position + i - n_slots);
        assert_true(p >= 0 && p <= position && p + WINDOW > position && !is_seen[p]);
        is_seen[p] = true;
        n_seen++;
    }
    assert_int_equal(n_seen, wanted);
}

// Feeds `n` tokens in a call of n_rows rows.
static void feed(Ring *t, uint32_t n, uint32_t n_rows) {
    uint32_t at = t->host.position;
    const HostStep *step = host_fill(&t->host, at, n_rows);
    bool is_widened = n_rows < t->wide.n_rows;
    if (is_widened) step = wide_step_fill(&t->wide, &t->host, step);
    for (uint32_t row = 0; row < step->n_rows && t->form != NEW_ROWS; row++)
        store(t, step, row < n ? (int64_t)at + row : NOTHING, row);
    // Padding sees other rows of padding: nobody reads it.
    if (t->form != NEW_ROWS)
        for (uint32_t row = 0; row < n_rows - n; row++)
            if (t->form == SLICE) t->held[step->ring.begin + (int32_t)(n + row)] = NOTHING;
    for (uint32_t row = 0; row < n; row++) check_row(t, step, row, at + row);
    for (uint32_t row = 0; row < step->n_rows && t->form == NEW_ROWS; row++)
        store(t, step, row < n ? (int64_t)at + row : NOTHING, row);
    t->host.ops->advance(&t->host, n, n_rows);
}

static uint32_t random_below(uint32_t *seed, uint32_t n) {
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 16) % n;
}

// Steps and calls as a session takes them, to the end of the context, and back as far as the ring
// remembers.
static void walk(Ring *t, uint32_t seed) {
    uint32_t n_rewinds = 0;
    while (t->host.position + ROWS <= STATE) {
        uint32_t at = t->host.position, room = host_room(&t->host, at);
        uint32_t n = (uint32_t)min_size(1 + random_below(&seed, ROWS), room);
        feed(t, n, n == 1 && random_below(&seed, 2) ? 1 : ROWS);
        if (random_below(&seed, 4) || n_rewinds++ > 20) continue;
        uint32_t back = random_below(&seed, 4);
        if (back > t->host.position) back = t->host.position;
        uint32_t to = t->host.position - back;
        if (t->host.ops->remembers(&t->host, to)) t->host.ops->rewind(&t->host, to);
    }
    assert_true(t->host.position > 4 * SLOTS);
}

static void test_every_row_sees_its_window(void **state) {
    (void)state;
    for (int form = 0; form < FORMS; form++)
        for (int is_one = 0; is_one < 2; is_one++)
            for (uint32_t seed = 0; seed < 200; seed++) {
                Ring t;
                open_ring(&t, (Form)form, is_one);
                walk(&t, seed);
                close_ring(&t);
            }
}

// Up to `end` rows are written: a row at `to` sees WINDOW - 1 before it, and the ring holds SLOTS.
static void test_what_a_rewind_may_rely_on(void **state) {
    (void)state;
    for (uint32_t end = 1; end < STATE - ROWS; end++)
        for (uint32_t to = 0; to <= end; to++) {
            Ring t;
            open_ring(&t, OVERWRITE, false);
            while (t.host.position < end) feed(&t, 1, 1);
            uint32_t oldest = to + 1 > WINDOW ? to + 1 - WINDOW : 0,
                     lost = end > SLOTS ? end - SLOTS : 0;
            assert_int_equal(t.host.ops->remembers(&t.host, to), oldest >= lost);
            t.host.ops->rewind(&t.host, to);
            assert_int_equal(t.host.ops->n_stale(&t.host, to + 1), oldest >= lost ? 0 : to);
            t.host.ops->rewind(&t.host, 0); // all is read again
            assert_int_equal(t.host.ops->n_stale(&t.host, 1), 0);
            close_ring(&t);
        }
}

// Padding is written, too, and a single row in every column of a wider call.
static void test_padding_takes_the_place_of_older_rows(void **state) {
    (void)state;
    Ring t;
    open_ring(&t, SLICE, true);
    for (uint32_t i = 0; i < SLOTS; i++) feed(&t, 1, 1);
    // Rows up to SLOTS + ROWS - 1 are written: ROWS - 1 at the front of the ring are gone.
    assert_true(t.host.ops->remembers(&t.host, ROWS - 1 + WINDOW - 1));
    assert_false(t.host.ops->remembers(&t.host, ROWS - 1 + WINDOW - 2));
    close_ring(&t);
}

static void test_room_before_the_end_of_a_ring(void **state) {
    (void)state;
    static const struct {
        uint32_t position, room;
    } rows[] = {
        {0, SLOTS}, {1, SLOTS - 1}, {SLOTS - 1, 1}, {SLOTS, SLOTS}, {2 * SLOTS + 3, SLOTS - 3}};
    for (int form = 0; form < FORMS; form++)
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            Ring t;
            open_ring(&t, (Form)form, false);
            assert_int_equal(host_room(&t.host, rows[i].position),
                             form == OVERWRITE ? UINT32_MAX : rows[i].room);
            close_ring(&t);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_sees_its_window),
        cmocka_unit_test(test_what_a_rewind_may_rely_on),
        cmocka_unit_test(test_padding_takes_the_place_of_older_rows),
        cmocka_unit_test(test_room_before_the_end_of_a_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
