#include "cli/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

// A mutable global, since a signal handler can reach nothing else.
static volatile sig_atomic_t noted;

static void note(int signal_number) {
    (void)signal_number;
    noted = 1;
}

void interrupt_catch(void) {
    struct sigaction action = {.sa_handler = note}; // without SA_RESTART: reads end
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

void interrupt_release(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

// A handler may call little: write() and raise() (POSIX, async-signal-safe functions).
static const char *last_words;
static size_t n_last_words;

static void say_and_end(int signal_number) {
    ssize_t n = write(STDERR_FILENO, last_words, n_last_words);
    (void)n;              // there is nobody to tell
    raise(signal_number); // SA_RESETHAND: this one ends the program once the handler returns
}

void interrupt_say(const char *text) {
    last_words = text;
    n_last_words = strlen(text);
    struct sigaction action = {.sa_handler = say_and_end, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

void interrupt_clear(void) {
    noted = 0;
}

bool interrupt_is_noted(void) {
    return noted != 0;
}

// SIGINT is held back between the look at `noted` and the wait, which alone lets it in: one that
// comes in between would otherwise be seen only after the next key.
bool interrupt_wait_readable(int fd) {
    sigset_t held, before;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigprocmask(SIG_BLOCK, &held, &before);
    int n = 0;
    while (!noted && n <= 0) {
        fd_set wanted;
        FD_ZERO(&wanted);
        FD_SET(fd, &wanted);
        n = pselect(fd + 1, &wanted, NULL, NULL, NULL, &before);
        if (n < 0 && errno != EINTR) break; // the read says what is wrong
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return !noted;
}
