// seal.h — the proof that a bundle carries: the gates it passed, their figures, the bytes that were
// judged, and the program that judged them.
//
// seal.json holds the digest of chain.json, which holds the digests of all other files, and a
// digest of its own content. It is a file beside chain.json rather than a part of it, so that
// sealing does not change what is sealed. A bundle is not used if it has no seal, or if its seal is
// over other bytes, was edited, is of gates that have been tightened since, or is of another build
// of lathe: answers depend on the program as much as on the bundle, and the gates judged both. A
// seal is a check of integrity, not a signature: it finds accidental changes and outdated proofs,
// but does not tell who sealed the bundle.
//
// The kernel set (kernels/kernels.h) is recorded but not compared: the bounds of the gates hold for
// every set, so a bundle proved with one set may run with another.
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

// Copies the current content of verify/device.json into the member "device" of a valid seal; the
// proof is not changed. Without a valid seal it does nothing and returns true.
bool seal_state_devices(const char *dir, const Chain *chain, Err *err);

// Seals the bundle in `dir`. `chain` was read when the bundle was opened; the seal covers the bytes
// read then (chain->sha256), even if the file at the path has changed since.
bool seal_write(const char *dir, const Chain *chain, const SealWords *words, Err *err);

// Whether `dir` may be used: sealed by gates of this schema and by this build, over exactly these
// bytes. Reads every file once (XXH3-128). A failure says what is proved so far and names the
// command that helps: ERR_UNPROVED if a proof is missing or no longer counts, ERR_GATE if a gate
// failed or files differ from the sealed ones. `unproved` (may be NULL) receives what the gates
// could not tell, as one line; it stays unchanged if there is nothing.
bool seal_check(const char *dir, StrBuf *unproved, const Progress *progress, Err *err);

#endif
