// commands.c — commands.def as a table.
#include "cli/commands.h"

#include "base/size.h"

static const Command commands[] = {
#define COMMAND(id, name, run, summary) {name, run, &id##_line, summary},
#include "cli/commands.def"
#undef COMMAND
};

const Command *command_at(size_t i) {
    return i < COUNT_OF(commands) ? &commands[i] : NULL;
}
