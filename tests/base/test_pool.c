// Each row is done once, whatever the number of threads and the grain.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdatomic.h>

#include "base/pool.h"

static void mark(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    atomic_int *seen = context;
    for (size_t i = first; i < end; i++) atomic_fetch_add(&seen[i], 1);
}

static void test_each_row_once(void **state) {
    (void)state;
    enum { MOST = 1000 };
    for (unsigned n_threads = 1; n_threads <= 4; n_threads++) {
        Pool *pool = pool_open(n_threads, NULL);
        assert_non_null(pool);
        for (size_t n = 0; n <= MOST; n += 37) {
            atomic_int seen[MOST] = {0};
            pool_run(pool, n, 1 + n % 5, mark, seen);
            for (size_t i = 0; i < MOST; i++) assert_int_equal(seen[i], i < n);
        }
        pool_close(pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_row_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
