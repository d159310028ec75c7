#include "cli/meter.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/usage.h"

// Seconds: between two pictures that reports make, until a rate says something, and until the line
// is redrawn without a report.
#define REDRAW_AFTER 0.1
#define RATE_AFTER   0.3
#define TICK         0.5
#define SAMPLE_AFTER 0.002 // between two looks at the memory in use, which take 20 µs

static void sample(Meter *m) {
    double now = now_seconds();
    if (now - m->sampled < SAMPLE_AFTER) return;
    double bytes = own_bytes();
    if (bytes > m->peak_own) m->peak_own = bytes;
    m->sampled = now;
}

// ---- the line. Called with the lock held.

static void erase(Meter *m) {
    if (m->width) fprintf(stderr, "\r%*s\r", (int)m->width, "");
    m->width = 0;
}

static void draw(Meter *m) {
    double now = now_seconds(), seconds = now - m->stage_started;
    double rate = (m->done - m->stage_done) / (seconds + 1e-9);
    bool is_bytes = m->total > 1e5; // bytes, or steps
    char line[160];
    int n = snprintf(line, sizeof line, "%s", m->stage);
    if (m->total > 0)
        n += snprintf(line + n, sizeof line - (size_t)n, " %3.0f %%", 100 * m->done / m->total);
    if (m->total > 0 && rate > 0 && seconds >= RATE_AFTER)
        n += snprintf(line + n, sizeof line - (size_t)n,
                      is_bytes ? "  %.0f MB/s  %.0f s to go" : "  %.1f/s  %.0f s to go",
                      is_bytes ? rate / 1e6 : rate, (m->total - m->done) / rate);
    if (seconds >= 1) snprintf(line + n, sizeof line - (size_t)n, "  %.0f s", seconds);
    unsigned width = (unsigned)strlen(line);
    fprintf(stderr, "\r%s%*s", line, m->width > width ? (int)(m->width - width) : 0, "");
    if (width > m->width) m->width = width;
    m->drawn = now;
}

static void *tick(void *context) {
    Meter *m = context;
    pthread_mutex_lock(&m->lock);
    while (!m->is_closing) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)(TICK * 1e9);
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&m->wake, &m->lock, &until);
        if (!m->is_closing && !m->is_resting && now_seconds() - m->drawn >= TICK / 2) draw(m);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

// ---- what commands call

void meter_start(Meter *m) {
    double now = now_seconds();
    *m = (Meter){.started = now, .stage_started = now, .stage = "opening"};
    if (!isatty(STDERR_FILENO)) return;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->wake, NULL);
    // Ctrl-C is for the thread that reads keys: it must be that one's system call that ends.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    m->is_terminal = pthread_create(&m->ticker, NULL, tick, m) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void report(void *context, const char *what, uint64_t done, uint64_t total) {
    Meter *m = context;
    sample(m);
    if (!m->is_terminal) return;
    pthread_mutex_lock(&m->lock);
    double now = now_seconds();
    if (strncmp(m->stage, what, sizeof m->stage - 1) != 0 || (double)done < m->done) {
        snprintf(m->stage, sizeof m->stage, "%s", what);
        m->stage_started = now;
        m->stage_done = (double)done;
    }
    m->done = (double)done;
    m->total = (double)total;
    m->is_resting = false;
    // What is over at once is not worth a picture.
    if (now - m->drawn >= REDRAW_AFTER && now - m->stage_started >= REDRAW_AFTER) draw(m);
    pthread_mutex_unlock(&m->lock);
}

static void note(void *context, const char *text) {
    Meter *m = context;
    meter_clear(m);
    fprintf(stderr, "[%s]\n", text);
}

Progress meter_progress(Meter *m) {
    return (Progress){.report = report, .context = m, .note = note};
}

static void clear(Meter *m, bool rests) {
    if (!m->is_terminal) return;
    pthread_mutex_lock(&m->lock);
    erase(m);
    m->drawn = now_seconds(); // time for what is printed now
    m->is_resting = m->is_resting || rests;
    pthread_mutex_unlock(&m->lock);
}

void meter_clear(Meter *m) {
    clear(m, false);
}

void meter_rest(Meter *m) {
    clear(m, true);
}

void meter_stop(Meter *m) {
    if (!m->is_terminal) return;
    pthread_mutex_lock(&m->lock);
    erase(m);
    m->is_closing = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->ticker, NULL);
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    m->is_terminal = false;
}

void meter_finish(Meter *m, const char *what) {
    meter_stop(m);
    m->sampled = 0;
    sample(m);
    fprintf(stderr, "%s in %.1f s, peak memory %.0f MiB (with mapped files %.0f MiB resident)\n",
            what, now_seconds() - m->started, m->peak_own / (1 << 20), peak_bytes() / (1 << 20));
}
