// head_checks.h — checks of single tokens for the gates head and range. Internal to gates/.
#ifndef LATHE_GATES_HEAD_CHECKS_H
#define LATHE_GATES_HEAD_CHECKS_H

#include "proof/proof.h"

// Tokens sorted by the largest magnitude in their embedding row (as the host gives it), descending.
// Rows that are not finite come first.
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
