// options.h — command lines by table: each option a row that says where its value goes.
//
// Tables are static: an option states the offset of its value in the command's struct of arguments.
// Help, man page and completions are made from the same rows, which command_at() (commands.h) gives
// access to.
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
    OPTION_THREADS, // uint32_t, 1 or more; cut to the number of the machine's processors
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
    void (*more)(StrBuf *out); // prints more help after `doc`, from another table; may be NULL
    const Option *options;
    size_t n_options;
    Positional positional[MAX_POSITIONAL]; // in order
    size_t n_positional, n_required;
} CommandLine;

// The row of --threads for a command's table of options.
#define THREADS_OPTION(Type, member)                                                               \
    {                                                                                              \
        "--threads", OPTION_THREADS, offsetof(Type, member), "N",                                  \
            "number of threads (default: one per processor)"                                       \
    }

// Reads argv[1] and after into `arguments`, the struct that the offsets are of. With --help it
// prints the help, sets `*is_done` and returns true. `--name=value` and `--name value` are the
// same.
bool options_read(const CommandLine *line, void *arguments, int argc, char **argv, bool *is_done,
                  Err *err);
// The help of a command, as --help prints it.
void options_print_help(const CommandLine *line);

// The word of `words` that `word` is most likely a misspelling of, or NULL: at most two letters,
// and fewer than half of them, are wrong, missing, added or swapped.
const char *nearest_word(const char *word, const char *const *words, size_t n);

#endif
