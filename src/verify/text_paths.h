// text_paths.h — conversations through a session, by the code that chat runs, against one pass of
// the reference. Internal to verify/.
#ifndef LATHE_VERIFY_TEXT_PATHS_H
#define LATHE_VERIFY_TEXT_PATHS_H

#include "runtime/chat.h"
#include "verify/proof.h"
#include "verify/text_held.h"

// Results of gate text. False when it could not run.
bool check_text_paths(Proof *p, Err *err);

#endif
