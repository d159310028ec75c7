// open.h — the first and the last step of every run of gates on a bundle. Internal to verify/.
#ifndef LATHE_VERIFY_OPEN_H
#define LATHE_VERIFY_OPEN_H

#include "base/lock.h"
#include "proof/proof.h"

// Takes the bundle's lock, so that no other process works on it meanwhile.
bool proof_lock_bundle(DirLock *lock, const VerifyJob *job, Err *err);
// Opens what p->job names, and refuses a source from which the bundle was not made.
bool proof_open(Proof *p, Err *err);
void proof_close(Proof *p); // safe on a half-opened one

#endif
