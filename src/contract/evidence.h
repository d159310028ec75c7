// evidence.h — everything besides the GGUF file that says what a model means: the publisher's files
// where they are given, and a published contract where general.* names a well-known model.
//
// Published contracts are the files of contracts/, compiled in; contracts/README.md states how a
// file is matched with one and where their values come from.
#ifndef LATHE_CONTRACT_EVIDENCE_H
#define LATHE_CONTRACT_EVIDENCE_H

#include "contract/compare_config.h"

typedef struct {
    bool has_files; // some were given
    Stated stated;
    Agreement files;
    Str known; // the published contract that was matched; empty: none
    Str known_source;
    Agreement published;
} Evidence;

// `context`: positions that will be used, which decides whether a window hides any; 0 for all that
// the model has. False when a file cannot be read or understood; contradictions are in the
// agreements.
bool evidence_gather(Evidence *e, const ConfigFiles *files, const Model *model, const Gguf *g,
                     uint32_t context, Arena *arena, Err *err);
// What to do about a published contract that contradicts.
#define EVIDENCE_ADVICE                                                                            \
    "if the model differs on purpose, give its own config.json: --config config.json"

size_t evidence_contradictions(const Evidence *e);
// The first contradiction in words, as an ERR_GATE, and what to do: `vote`, a command, asks the weights.
void evidence_error(const Evidence *e, const char *vote, Err *err);

// The published contracts in order of their names: the text of a file, or NULL past the last.
const char *known_text(size_t i);

#endif
