// text_paths.h — conversations through a session, by the code that chat runs, against one pass of
// the reference. Internal to gates/.
#ifndef LATHE_GATES_TEXT_PATHS_H
#define LATHE_GATES_TEXT_PATHS_H

#include "chat/conversation.h"
#include "gates/text_perplexity.h"
#include "proof/proof.h"

// Results of gate text. False when it could not run.
bool check_text_paths(Proof *p, Err *err);

#endif
