// text_perplexity.h — a text that the model knows, read by three of it: the source, the source
// with the package's weights, and the bundle. What the weights' form costs and what fp16 costs
// stand apart. Internal to the gate `text`.
#ifndef LATHE_GATES_TEXT_PERPLEXITY_H
#define LATHE_GATES_TEXT_PERPLEXITY_H

#include "proof/proof.h"
#include "runtime/session.h"

// The bundle against its own weights in fp32: rounding and nothing else. Measured 1.6e-5 to 3.3e-5
// on average and 4.4e-4 at most (hello-phi3 in three forms, hello-natural, SmolLM2 in two); a slot,
// a mask or a row that is wrong costs hundredths and more. In nats.
#define TEXT_MOST_FP16_MEAN_KL 1e-3
#define TEXT_MOST_FP16_KL      0.02

// Says perplexities, KL divergence and agreement, judges them, and gives how far logits of this
// model may be off: the rms over the text of what the weights' form and fp16 move them by, fp16's
// share held to its own bound, so that a bundle cannot excuse itself by its own errors.
bool text_held_check(Proof *p, Session *bundle, Session *source, double *noise, Err *err);

#endif
