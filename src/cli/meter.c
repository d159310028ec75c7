#include "cli/meter.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "base/usage.h"

// Seconds.
#define REDRAW_AFTER 0.1   // between two drawings that reports cause
#define SHOW_AFTER   0.3   // until a stage shows its rate
#define TICK         0.5   // until the line is redrawn without a report
#define SAMPLE_AFTER 0.002 // between two readings of the memory in use, which take 20 us
#define LOG_AFTER    60    // between two lines in a file

// Steps may differ in cost, so few of them predict little.
enum { LEAST_STEPS = 3 };

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

// "about 20 s left", "about 3 min left": no finer than a rate that changes allows.
static void add_estimate(StrBuf *out, double seconds) {
    if (seconds < 10)
        strbuf_printf(out, ", about %.0f s left", ceil(seconds));
    else if (seconds < 90)
        strbuf_printf(out, ", about %.0f s left", 5 * ceil(seconds / 5));
    else
        strbuf_printf(out, ", about %.0f min left", ceil(seconds / 60));
}

// "vote 5 of 31 readings, 1.4 s each, about 40 s left, 7 s so far"; "weights 18 %, 210 MB/s, …".
static void describe(const Meter *m, double now, StrBuf *out) {
    double seconds = now - m->stage_started, n = m->done - m->stage_done;
    const char *unit = strstr(m->stage, ": ");
    strbuf_printf(out, "%.*s", (int)(unit ? (size_t)(unit - m->stage) : strlen(m->stage)),
                  m->stage);
    unit = unit ? unit + 2 : NULL;
    if (unit && m->total > 0)
        strbuf_printf(out, " %.0f of %.0f %s", m->done, m->total, unit);
    else if (unit && m->done > 0)
        strbuf_printf(out, " %.0f %s", m->done, unit);
    else if (m->total > 0)
        strbuf_printf(out, " %.0f %%", 100 * m->done / m->total);
    if (m->total > 0 && n > 0 && seconds >= SHOW_AFTER) {
        if (!unit)
            strbuf_printf(out, ", %.*f MB/s", n / seconds < 10e6, n / seconds / 1e6);
        else if (n > seconds)
            strbuf_printf(out, ", %.1f/s", n / seconds);
        else
            strbuf_printf(out, ", %.1f s each", seconds / n);
        if ((!unit || n >= LEAST_STEPS) && m->done < m->total)
            add_estimate(out, (m->total - m->done) * seconds / n);
    }
    if (seconds >= 1) strbuf_printf(out, ", %.0f s so far", seconds);
}

static void draw(Meter *m) {
    double now = now_seconds();
    StrBuf line = {0};
    describe(m, now, &line);
    unsigned width = (unsigned)line.len;
    fprintf(stderr, "\r%s%*s", line.at, m->width > width ? (int)(m->width - width) : 0, "");
    if (width > m->width) m->width = width;
    m->drawn = now;
    strbuf_free(&line);
}

// In a file: a line of its own, seldom.
static void log_line(Meter *m, double now) {
    if (now - m->drawn < m->log_after) return;
    StrBuf line = {0};
    describe(m, now, &line);
    fprintf(stderr, "[%s]\n", line.at);
    m->drawn = now;
    strbuf_free(&line);
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
    *m = (Meter){.started = now,
                 .stage_started = now,
                 .drawn = now,
                 .log_after = LOG_AFTER,
                 .stage = "opening"};
    if (!isatty(STDERR_FILENO)) return;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->wake, NULL);
    // The ticker takes no signals: Ctrl-C has to interrupt the system call of the thread that reads
    // keys.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    m->is_terminal = pthread_create(&m->ticker, NULL, tick, m) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void report(void *context, const char *what, uint64_t done, uint64_t total) {
    Meter *m = context;
    sample(m);
    if (m->is_terminal) pthread_mutex_lock(&m->lock);
    double now = now_seconds();
    if (strncmp(m->stage, what, sizeof m->stage - 1) != 0 || (double)done < m->done) {
        snprintf(m->stage, sizeof m->stage, "%s", what);
        m->stage_started = now;
        m->stage_done = (double)done;
    }
    m->done = (double)done;
    m->total = (double)total;
    m->is_resting = false;
    if (!m->is_terminal)
        log_line(m, now);
    else if (now - m->drawn >= REDRAW_AFTER && now - m->stage_started >= REDRAW_AFTER)
        draw(m); // a stage that ends at once is not drawn
    if (m->is_terminal) pthread_mutex_unlock(&m->lock);
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
