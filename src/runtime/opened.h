// opened.h — what chat stands on: a sealed bundle or a GGUF file, ready to be fed by the engine
// asked for. A bundle that is not proved is refused here, for every command that would run one.
#ifndef LATHE_RUNTIME_OPENED_H
#define LATHE_RUNTIME_OPENED_H

#include "runtime/session.h"

typedef struct {
    const char *path;           // bundle or GGUF file
    const char *engine;         // NULL: by input
    const char *arithmetic;     // of a bundle on the cpu; NULL: fp16
    const char *model;          // a bundle's source; NULL: none given
    const char *generation;     // generation_config.json of a GGUF file; NULL: none given
    const char *use[USE_COUNT]; // choices away from the publisher's; NULL for each not made
    uint32_t threads;           // 0: one a processor
    bool is_unsealed;           // take a bundle that is not proved
} OpenOptions;

// For the help of --engine.
#define OPEN_ENGINES "cpu (bundles) or reference (GGUF; for a bundle give --model)"

typedef struct {
    Arena arena;
    Pool *pool;
    Bundle bundle;
    Gguf source;
    Model model;
    bool has_bundle;
    Session *session;
    const Contract *contract; // of the file that is run
    const Gguf *vocabulary;   // the file with tokenizer and template
    Use use;                  // of the bundle or the file, and what the options chose
    StrBuf except;            // what the gates could not tell of a sealed bundle, as one line
    Err unproved;             // why the bundle does not count as proved; kind ERR_NONE when it does
} Opened;

bool opened_open(Opened *o, const OpenOptions *options, const Progress *progress, Err *err);
void opened_close(Opened *o); // safe on a zeroed or half-opened Opened

#endif
