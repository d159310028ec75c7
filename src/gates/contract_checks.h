// contract_checks.h — the parts of gate contract that read the vocabulary.
#ifndef LATHE_GATES_CONTRACT_CHECKS_H
#define LATHE_GATES_CONTRACT_CHECKS_H

#include "gates/template_check.h"
#include "proof/proof.h"

// vocabulary.c: the source's vocabulary and chat template against what such a thing must be;
// results of gate contract.
bool check_vocabulary(Proof *p, const TemplateWaivers *waivers, Err *err);
// vocabulary_reach.c: its tokens against merges, scores and pre-tokenizer; likewise.
bool check_token_reach(Proof *p, const Tokenizer *t, Err *err);

#endif
