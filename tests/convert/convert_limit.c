// convert_limit MODEL OUT LIMIT — lathe convert for a target whose packages must stay below LIMIT
// bytes, so that a small model is planned like a large one: the head in packages of its own.
#include <stdio.h>
#include <stdlib.h>

#include "convert/convert.h"

int main(int argc, char **argv) {
    Err err = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: convert_limit MODEL OUT LIMIT\n");
        return 2;
    }
    Target target = {"limited", strtoull(argv[3], NULL, 10), "a test's"};
    ConvertJob job = {
        .model_path = argv[1],
        .out_path = argv[2],
        .chosen = {[USE_context] = "256"},
        .options = {.prefill_rows = 64, .target = &target},
        .tool_version = "test",
    };
    Arena arena = {0};
    Chain chain;
    bool ok = bundle_convert(&chain, &arena, &job, &err);
    arena_free(&arena);
    if (!ok) fprintf(stderr, "convert_limit: %s\n", err.text);
    return ok ? 0 : 1;
}
