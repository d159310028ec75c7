// source.h — the model file a bundle was made of: where it lies, and whether it is still that file.
//
// A bundle holds all that chat needs, so it works without its source. Where the source can be found
// it must be the file that the bundle was proved against: a bundle beside another model of the same
// name is one that was forgotten to be converted again. Hashing gigabytes at each start is too
// dear, so verify/source.json remembers the last time it was done, by convert first:
//
//     path             where the file was, absolute
//     source_sha256    of all its parts, as chain.json has it
//     parts            of each file: bytes, inode, modified_ns, changed_ns
//     quick            XXH3-128 over a sample: head, tail and pages between (source.c)
//     sha256           of all the other members
//
// The file counts as the same when parts and sample are: a file put in its place is another inode,
// one that was written into has another change time (base/map.h), and where a file system keeps no
// such times the sample finds a file that differs all over, as two models do; it does not find a
// change of single weights there. Whenever anything differs or nothing is remembered, as after a
// copy to another machine, the whole file is hashed, and remembered where the bundle can be
// written. The path is of this machine alone: the seal does not cover verify/source.json, and a
// bundle that is moved, published or copied works without it.
#ifndef LATHE_BUNDLE_SOURCE_H
#define LATHE_BUNDLE_SOURCE_H

#include "base/progress.h"
#include "bundle/chain.h"
#include "gguf/gguf.h"

// The source of the bundle `dir`: `given`, or the file of its name beside the bundle or in the
// working directory, or where it was remembered. In the arena; NULL when there is none.
const char *source_find(const char *dir, const Chain *chain, const char *given, Arena *arena);

// Whether the open file is the one that chain.json names. Failure is ERR_GATE.
bool source_check(const char *dir, const Chain *chain, const Gguf *source, const Progress *progress,
                  Err *err);
// Remembers that the open file was found to be it. Where the bundle cannot be written, which the
// caller may ignore, the next check reads the whole file again.
bool source_remember(const char *dir, const Chain *chain, const Gguf *source, Err *err);

// Whether the open file is unchanged since it was opened, by its stamps.
bool source_holds(const Gguf *source, Err *err);

#endif
