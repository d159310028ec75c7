// output.c — the only place that prints JSON, so that main() knows whether a failed command has
// already printed a result.
#include "cli/output.h"

#include <stdio.h>

// A mutable global, set once: the program prints one result.
static bool has_printed;

void output_json(json_t *value, size_t flags) {
    json_dumpf(value, stdout, flags);
    putchar('\n');
    json_decref(value);
    has_printed = true;
}

int exit_code(ErrKind kind) {
    switch (kind) {
    case ERR_GATE: return 1;
    case ERR_USAGE: return 2;
    case ERR_FORMAT: return 3;
    case ERR_UNPROVED: return 5;
    default: return 4;
    }
}

bool output_has_json(void) {
    return has_printed;
}
