// options.h — command lines by table: each option a row that says where its value goes.
//
// Tables are static: an option knows its value by the offset in the command's struct of arguments,
// so that help, man page and completions are made of the same rows (commands.h reaches them all).
#ifndef LATHE_CLI_OPTIONS_H
#define LATHE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef enum {
    OPTION_FLAG,    // bool
    OPTION_TEXT,    // const char *
    OPTION_COUNT,   // uint32_t, 1 or more
    OPTION_NUMBER,  // uint32_t, 0 or more
    OPTION_THREADS, // uint32_t, 1 or more; more than the machine has processors are cut to them
    OPTION_FLOAT,   // float
    OPTION_SEED,    // uint64_t
    OPTION_TEXTS,   // TextList: may be given several times
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
    size_t offset;        // of its value in the command's arguments
    const char *argument; // what its value is called in the help; NULL for flags
    const char *doc;
} Option;

enum { MAX_POSITIONAL = 3 };
typedef struct {
    const char *name; // "MODEL.gguf"
    size_t offset;    // of a const char * in the command's arguments; stays NULL when not given
} Positional;

typedef struct {
    const char *usage;         // "lathe convert MODEL.gguf -o OUT.lathe [OPTIONS]"
    const char *doc;           // a few sentences
    void (*more)(StrBuf *out); // text of the help after `doc` that another table has; may be NULL
    const Option *options;
    size_t n_options;
    Positional positional[MAX_POSITIONAL]; // in order
    size_t n_positional, n_required;
} CommandLine;

// Reads argv[1] and after into `arguments`, the struct that the offsets are of. With --help prints
// the help, sets `*is_done` and returns true. `--name=value` and `--name value` are the same.
bool options_read(const CommandLine *line, void *arguments, int argc, char **argv, bool *is_done,
                  Err *err);
// The help of a command, as --help prints it.
void options_print_help(const CommandLine *line);

// The word of `words` that `word` is most likely a slip of, or NULL: at most two letters are
// wrong, missing, too many or swapped, and fewer than half of them.
const char *nearest_word(const char *word, const char *const *words, size_t n);

#endif
