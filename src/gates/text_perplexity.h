// text_perplexity.h — a text that the model knows, read by three models: the source, the source
// with the package's weights, and the bundle. So the loss from the weights' form and the loss from
// fp16 are separate. Internal to the gate `text`.
#ifndef LATHE_GATES_TEXT_PERPLEXITY_H
#define LATHE_GATES_TEXT_PERPLEXITY_H

#include "proof/proof.h"
#include "runtime/session.h"

// The bundle compared with its own weights in fp32: the difference is rounding only. Measured
// 1.6e-5 to 3.3e-5 on average and 4.4e-4 at most (hello-phi3 in three forms, hello-natural, SmolLM2
// in two); a wrong slot, mask or row gives hundredths and more. In nats.
#define TEXT_MOST_FP16_MEAN_KL 1e-3
#define TEXT_MOST_FP16_KL      0.02

// Reports and judges perplexities, KL divergence and agreement, and returns the noise of this
// model's logits: the rms over the text of the changes from the weights' form and from fp16. The
// share of fp16 is limited by its own bound, so that a bundle's errors do not widen the bound that
// judges it.
bool text_held_check(Proof *p, Session *bundle, Session *source, double *noise, Err *err);

#endif
