// interrupt.h — Ctrl-C cancels the running operation while the program continues, or ends the
// program with a hint.
#ifndef LATHE_CLI_INTERRUPT_H
#define LATHE_CLI_INTERRUPT_H

#include <stdbool.h>

void interrupt_catch(void);    // from now on Ctrl-C is only recorded; system calls end with EINTR
void interrupt_release(void);  // from now on Ctrl-C ends the program again
void interrupt_clear(void);    // clears the record
bool interrupt_is_noted(void); // whether Ctrl-C was pressed since

// For commands that may end at any time: Ctrl-C prints `text` (which must stay valid until the
// program ends) on stderr, then ends the program as SIGINT does by default.
void interrupt_say(const char *text);

// Waits until `fd` (below FD_SETSIZE) can be read or has ended. False: Ctrl-C was pressed, before
// or meanwhile.
bool interrupt_wait_readable(int fd);

#endif
