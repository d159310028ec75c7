// main.c — the program: finds the command and turns its error into a message and an exit code.
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

static const Command commands[] = {
#define COMMAND(name, run, summary) {#name, run, summary},
#include "cli/commands.def"
#undef COMMAND
};

static void print_usage(FILE *out) {
    fputs("usage: lathe COMMAND [ARGUMENTS]\n\n", out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`lathe COMMAND --help` explains one. Exit codes: 0 done, 1 a gate failed, 2 usage, 3 "
          "bad input, 4 the "
          "system.\n",
          out);
}

static int exit_code(const Err *err) {
    switch (err->kind) {
    case ERR_GATE: return 1;
    case ERR_USAGE: return 2;
    case ERR_FORMAT: return 3;
    default: return 4;
    }
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("lathe " LATHE_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) != 0) continue;
        Err err = {0};
        bool ok = commands[i].run(argc - 1, argv + 1, &err);
        // A result that nobody got is no success; a broken pipe or a full disk shows only here.
        if (fflush(stdout) != 0 || ferror(stdout)) ok = ok && err_errno(&err, "standard output");
        if (ok) return 0;
        fprintf(stderr, "lathe %s: %s\n", commands[i].name, err.text);
        return exit_code(&err);
    }
    fprintf(stderr, "lathe: no command '%s'; `lathe --help` lists them\n", argv[1]);
    return 2;
}
