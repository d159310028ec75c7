// head_checks.h — what gate head asks of single tokens, and what gate range asks of the loudest of
// them. Internal to gates/.
#ifndef LATHE_GATES_HEAD_CHECKS_H
#define LATHE_GATES_HEAD_CHECKS_H

#include "proof/proof.h"

// Tokens by the largest number of their embedding row, as the host gives it, the loudest first.
// Rows that are not finite come before all others.
typedef struct {
    uint32_t id;
    float peak;
} LoudToken;
enum { N_LOUD = 16 };
// Reads the whole table. Returns how many: N_LOUD, or the vocabulary when it is smaller.
size_t find_loud_tokens(Proof *p, const Host *host, LoudToken loud[N_LOUD]);

// head_embedding.c: the embedding row of every token; a result of gate head.
bool check_embedding(Proof *p, const Host *host, Err *err);
// head_tokens.c: the loudest tokens and a few hundred that no text chose, through all
// packages; a result of gate head.
bool check_tokens(Proof *p, Shards *shards, Err *err);

#endif
