// vocabulary_reach.c — checks that the vocabulary's tokens can result from text. Results of gate
// contract.
//
// A vocabulary is learnt together with its merges (or scores) under its pre-tokenizer, token by
// token, each made of two earlier ones in a word of the training text. So encoding a token's own
// text gives that token, with rare exceptions: an earlier merge that joins a piece across the
// border, or a letter newer than the Unicode tables by which words are cut. How rare exceptions are
// was measured on published vocabularies: none of SmolLM2's 48,700 tokens of two bytes or more, of
// cl100k's 99,355, of Mistral's tekken's 128,509 and of the 31,741 in each of Mistral's five
// SentencePiece models (PyPI mistral-common 1.13.1: v1, v2, v3, v7, v7m1), 12 of o200k's 198,308
// (0.006 %). The bound of one in 1,000 is 16 times the worst of these. Errors lose more: the
// nearest wrong pre-tokenizers 0.24 % and 0.7 %, a list of merges without its last 1 % about 1 %.
//
// SentencePiece scores fall from token to token: it numbers tokens as it learns them, and -number
// is the score (bpe_model_trainer.cc); unigram models are sorted by score
// (unigram_model_trainer.cc: FinalizeSentencePieces). The five Mistral models rise at 14 of 31,741
// (0.04 %), after runs of spaces, which have -1e9 among the others. One rise in 1,000 is allowed,
// and as scores are what tells tokens apart, more than half of them must be distinct: vocabularies
// that were extended by tokens of score 0 have kept that.
#include "base/json.h"
#include "gates/contract_checks.h"
#include "proof/proof.h"

enum { REACH_ONE_IN = 1000 };

static const char *quoted(Proof *p, Str text) {
    return arena_cstr(p->arena, json_quoted(p->arena, text));
}

static void check_merges(Proof *p, const Tokenizer *t, const PreSurvey *s) {
    Str stated = p->model.contract.pre_tokenizer;
    size_t n_lost = s->n_tokens - s->n_given;
    json_t *figures =
        json_pack("{s:I, s:I}", "tokens", (json_int_t)s->n_tokens, "given", (json_int_t)s->n_given);
    if (s->better)
        proof_result(
            p, "contract", false, figures, "pre_tokenizer",
            "with '%.*s' the texts of %zu of the vocabulary's %zu tokens encode to that token, "
            "with '%.*s' those of %zu, so tokenizer.ggml.pre is suspect: token %u %s is cut",
            STR_ARG(stated), s->n_given, s->n_tokens, (int)strcspn(s->better, " "), s->better,
            s->n_better, s->lost, quoted(p, tokenizer_piece(t, s->lost)));
    else if (n_lost > s->n_tokens / REACH_ONE_IN)
        proof_result(
            p, "contract", false, figures, "pre_tokenizer",
            "with '%.*s' the texts of %zu of the vocabulary's %zu tokens encode to that token, "
            "expected all but one in %d: token %u %s comes out in pieces; tokenizer.ggml.merges is "
            "suspect (lines missing or out of order), or tokenizer.ggml.token_type",
            STR_ARG(stated), s->n_given, s->n_tokens, REACH_ONE_IN, s->unreached,
            quoted(p, tokenizer_piece(t, s->unreached)));
    else
        proof_result(p, "contract", true, figures, "pre_tokenizer",
                     "with '%.*s'%s%s%s the texts of %zu of the vocabulary's %zu tokens encode to "
                     "that token",
                     STR_ARG(stated), s->learnt_by ? " learnt under '" : "",
                     s->learnt_by ? s->learnt_by : "", s->learnt_by ? "'," : "", s->n_given,
                     s->n_tokens);
    if (s->retyped != NO_TOKEN)
        proof_result(p, "contract", false, NULL, "token_type",
                     "a merge makes token %u %s of type %d, expected a normal token (%d): "
                     "tokenizer.ggml.token_type is suspect",
                     s->retyped, quoted(p, tokenizer_piece(t, s->retyped)),
                     (int)tokenizer_type(t, s->retyped), (int)TOKEN_NORMAL);
}

static void check_scores(Proof *p, const Tokenizer *t, const ScoreSurvey *s) {
    size_t few = s->n_tokens / REACH_ONE_IN;
    json_t *figures = json_pack("{s:I, s:I, s:I, s:I}", "tokens", (json_int_t)s->n_tokens, "given",
                                (json_int_t)s->n_given, "rises", (json_int_t)s->n_rises, "distinct",
                                (json_int_t)s->n_distinct);
    const char *scope = "scores";
    if (s->n_tokens - s->n_given > few)
        proof_result(p, "contract", false, figures, scope,
                     "the texts of %zu of the vocabulary's %zu tokens encode to that token, "
                     "expected all but one in %d: token %u %s comes out in pieces; "
                     "tokenizer.ggml.scores is suspect, or tokenizer.ggml.token_type",
                     s->n_given, s->n_tokens, REACH_ONE_IN, s->unreached,
                     quoted(p, tokenizer_piece(t, s->unreached)));
    else if (2 * s->n_distinct < s->n_tokens)
        proof_result(p, "contract", false, figures, scope,
                     "%zu tokens have only %zu different scores, expected most to differ: "
                     "tokenizer.ggml.scores is suspect",
                     s->n_tokens, s->n_distinct);
    else if (s->n_rises > few)
        proof_result(p, "contract", false, figures, scope,
                     "the score rises from one token to the next at %zu of %zu places, expected it "
                     "to fall at all but one in %d: tokenizer.ggml.scores is suspect",
                     s->n_rises, s->n_tokens, REACH_ONE_IN);
    else
        proof_result(p, "contract", true, figures, scope,
                     "the texts of %zu of the vocabulary's %zu tokens encode to that token; scores "
                     "fall at all but %zu places",
                     s->n_given, s->n_tokens, s->n_rises);
}

bool check_token_reach(Proof *p, const Tokenizer *t, Err *err) {
    PreSurvey pre;
    ScoreSurvey scores;
    if (!tokenizer_survey(t, &pre, err)) return false;
    tokenizer_survey_scores(t, &scores);
    if (pre.n_tokens) check_merges(p, t, &pre);
    if (scores.n_tokens) check_scores(p, t, &scores);
    return true;
}
