// vote.h — the weights vote on the contract: does another reading of the file fit them better?
//
// The reference scores a text under the stated contract and under each misreading that applies
// (contract/mutants.h). Trained weights know how they were used in training: read wrongly, they
// predict worse. So a reading that predicts clearly better than the stated one makes the field it
// changes suspect. No second source is needed, and no code is shared with the compiler.
//
// How it is counted:
//
//   Score    of a token, in nats: -ln((1 - e) p + e / V), p the model's probability, V the
//            vocabulary, e = 0.1. Mixing in a guess bounds what one token can weigh (ln V + 2.3): a
//            reading is not judged by how sure it is of one wrong token.
//   Tokens   All of plain texts, answers of conversations (not every question was trained on). A text
//            counts when the reading knows it: less than half a blind guess, ln(V) / 2 a token. On
//            text it was never trained on a model does worse than a guess, and then any reading that
//            makes it less sure of itself seems to fit better: on hello-phi3, prose under logits
//            divided by 8 "gained" 1.8 nats a token. When the stated reading knows no text, those
//            count that the other one knows; but a stated reading that knows fewer than 64 tokens
//            has not stood the test, whatever the others do.
//   Pairs    Both readings score the same tokens; what counts is the mean difference. Neighbouring
//            tokens go right or wrong together, so its standard error is taken over blocks of 8.
//   Verdict  "better" needs two things. Four standard errors: one in 30,000 by chance if blocks
//            were normal, about one in 700 for a table of some 45 comparisons; most of these are
//            far from even and cannot err, and the few dozen blocks of a short text have heavier
//            tails, so this is an order of magnitude, not a promise. And 0.05 nats a token (5 % of
//            perplexity), because a near miss can truly suit one text better: softening scores a
//            little gained up to 0.033 on the models at hand, all of it within two standard errors.
//            "worse" needs four standard errors, "not told apart" is the rest.
//   Order    Texts are read one after the other. A reading is not read further when it is worse by
//            six standard errors, or within them of no difference at all (0.01); one that seems
//            better or worse, but not surely, reads some more texts that are there for such doubts.
//
// What it cannot see: a misreading that these tokens do not react to. An ordinary model hardly
// minds a missing attention factor (hello-natural: 0.005 nats), an eps that is small either way, or
// a window longer than the text. Such rows are said to be not told apart; comparing the file with
// config.json (gate contract) is what checks them. A reading outside the table is not seen either,
// unless it leaves the model knowing nothing: then no text counts, and that is a failure, too.
// Beyond the original context a model that was never trained there does badly under every reading,
// and better under some wrong ones. There another reading counts as better only when it knows the
// long text about as well (an eighth of a guess more at most) as the stated one knows short ones.
// And a reader that treats a key differently can make the right value score worse (YaRN's
// ext_factor has been seen so): the vote makes a field suspect, it does not say what it should be.
#ifndef LATHE_VOTE_VOTE_H
#define LATHE_VOTE_VOTE_H

#include "base/pool.h"
#include "base/progress.h"
#include "contract/mutants.h"
#include "contract/use.h"

// A text as tokens. Scored tokens are predicted from those before them; the first never is.
typedef struct {
    const char *kind;
    uint32_t *ids; // [n]
    bool *is_scored;
    size_t n, n_scored;
    bool is_for_doubts; // read only by a reading that seems to fit better; these come last
    bool is_for_use;    // read only by readings of the use
} VoteText;

typedef struct {
    VoteText *at;
    size_t count;
} VoteTexts;

// text.c: the built-in texts, or `path` cut into pieces, each within the original context.
// `vocabulary` is the file with tokenizer and template; `use` says how a chat goes through them.
bool vote_texts_open(VoteTexts *texts, const char *path, const Gguf *vocabulary, const Contract *c,
                     const Use *use, Arena *arena, Err *err);
// Two texts of those of `texts` that are known (all when none is), one after the other, again and
// again: one that reaches beyond the original context, only what lies there scored, and one around
// it, scored on either side, for readings that cross it elsewhere. None when the context ends
// there.
void vote_texts_lengthen(VoteTexts *out, const VoteTexts *texts, const bool *is_known,
                         const Contract *c, Arena *arena);

typedef enum {
    VOTE_UNKNOWN, // neither reading knows enough of the text
    VOTE_WORSE,
    VOTE_EVEN, // not told apart
    VOTE_BETTER,
} VoteVerdict;

typedef struct {
    const char *name, *of, *doc; // the reading; the field or the choice of use that it changes
    VoteVerdict verdict;
    double delta, error; // nats a token, this reading minus the stated one; standard error
    double nats;         // a token, under this reading, over the tokens that counted
    size_t n_tokens;     // these
} VoteRow;

typedef struct {
    VoteRow *rows;
    size_t n_rows;
    double *stated;           // [texts]: nats a token under the stated contract; 0 where not read
    double guess;             // a blind guess's: ln V
    bool *is_known;           // [texts]: under some reading
    bool *is_known_as_stated; // [texts]
} Vote;

enum { VOTE_LEAST_TOKENS = 64 };
#define VOTE_MARGIN 0.05
#define VOTE_ERRORS 4.0
#define VOTE_KNOWN  0.5 // of a blind guess's nats

// What is asked, and of whom.
typedef struct {
    const Model *model;
    const Use *use;
    const VoteTexts *texts;
    bool is_long;         // those readings that only long texts show, or those that others do
    bool asks_everything; // of long texts: all readings, even when the stated one knows no text
    double most_nats;     // no reading is better that has more a token
    Pool *pool;
    const Progress *progress; // may be NULL
} VoteJob;

// Scores the texts under the model as stated and used, and under each of its misreadings and other
// uses. What a session computes is what is scored: a token after n others under the factor set that
// the use gives a sequence of n. Everything is in the arena.
bool vote_run(Vote *vote, const VoteJob *job, Arena *arena, Err *err);

#endif
