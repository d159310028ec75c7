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

bool output_has_json(void) {
    return has_printed;
}
