// text_held.h — a text that nobody made for this model, read by three of it: the source, the source
// with the package's weights, and the bundle. What the weights' form costs and what fp16 costs
// stand apart. Internal to the gate `text`.
#ifndef LATHE_VERIFY_TEXT_HELD_H
#define LATHE_VERIFY_TEXT_HELD_H

#include "runtime/session.h"
#include "verify/proof.h"

// Says perplexities, KL divergence and agreement, judges them, and gives how far logits of this
// model may be off: the rms over the text of what the weights' form and fp16 move them by, fp16's
// share held to its own bound, so that a bundle cannot excuse itself by its own errors.
bool text_held_check(Proof *p, Session *bundle, Session *source, double *noise, Err *err);

#endif
