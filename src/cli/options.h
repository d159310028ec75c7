// options.h — command lines by table: each option a row that says where its value goes.
#ifndef LATHE_CLI_OPTIONS_H
#define LATHE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef enum {
    OPTION_FLAG,  // bool
    OPTION_TEXT,  // const char *
    OPTION_COUNT, // uint32_t
    OPTION_FLOAT, // float
    OPTION_SEED,  // uint64_t
    OPTION_TEXTS, // TextList: may be given several times
} OptionKind;

// The values of an option that may be given several times, in order.
enum { MAX_TEXTS = 16 };
typedef struct {
    const char *at[MAX_TEXTS];
    size_t count;
} TextList;

typedef struct {
    const char *name; // "--context", or "-p"
    OptionKind kind;
    void *value;
    const char *argument; // what its value is called in the help; NULL for flags
    const char *doc;
} Option;

typedef struct {
    const char *usage; // "lathe convert MODEL.gguf -o OUT.lathe [OPTIONS]"
    const char *doc;   // a few sentences
    const Option *options;
    size_t n_options;
    // Positional arguments, in order; those not given stay NULL.
    const char **positional[3];
    size_t n_positional, n_required;
} CommandLine;

// Reads argv[1] and after. With --help prints the help, sets `*is_done` and returns true.
bool options_read(const CommandLine *line, int argc, char **argv, bool *is_done, Err *err);

#endif
