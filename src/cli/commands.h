// commands.h — the commands of the program. Only this layer prints and exits.
//
// A command gets argv from its own name on, prints results to stdout and messages to stderr, and
// returns false with `err` when it could not do its work; main() prints the error and maps its kind
// to the exit code.
#ifndef LATHE_CLI_COMMANDS_H
#define LATHE_CLI_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "cli/options.h"

typedef bool CommandRun(int argc, char **argv, Err *err);

typedef struct {
    const char *name;
    CommandRun *run;
    const CommandLine *line;
    const char *summary;
} Command;

// Command `i` of commands.def, or NULL after the last: the function to run, and the table of
// options for help, man page and completions.
const Command *command_at(size_t i);

#define COMMAND(id, name, run, summary)                                                            \
    CommandRun run;                                                                                \
    extern const CommandLine id##_line;
#include "cli/commands.def"
#undef COMMAND

#endif
