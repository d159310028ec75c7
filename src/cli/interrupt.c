#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>

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

void interrupt_clear(void) {
    noted = 0;
}

bool interrupt_is_noted(void) {
    return noted != 0;
}
