// commands.h — the commands of the program. Only this layer prints and exits.
//
// A command gets argv from its own name on, prints results to stdout and messages to stderr, and
// returns false with `err` when it could not do its work; main() prints the error and maps its kind
// to the exit code.
#ifndef LATHE_CLI_COMMANDS_H
#define LATHE_CLI_COMMANDS_H

#include <stdbool.h>

#include "base/err.h"

typedef bool CommandRun(int argc, char **argv, Err *err);

typedef struct {
    const char *name;
    CommandRun *run;
    const char *summary;
} Command;

#define COMMAND(name, run, summary) CommandRun run;
#include "cli/commands.def"
#undef COMMAND

#endif
