// faults.h — the table of faults, and the hands that put them in. Internal to mutants/.
#ifndef LATHE_MUTANTS_FAULTS_H
#define LATHE_MUTANTS_FAULTS_H

#include "convert/convert.h"
#include "mutants/host.h"

typedef enum { FAULT_GRAPH, FAULT_ROWS, FAULT_BYTES, FAULT_HOST, FAULT_KEYS } FaultKind;

// Functions of a package that a graph fault is put into.
typedef enum { IN_DECODE = 1, IN_PREFILL = 2, IN_HEAD = 4 } FaultFunctions;

// In the line of a program's text that begins with `line` and a colon, or is a call of it, `from`
// becomes `to`.
typedef struct {
    const char *line, *from, *to;
} GraphEdit;

// The layer whose weights or ops are wrong: the second of the first package, so that there is one
// before it in the same state.
enum { FAULT_LAYER = 1, MAX_EDITS = 6 };

typedef bool ShardEdit(CompiledShard *shard, const Model *model);
// The weight file mapped for writing.
typedef bool BytesEdit(const CompiledShard *shard, const Model *model, uint8_t *bytes);
typedef bool KeysEdit(const GgufKey **keys, size_t n_keys, const Model *model, Arena *arena);

typedef struct {
    const char *name, *doc;
    FaultKind kind;
    unsigned functions;
    GraphEdit edits[MAX_EDITS];
    ShardEdit *rows;
    BytesEdit *bytes;
    KeysEdit *keys;
    HostChanges host;
    bool is_far; // shows in a long context only
} Fault;

const Fault *fault_at(size_t i); // NULL past the last

// Why the fault would change nothing for a model of this contract in a bundle of `context`
// positions whose chunks have `prefill_rows` (0: none); NULL when it would change something.
const char *fault_idle_reason(const Fault *fault, const Contract *c, uint32_t context,
                              uint32_t prefill_rows);

// Puts the edits into the program of `shard` when it has the place; fails when an edit finds no
// line.
bool graph_edit(CompiledShard *shard, const Fault *fault, const Contract *c, bool *is_put,
                Arena *arena, Err *err);

#define GRAPH(...)
#define ROWS(name, doc)  ShardEdit edit_##name;
#define BYTES(name, doc) BytesEdit edit_##name;
#define HOST(...)
#define HOST_FAR(...)
#define KEYS(name, doc) KeysEdit edit_##name;
#include "mutants/faults.def"
#undef GRAPH
#undef ROWS
#undef BYTES
#undef HOST
#undef HOST_FAR
#undef KEYS

#endif
