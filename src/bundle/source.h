// source.h — the model file that a bundle was made from: where it is, and whether it is still the
// same file.
//
// A bundle holds all that chat needs, so it works without its source. If the source is found, it
// must be the file that the bundle was proved against: a different model of the same name beside a
// bundle usually means that someone forgot to convert again. Hashing gigabytes at each start takes
// too long, so verify/source.json records the last time it was done, for the first time by convert:
//
//     path             where the file was, absolute
//     source_sha256    of all its parts, as chain.json has it
//     parts            of each file: bytes, inode, modified_ns, changed_ns
//     quick            XXH3-128 over a sample: head, tail and pages between (source.c)
//     sha256           of all the other members
//
// The file counts as the same if `parts` and the sample are equal. A file put in its place has
// another inode; a file that was written to has another change time (base/map.h). On file systems
// without change times the sample detects a file that differs everywhere, as two models do, but not
// a change of single weights. If anything differs or nothing is recorded, as after a copy to
// another machine, the whole file is hashed, and the result is recorded if the bundle can be
// written. The path is of this machine alone: the seal does not cover verify/source.json, and a
// bundle that is moved, published or copied works without it.
#ifndef LATHE_BUNDLE_SOURCE_H
#define LATHE_BUNDLE_SOURCE_H

#include "base/progress.h"
#include "bundle/chain.h"
#include "gguf/gguf.h"

// The source of the bundle `dir`: `given`, or the file of its name beside the bundle or in the
// working directory, or at the recorded path. In the arena; NULL when there is none.
const char *source_find(const char *dir, const Chain *chain, const char *given, Arena *arena);

// Whether the open file is the one that chain.json names. Failure is ERR_GATE.
bool source_check(const char *dir, const Chain *chain, const Gguf *source, const Progress *progress,
                  Err *err);
// Records that the open file is the source. Fails if the bundle cannot be written; the caller may
// ignore that: the next check then reads the whole file again.
bool source_remember(const char *dir, const Chain *chain, const Gguf *source, Err *err);

// Whether the open file is unchanged since it was opened, by its stamps.
bool source_holds(const Gguf *source, Err *err);

#endif
