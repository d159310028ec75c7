// chat_input.h — where the words of a chat come from: a person at a terminal, a file, a pipe.
#ifndef LATHE_CLI_CHAT_INPUT_H
#define LATHE_CLI_CHAT_INPUT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

// Appends the one prompt that a file holds, "-" for standard input: CR LF counts as LF, and the
// ends of lines after the last word are left out. ERR_FORMAT where it holds a NUL.
bool chat_read_prompt(const char *path, StrBuf *out, Err *err);

// Prepares the terminal for chat_read_turn(): call once, before it.
void chat_prepare_terminal(void);

typedef enum {
    TURN_READ, // `out` holds it, perhaps empty
    TURN_END,  // there is no more
    TURN_FAILED,
} TurnState;

// Reads the next turn from standard input: a line without its end (LF or CR LF), joined with the
// next one while it ends in a backslash. At a terminal lines are edited and remembered, what is
// pasted is one turn however many lines it has, and Ctrl-C begins the turn anew. TURN_FAILED with
// `err` for a line with a NUL in it.
TurnState chat_read_turn(StrBuf *out, Err *err);

#endif
