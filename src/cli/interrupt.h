// interrupt.h — Ctrl-C ends what is running, and the program goes on; or it says what to do next.
#ifndef LATHE_CLI_INTERRUPT_H
#define LATHE_CLI_INTERRUPT_H

#include <stdbool.h>

void interrupt_catch(void);    // from here on Ctrl-C is only noted; system calls end with EINTR
void interrupt_release(void);  // from here on it ends the program again
void interrupt_clear(void);    // forgets one that was noted
bool interrupt_is_noted(void); // whether Ctrl-C came since

// For commands that lose nothing when they end at once: Ctrl-C prints `text` (static, or good until the
// program ends) on stderr and ends the program as it would have ended without.
void interrupt_say(const char *text);

// Waits until `fd` (below FD_SETSIZE) can be read or has ended. False: Ctrl-C came, before or meanwhile.
bool interrupt_wait_readable(int fd);

#endif
