// seal.h — the proof a bundle carries: which gates it passed, with which figures, over which bytes.
//
// seal.json holds the digest of chain.json, which holds the digest of every other file, and a
// digest of what it says itself. It stands beside chain.json rather than in it, so that sealing
// does not change what is sealed. A bundle without a seal, with one over other bytes, with an
// edited one, or from gates that have been tightened since, is not used. This is integrity, no
// signature: it finds what was altered by accident or went stale, not who sealed it.
#ifndef LATHE_BUNDLE_SEAL_H
#define LATHE_BUNDLE_SEAL_H

#include <jansson.h>

#include "base/progress.h"
#include "bundle/chain.h"

// Of the file itself; each gate has a number of its own (gates.def).
enum { SEAL_SCHEMA = 4 };

// Seals the bundle in `dir`, whose chain.json `chain` was read from, with `results`, an object of
// gate name to its figures (none failed), and `unproved`, [{gate, text}]: what the gates could not
// tell.
bool seal_write(const char *dir, const Chain *chain, const json_t *results, const json_t *unproved,
                const char *tool_version, Err *err);

// Whether `dir` may be used: sealed by gates of this schema, over exactly these bytes. Reads every
// file once (XXH3-128). Failures are ERR_GATE and name the mending command. `unproved` (may be
// NULL) gets what the gates could not tell, as one line; it is left alone when there is nothing.
bool seal_check(const char *dir, StrBuf *unproved, const Progress *progress, Err *err);

#endif
