// describe.h — the commands and their options as JSON, for what is generated from them: the
// manual page and the completions of shells (scripts/manual.py), and tests.
//
// The help does not list `lathe --describe`: its form belongs to scripts/manual.py and changes
// with it.
#ifndef LATHE_CLI_DESCRIBE_H
#define LATHE_CLI_DESCRIBE_H

// Prints one object: "version", "exit_codes" (as given), and "commands", each with "name",
// "summary", "usage", "doc" and "options" (name, argument or null, is_repeatable, doc).
void describe_program(const char *exit_codes);

#endif
