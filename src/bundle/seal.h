// seal.h — the proof a bundle carries: which gates it passed, with which figures, over which bytes,
// in which program.
//
// seal.json holds the digest of chain.json, which holds the digest of every other file, and a
// digest of what it says itself. It is a file beside chain.json rather than a part of it, so that sealing
// does not change what is sealed. A bundle without a seal, with one over other bytes, with an
// edited one, from gates that have been tightened since or from another build of lathe is not used:
// what chat runs is the program as much as the bundle, and gates judged both. This is integrity, no
// signature: it finds what was altered by accident or went stale, not who sealed it.
//
// Kernels (kernels/kernels.h) are named and not compared: bounds of the gates hold for every set,
// so a bundle that was proved with one may be run with another.
#ifndef LATHE_BUNDLE_SEAL_H
#define LATHE_BUNDLE_SEAL_H

#include <jansson.h>

#include "base/progress.h"
#include "bundle/chain.h"

// Of the file itself; each gate has a number of its own (gates.def).
enum { SEAL_SCHEMA = 4 };

typedef struct {
    const json_t *results;  // name of a gate -> its results, none failed
    const json_t *unproved; // [{gate, text}]: what the gates could not tell
    const char *tool_version, *kernels;
} SealWords;

// Writes what verify/device.json has by now into the seal's member "device", where the seal holds;
// the proof that it is over stays as it is. True where there is no seal that holds.
bool seal_state_devices(const char *dir, const Chain *chain, Err *err);

// Seals the bundle in `dir`, of which `chain` was read when it was opened: the seal is over the
// bytes that were read then (chain->sha256), whatever lies at the path now.
bool seal_write(const char *dir, const Chain *chain, const SealWords *words, Err *err);

// Whether `dir` may be used: sealed by gates of this schema and by this build, over exactly these
// bytes. Reads every file once (XXH3-128). Failures say how far a proof has come and name the
// command that helps: ERR_UNPROVED where a proof is missing or no longer counts, ERR_GATE where a
// gate failed or files are not as they were sealed. `unproved` (may be NULL) gets what the gates could not tell, as one
// line; it is left alone when there is nothing.
bool seal_check(const char *dir, StrBuf *unproved, const Progress *progress, Err *err);

#endif
