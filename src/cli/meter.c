#include "cli/meter.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double now_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void meter_start(Meter *m) {
    *m = (Meter){.is_terminal = isatty(STDERR_FILENO), .started = now_seconds()};
}

void meter_clear(Meter *m) {
    if (m->width) fprintf(stderr, "\r%*s\r", (int)m->width, "");
    m->width = 0;
}

static void draw(Meter *m, double done, double total, double now) {
    double rate = done / (now - m->stage_started + 1e-9);
    bool is_bytes = total > 1e5; // bytes, or steps
    char line[160];
    int n =
        snprintf(line, sizeof line, "%s %3.0f %%", m->stage, total > 0 ? 100 * done / total : 100);
    if (is_bytes)
        n += snprintf(line + n, sizeof line - (size_t)n, "  %.0f MB/s", rate / 1e6);
    else
        n += snprintf(line + n, sizeof line - (size_t)n, "  %.1f/s", rate);
    if (rate > 0)
        snprintf(line + n, sizeof line - (size_t)n, "  %.0f s to go", (total - done) / rate);
    unsigned width = (unsigned)strlen(line);
    fprintf(stderr, "\r%s%*s", line, m->width > width ? (int)(m->width - width) : 0, "");
    if (width > m->width) m->width = width;
}

static void report(void *context, const char *what, uint64_t done, uint64_t total) {
    Meter *m = context;
    double now = now_seconds();
    if (strncmp(m->stage, what, sizeof m->stage) != 0) {
        snprintf(m->stage, sizeof m->stage, "%s", what);
        m->stage_started = now;
    }
    if (!m->is_terminal || (now - m->drawn < 0.1 && done < total)) return;
    m->drawn = now;
    draw(m, (double)done, (double)total, now);
}

Progress meter_progress(Meter *m) {
    return (Progress){report, m};
}

void meter_finish(Meter *m, const char *what) {
    struct rusage usage;
    meter_clear(m);
    getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
    double peak = (double)usage.ru_maxrss; // bytes
#else
    double peak = (double)usage.ru_maxrss * 1024;
#endif
    fprintf(stderr, "%s in %.1f s, peak resident memory %.0f MiB (mapped files included)\n", what,
            now_seconds() - m->started, peak / (1 << 20));
}
