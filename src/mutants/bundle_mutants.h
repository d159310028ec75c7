// bundle_mutants.h — the table of mutants whose contract is right (bundle_mutants.def), and the
// functions that make them. Internal to mutants/.
#ifndef LATHE_MUTANTS_BUNDLE_MUTANTS_H
#define LATHE_MUTANTS_BUNDLE_MUTANTS_H

#include "convert/convert.h"
#include "mutants/host.h"

typedef enum { MUTANT_GRAPH, MUTANT_ROWS, MUTANT_BYTES, MUTANT_HOST, MUTANT_KEYS } MutantKind;

// Functions of a package that a graph mutant changes.
typedef enum { IN_DECODE = 1, IN_PREFILL = 2, IN_HEAD = 4 } MutantFunctions;

// In the line of a program's text that begins with `line` and a colon, or is a call of it, `from`
// becomes `to`.
typedef struct {
    const char *line, *from, *to;
} GraphEdit;

// The layer whose weights or ops are wrong: the second of the first package, so that there is one
// before it in the same state.
enum { MUTANT_LAYER = 1, MAX_EDITS = 6 };

typedef bool ShardEdit(CompiledShard *shard, const Model *model);
// The weight file mapped for writing.
typedef bool BytesEdit(const CompiledShard *shard, const Model *model, uint8_t *const *files);
typedef bool KeysEdit(const GgufKey **keys, size_t n_keys, const Model *model, Arena *arena);

typedef struct {
    const char *name, *doc;
    MutantKind kind;
    unsigned functions;
    GraphEdit edits[MAX_EDITS];                   // in every form of KV caches, or none and…
    GraphEdit edits_of[KV_FORM_COUNT][MAX_EDITS]; // …those of each form
    ShardEdit *rows;
    BytesEdit *bytes;
    KeysEdit *keys;
    HostChanges host;
    bool is_far; // shows in a long context only
} BundleMutant;

const BundleMutant *bundle_mutant_at(size_t i); // NULL past the last

// Why the mutant would change nothing for a model of this contract in a bundle of `context`
// positions whose chunks have `prefill_rows` (0: none); NULL when it would change something.
const char *bundle_mutant_idle_reason(const BundleMutant *mutant, const Contract *c,
                                      uint32_t context, uint32_t prefill_rows);

// Whether the mutant changes nothing where no layer has a ring (decoder/rings.h).
bool is_mutant_of_rings(const BundleMutant *mutant);

// The idle reason of a bundle whose functions of one row have norms of two ops (--norm l2).
const char *norm_mutant_idle_reason(const BundleMutant *mutant, uint32_t prefill_rows);

// Puts the edits into the program of `shard` when it has the place; fails when an edit finds no
// line.
bool graph_edit(CompiledShard *shard, const BundleMutant *mutant, const Contract *c, bool *is_put,
                Arena *arena, Err *err);

#define GRAPH(...)
#define GRAPH_KV(...)
#define ROWS(name, doc)  ShardEdit edit_##name;
#define BYTES(name, doc) BytesEdit edit_##name;
#define HOST(...)
#define HOST_FAR(...)
#define KEYS(name, doc) KeysEdit edit_##name;
#include "mutants/bundle_mutants.def"
#undef GRAPH
#undef GRAPH_KV
#undef ROWS
#undef BYTES
#undef HOST
#undef HOST_FAR
#undef KEYS

#endif
