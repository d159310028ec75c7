// fuzz_options.c — any words (one a line) as a command line with an option of every kind: refused
// with a message, or read into values of their ranges.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    const char *first, *second, *text;
    TextList texts;
    uint64_t seed;
    uint32_t count, number, threads;
    float x;
    bool flag;
} Values;

static const Option options[] = {
    {"--flag", OPTION_FLAG, offsetof(Values, flag), NULL, "a flag"},
    {"-t", OPTION_TEXT, offsetof(Values, text), "TEXT", "a text"},
    {"--count", OPTION_COUNT, offsetof(Values, count), "N", "from 1"},
    {"--number", OPTION_NUMBER, offsetof(Values, number), "N", "from 0"},
    {"--threads", OPTION_THREADS, offsetof(Values, threads), "N", "threads"},
    {"--x", OPTION_FLOAT, offsetof(Values, x), "X", "a number"},
    {"--seed", OPTION_SEED, offsetof(Values, seed), "N", "a seed"},
    {"--stop", OPTION_TEXTS, offsetof(Values, texts), "TEXT", "may be repeated"},
};
static const CommandLine line = {
    .usage = "lathe fuzz A [B]",
    .doc = "A command.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .positional = {{"A", offsetof(Values, first)}, {"B", offsetof(Values, second)}},
    .n_positional = 2,
    .n_required = 1,
};

static void check(bool holds) {
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { MOST = 64 };
    static char name[] = "fuzz";
    char *text = malloc(size + 1), *argv[MOST + 2] = {name};
    int argc = 1;
    if (size) memcpy(text, data, size);
    text[size] = 0;
    for (char *at = text, *next; at && argc <= MOST; at = next) {
        next = strchr(at, '\n');
        if (next) *next++ = 0;
        argv[argc++] = at;
    }
    Values v = {.count = 1, .threads = 1};
    Err err = {0};
    bool is_done = false;
    check(freopen("/dev/null", "w", stdout) != NULL); // --help prints
    if (options_read(&line, &v, argc, argv, &is_done, &err)) {
        check(is_done || v.first);
        check(v.count >= 1 && v.threads >= 1 && v.x >= 0 && v.texts.count <= MAX_TEXTS);
        for (size_t i = 0; i < v.texts.count; i++) check(v.texts.at[i] != NULL);
    } else {
        check(err.kind == ERR_USAGE && err.text[0]);
    }
    free(text);
    return 0;
}
