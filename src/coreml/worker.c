#include "coreml/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/child.h"
#include "base/usage.h"
#include "coreml/device.h"
#include "coreml/errors.h"
#include "coreml/log.h"

enum { POLL_MS = 50, MOST_ARGUMENTS = 8, DEFAULT_MINUTES = 60 };

static const char *worker_program;

void coreml_set_worker(const char *program) {
    worker_program = program;
}

static bool skips_trials;

void coreml_skip_trials(void) {
    skips_trials = true;
}

bool worker_tries_first(void) {
    return worker_program && !skips_trials;
}

bool worker_is_set(void) {
    return worker_program != NULL;
}

// ---- limits

typedef struct {
    double seconds, bytes;
} Limits;

// A number above 0 in the variable, or `otherwise`.
static bool read_number(const char *variable, double otherwise, double *out, Err *err) {
    const char *text = getenv(variable);
    char *end;
    *out = otherwise;
    if (!text || !*text) return true;
    *out = strtod(text, &end);
    return (!*end && *out > 0 && *out < 1e9) ||
           err_set(err, ERR_USAGE, "%s=%s: expected a number above 0", variable, text);
}

static bool read_limits(Limits *l, Err *err) {
    double minutes, gib, machine = machine_bytes() / (1 << 30);
    if (!read_number("LATHE_COREML_MINUTES", DEFAULT_MINUTES, &minutes, err) ||
        !read_number("LATHE_COREML_GIB", machine > 0 ? machine : 1e6, &gib, err))
        return false;
    *l = (Limits){60 * minutes, gib * (1 << 30)};
    return true;
}

static bool say_late(const WorkerJob *job, const Limits *l, Err *err) {
    return err_set(err, ERR_SYSTEM,
                   "%s took longer than %.3g minutes and was ended; LATHE_COREML_MINUTES allows "
                   "more; log: %s",
                   job->does, l->seconds / 60, job->log);
}

static bool say_large(const WorkerJob *job, const Limits *l, Err *err) {
    return err_set(err, ERR_SYSTEM,
                   "%s took more than %.3g GiB of memory and was ended; LATHE_COREML_GIB allows "
                   "more, --layers-per-shard of lathe convert makes smaller packages; log: %s",
                   job->does, l->bytes / (1 << 30), job->log);
}

// ---- the process

static bool wait_for(ChildProcess *p, const WorkerJob *job, const Limits *l,
                     const Progress *progress, ChildEnd *end, Err *err) {
    while (!child_poll(p, end)) {
        double waited = now_seconds() - p->started;
        bool is_late = waited > l->seconds, is_large = process_bytes(p->pid) > l->bytes;
        if (is_late || is_large || !progress_goes_on(progress)) {
            child_kill(p);
            return is_late    ? say_late(job, l, err)
                   : is_large ? say_large(job, l, err)
                              : err_set(err, ERR_STOPPED, "%s was stopped", job->does);
        }
        // Past the estimate nothing is known.
        uint64_t total = waited < (double)job->expected_seconds ? job->expected_seconds : 0;
        progress_report(progress, job->stage, (uint64_t)waited, total);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    return true;
}

// It ends with this process, too.
static bool start(ChildProcess *p, const WorkerJob *job, Err *err) {
    const char *arguments[MOST_ARGUMENTS + 3] = {worker_program, "coreml-worker"};
    for (size_t i = 0; job->arguments[i] && i < MOST_ARGUMENTS; i++)
        arguments[i + 2] = job->arguments[i];
    Child child = {.arguments = arguments, .log = job->log, .appends = true, .shares_group = true};
    return child_start(p, &child, err);
}

// The process has said why, in its last line, or had no time to.
static bool say_failure(const WorkerJob *job, const ChildEnd *end, char *wrote, Err *err) {
    char text[LOG_TAIL + 300];
    if (end->signal) {
        snprintf(text, sizeof text, "%s was ended by signal %d; log: %.200s; it wrote: %s",
                 job->does, end->signal, job->log, wrote);
        return coreml_error_set(err, job->does, text);
    }
    size_t n = strlen(wrote);
    while (n && wrote[n - 1] == '\n') wrote[--n] = 0;
    const char *last = strrchr(wrote, '\n');
    return err_set(err, ERR_SYSTEM, "%s: %s; log: %s", job->does, last ? last + 1 : wrote,
                   job->log);
}

bool worker_run(const WorkerJob *job, const Progress *progress, double *seconds, Err *err) {
    Limits limits;
    ChildProcess process;
    ChildEnd end;
    if (!read_limits(&limits, err) || !start(&process, job, err) ||
        !wait_for(&process, job, &limits, progress, &end, err))
        return false;
    *seconds = end.seconds;
    char wrote[LOG_TAIL * 2];
    log_read_tail(job->log, wrote, sizeof wrote);
    log_add_unified(job->log, *seconds);
    return end.code == 0 || say_failure(job, &end, wrote, err);
}

bool worker_compile(int argc, char **argv, Err *err) {
    if (argc == 2) return coreml_compile(argv[0], argv[1], err);
    return err_set(err, ERR_USAGE, "coreml-worker PACKAGE COMPILED | --try BUNDLE");
}
