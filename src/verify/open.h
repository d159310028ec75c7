// open.h — what every run of gates over a bundle begins and ends with. Internal to verify/.
#ifndef LATHE_VERIFY_OPEN_H
#define LATHE_VERIFY_OPEN_H

#include "base/lock.h"
#include "proof/proof.h"

// Nobody else may work on the bundle meanwhile.
bool proof_lock_bundle(DirLock *lock, const VerifyJob *job, Err *err);
// Opens what p->job names, and refuses a source that the bundle was not made of.
bool proof_open(Proof *p, Err *err);
void proof_close(Proof *p); // safe on a half-opened one

#endif
