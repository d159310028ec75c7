#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/usage.h"

extern char **environ;

enum { POLL_MS = 20 };

static bool has_name_of(const char *a, const char *b) {
    size_t n = strcspn(a, "=");
    return n == strcspn(b, "=") && memcmp(a, b, n) == 0;
}

// This process's environment with the child's own values in place.
static char **environment_of(const Child *c, Arena *arena) {
    size_t n = 0, k = 0;
    for (char **at = environ; *at; at++) n++;
    for (size_t i = 0; c->environment && c->environment[i]; i++) n++;
    char **all = arena_array(arena, n + 1, char *);
    for (char **at = environ; *at; at++) {
        bool is_replaced = false;
        for (size_t i = 0; c->environment && c->environment[i]; i++)
            is_replaced = is_replaced || has_name_of(*at, c->environment[i]);
        if (!is_replaced) all[k++] = *at;
    }
    for (size_t i = 0; c->environment && c->environment[i]; i++)
        all[k++] = (char *)(uintptr_t)c->environment[i];
    return all;
}

bool child_start(ChildProcess *p, const Child *c, Err *err) {
    const char *log = c->log ? c->log : "/dev/null";
    int how = c->appends ? O_APPEND : O_TRUNC;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    Arena arena = {0};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | how, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawnattr_init(&attributes);
    if (!c->shares_group) posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    pid_t pid = 0;
    errno = posix_spawnp(&pid, c->arguments[0], &actions, &attributes,
                         (char *const *)(uintptr_t)c->arguments, environment_of(c, &arena));
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    arena_free(&arena);
    *p = (ChildProcess){.pid = pid, .leads_group = !c->shares_group, .started = now_seconds()};
    return errno == 0 || err_errno(err, "%s: cannot start it", c->arguments[0]);
}

bool child_poll(ChildProcess *p, ChildEnd *end) {
    int status = 0;
    pid_t done = waitpid(p->pid, &status, WNOHANG);
    if (done == 0 || (done < 0 && errno == EINTR)) return false;
    *end = (ChildEnd){.code = done == p->pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                      .signal = done == p->pid && WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                      .seconds = now_seconds() - p->started};
    return true;
}

void child_kill(ChildProcess *p) {
    kill(p->leads_group ? -p->pid : p->pid, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

bool child_run(const Child *c, ChildEnd *end, Err *err) {
    ChildProcess p;
    if (!child_start(&p, c, err)) return false;
    while (!child_poll(&p, end)) {
        double waited = now_seconds() - p.started;
        bool is_late = c->most_seconds > 0 && waited > c->most_seconds;
        if (is_late || !progress_goes_on(c->progress)) {
            child_kill(&p);
            *end = (ChildEnd){.code = -1, .signal = SIGKILL, .is_late = is_late, .seconds = waited};
            return is_late || err_set(err, ERR_STOPPED, "stopped by the caller (%s)", c->stage);
        }
        progress_report(c->progress, c->stage, (uint64_t)waited, 0);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    return true;
}
