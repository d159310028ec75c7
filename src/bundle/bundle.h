// bundle.h — a converted model on disk, opened for use.
//
//     OUT.lathe/chain.json             what it is made of (chain.h)
//               shards/NN-*.mlpackage  layers and head
//               host.gguf              metadata, embedding table and rotary factors of the source
//               seal.json              gates passed, over the digest of every file (seal.h)
//               verify/                reports
#ifndef LATHE_BUNDLE_BUNDLE_H
#define LATHE_BUNDLE_BUNDLE_H

#include "base/progress.h"
#include "bundle/chain.h"
#include "gguf/gguf.h"
#include "mlpackage/package.h"

typedef struct {
    const char *dir;
    Chain chain;
    Gguf host;
    const TensorInfo *embedding; // of the host: [n_vocab, d_model]
    Package *packages;           // [chain.n_shards]
} Bundle;

// Opens chain, host.gguf and every package, and checks that the packages' functions are those the
// chain states and that each was made for this contract and source. Digests are not looked at:
// bundle_check_files() does that. Everything is good until bundle_close().
bool bundle_open(Bundle *b, Arena *arena, const char *dir, Err *err);
void bundle_close(Bundle *b); // safe on a zeroed or half-opened Bundle

// Compares every file with the digests of the chain and refuses files the chain does not know. Uses
// SHA-256 when `is_thorough`, else XXH3-128, which finds accidental changes at the speed of the
// disk.
bool bundle_check_files(const char *dir, const Chain *chain, bool is_thorough,
                        const Progress *progress, Err *err);

// Checks two things: that the mapped files have the SHA-256 digests that chain.json states, and
// that the files at their paths are still the mapped ones, unchanged since. Then everything read
// through `b` so far was what chain.json states. bundle_holds() checks only the second, which reads
// no file.
bool bundle_check_mapped(const Bundle *b, const Progress *progress, Err *err);
bool bundle_holds(const Bundle *b, Err *err);

#endif
