// chat_input.h — reads what the user says: from a terminal, a file, or a pipe.
#ifndef LATHE_CLI_CHAT_INPUT_H
#define LATHE_CLI_CHAT_INPUT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

// Appends the content of a file ("-": standard input) as one prompt: CR LF counts as LF, and line
// ends at the end are left out. ERR_FORMAT if the file holds a NUL.
bool chat_read_prompt(const char *path, StrBuf *out, Err *err);

// Prepares the terminal for chat_read_turn(); call it once before.
void chat_prepare_terminal(void);

typedef enum {
    TURN_READ, // `out` holds it, perhaps empty
    TURN_END,  // the input has ended
    TURN_FAILED,
} TurnState;

// Reads the next turn from standard input: a line without its end (LF or CR LF), joined with the
// next one while it ends in a backslash. At a terminal lines can be edited and recalled, a pasted
// text of any number of lines is one turn, and Ctrl-C discards the lines of this turn. TURN_FAILED
// with `err` for a line with a NUL in it.
TurnState chat_read_turn(StrBuf *out, Err *err);

#endif
