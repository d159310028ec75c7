// pool.c — workers take pieces of a loop's rows from one counter; between loops they spin briefly,
// then sleep on a condition.
#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/size.h"

// Workers spin a little before they sleep: the gap between two operators of one token is shorter
// than a wake-up.
enum { SPINS = 2000, MAX_THREADS = 256, PIECES_PER_THREAD = 4 };

typedef struct {
    Pool *pool;
    unsigned worker;
} Seat;

struct Pool {
    unsigned n_threads;
    pthread_t threads[MAX_THREADS];
    Seat seats[MAX_THREADS];

    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    atomic_uint round;   // grows by one a job
    atomic_uint working; // helpers that have not finished this round
    bool closing;

    PoolTask *task;
    void *context;
    size_t n_rows, piece;
    atomic_size_t next;
};

static void work(Pool *p, unsigned worker) {
    for (;;) {
        size_t first = atomic_fetch_add(&p->next, p->piece);
        if (first >= p->n_rows) return;
        p->task(p->context, first, min_size(first + p->piece, p->n_rows), worker);
    }
}

static void *helper(void *arg) {
    const Seat *seat = arg;
    Pool *p = seat->pool;
    unsigned seen = 0;
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load(&p->round) == seen; i++) {
        }
        if (atomic_load(&p->round) == seen) {
            pthread_mutex_lock(&p->lock);
            while (atomic_load(&p->round) == seen) pthread_cond_wait(&p->wake, &p->lock);
            pthread_mutex_unlock(&p->lock);
        }
        seen = atomic_load(&p->round);
        if (p->closing) return NULL;
        work(p, seat->worker);
        if (atomic_fetch_sub(&p->working, 1) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static void start_round(Pool *p) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->round, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

Pool *pool_open(unsigned n_threads, Err *err) {
    if (n_threads == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        n_threads = n > 0 ? (unsigned)n : 1;
    }
    if (n_threads > MAX_THREADS) n_threads = MAX_THREADS;
    Pool *p = calloc(1, sizeof *p);
    if (!p) {
        err_set(err, ERR_SYSTEM, "threads: no memory");
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    p->n_threads = 1;
    // Signals are for the thread that reads keys, not for helpers.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (unsigned i = 1; i < n_threads; i++) {
        p->seats[i] = (Seat){p, i};
        if (pthread_create(&p->threads[i], NULL, helper, &p->seats[i]) != 0) break;
        p->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (p->n_threads == n_threads) return p;
    err_set(err, ERR_SYSTEM, "cannot start thread %u of %u", p->n_threads + 1, n_threads);
    pool_close(p);
    return NULL;
}

unsigned pool_threads(const Pool *p) {
    return p ? p->n_threads : 1;
}

void pool_run(Pool *p, size_t n_rows, size_t grain, PoolTask *task, void *context) {
    if (n_rows == 0) return;
    if (grain == 0) grain = 1;
    if (!p || p->n_threads == 1 || n_rows <= grain) {
        task(context, 0, n_rows, 0);
        return;
    }
    p->task = task;
    p->context = context;
    p->n_rows = n_rows;
    p->piece = max_size(grain, n_rows / ((size_t)p->n_threads * PIECES_PER_THREAD));
    atomic_store(&p->next, 0);
    atomic_store(&p->working, p->n_threads - 1);
    start_round(p);
    work(p, 0);
    for (int i = 0; i < SPINS && atomic_load(&p->working); i++) {
    }
    if (atomic_load(&p->working)) {
        pthread_mutex_lock(&p->lock);
        while (atomic_load(&p->working)) pthread_cond_wait(&p->done, &p->lock);
        pthread_mutex_unlock(&p->lock);
    }
}

void pool_close(Pool *p) {
    if (!p) return;
    p->closing = true;
    start_round(p);
    for (unsigned i = 1; i < p->n_threads; i++) pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
