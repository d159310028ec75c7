// survey.c — checks whether the vocabulary fits the pre-tokenizer that the file names.
//
// Not detected: a stated pre-tokenizer that cuts less than the true one, because every token still
// results from its own text. Mostly the ids are the same then, since no token crosses a cut of the
// true one, but not always: runs of digits that the true one cuts in threes from the left can be
// merged in other threes.
//
// Measured: with the true pre-tokenizer all of SmolLM2's 48,700 tokens result from their own text,
// and all but 12 of o200k's 198,308 (0.006 %: letters newer than pcre2's tables). The nearest wrong
// pre-tokenizers that lose any lose 0.24 % of SmolLM2's and 0.7 % of o200k's.
#include <stdlib.h>

#include "base/utf8.h"
#include "tokenizer/impl.h"

enum { CLEARLY = 1000 }; // one token in so many

// Files type some placeholders as unused; they are spelt in brackets.
static bool is_text(const Token *token) {
    return token->type == TOKEN_NORMAL ||
           (token->type == TOKEN_UNUSED && token->text.len && !is_bracketed(token->text));
}

static bool is_surveyed(const Token *token) {
    return is_text(token) && token->bytes.len >= 2 && utf8_is_valid(token->bytes);
}

// Sets given[id] for each surveyed token that its own text encodes to, and counts them.
static bool survey_one(const Tokenizer *t, bool *given, size_t *n_given, Err *err) {
    TokenList ids = {0};
    Encoder e = {.tokenizer = t, .out = &ids};
    bool ok = true;
    *n_given = 0;
    for (uint32_t id = 0; id < t->n_tokens && ok; id++) {
        given[id] = false;
        if (!is_surveyed(&t->tokens[id])) continue;
        ids.count = 0;
        ok = pre_split(&e, t->tokens[id].bytes, err);
        given[id] = ok && ids.count == 1 && ids.at[0] == id;
        *n_given += given[id];
    }
    encoder_close(&e);
    token_list_free(&ids);
    return ok;
}

// Is row `row` of the table better than the best so far?
static bool try_row(const Tokenizer *t, size_t row, const bool *stated, bool *given,
                    PreSurvey *survey, Err *err) {
    Tokenizer other = *t;
    size_t n_given;
    bool ok = pre_open_row(&other.pre, row, err);
    if (ok && other.pre.is_raw) return true;          // of vocabularies that are spelt otherwise
    other.pre.ignores_merges = t->pre.ignores_merges; // cuts are compared, nothing else
    ok = ok && survey_one(&other, given, &n_given, err);
    pre_close(&other.pre);
    size_t to_beat =
        survey->better ? survey->n_better : survey->n_given + survey->n_tokens / CLEARLY;
    if (!ok || n_given <= to_beat) return ok;
    survey->better = pre_names(row);
    survey->n_better = n_given;
    for (survey->lost = 0; stated[survey->lost] || !given[survey->lost];) survey->lost++;
    return true;
}

static uint32_t find_retyped(const Tokenizer *t, size_t n_merges) {
    for (size_t i = 0; i < n_merges; i++) {
        TokenType type = t->tokens[t->merges.rows[i].joined].type;
        if (type == TOKEN_CONTROL || type == TOKEN_UNUSED) return t->merges.rows[i].joined;
    }
    return NO_TOKEN;
}

bool tokenizer_survey(const Tokenizer *t, PreSurvey *survey, Err *err) {
    *survey = (PreSurvey){.unreached = NO_TOKEN, .retyped = NO_TOKEN};
    if (!vocab_is_byte_level(t)) return true;
    Arena scratch = {0};
    bool *stated = arena_array(&scratch, t->n_tokens, bool);
    bool *given = arena_array(&scratch, t->n_tokens, bool);
    for (size_t id = 0; id < t->n_tokens; id++) survey->n_tokens += is_surveyed(&t->tokens[id]);
    Tokenizer learnt = *t;
    bool is_other = t->pre.learnt_by != NULL;
    bool ok = !is_other || pre_open(&learnt.pre, str_of(t->pre.learnt_by), err);
    survey->learnt_by = t->pre.learnt_by;
    ok = ok && survey_one(&learnt, stated, &survey->n_given, err);
    if (is_other) pre_close(&learnt.pre);
    survey->retyped = find_retyped(t, t->merges.n_rows);
    for (uint32_t id = 0; ok && id < t->n_tokens && survey->unreached == NO_TOKEN; id++)
        if (is_surveyed(&t->tokens[id]) && !stated[id]) survey->unreached = id;
    bool is_doubtful = survey->n_tokens - survey->n_given > survey->n_tokens / CLEARLY;
    for (size_t row = 0; ok && is_doubtful && pre_names(row); row++)
        ok = try_row(t, row, stated, given, survey, err);
    arena_free(&scratch);
    return ok;
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

void tokenizer_survey_scores(const Tokenizer *t, ScoreSurvey *survey) {
    *survey = (ScoreSurvey){.unreached = NO_TOKEN};
    if (t->kind != VOCAB_SPM) return;
    Tokenizer bare = *t; // no space is put before a text or taken out of it
    bare.adds_space_prefix = bare.joins_spaces = false;
    TokenList ids = {0};
    Encoder e = {.tokenizer = &bare, .out = &ids};
    Arena scratch = {0};
    float *scores = arena_array(&scratch, t->n_tokens, float);
    size_t n_scores = 0;
    for (uint32_t id = 0; id < t->n_tokens; id++) {
        const Token *token = &t->tokens[id];
        if (!is_text(token)) continue;
        survey->n_rises += n_scores && token->score > scores[n_scores - 1];
        scores[n_scores++] = token->score;
        size_t first = 0;
        utf8_scan(token->bytes.at, token->bytes.len, &first);
        if (first == token->bytes.len) continue; // one character: nothing is joined
        survey->n_tokens++;
        ids.count = 0;
        spm_encode(&e, token->bytes);
        bool is_given = ids.count == 1 && ids.at[0] == id;
        survey->n_given += is_given;
        if (!is_given && survey->unreached == NO_TOKEN) survey->unreached = id;
    }
    qsort(scores, n_scores, sizeof *scores, compare_floats);
    for (size_t i = 0; i < n_scores; i++)
        survey->n_distinct += i == 0 || scores[i] != scores[i - 1];
    encoder_close(&e);
    token_list_free(&ids);
    arena_free(&scratch);
}
