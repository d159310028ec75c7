// contract_checks.h — the parts of gate contract that read the vocabulary.
#ifndef LATHE_GATES_CONTRACT_CHECKS_H
#define LATHE_GATES_CONTRACT_CHECKS_H

#include "gates/template_check.h"
#include "proof/proof.h"

// vocabulary.c: checks of the source's vocabulary and chat template; results of gate contract.
bool check_vocabulary(Proof *p, const TemplateWaivers *waivers, Err *err);
// vocabulary_reach.c: compares its tokens with merges, scores and pre-tokenizer; likewise.
bool check_token_reach(Proof *p, const Tokenizer *t, Err *err);

#endif
