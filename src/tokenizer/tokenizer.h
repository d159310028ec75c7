// tokenizer.h — text to token ids and back, by the vocabulary that a GGUF file carries.
//
// Two kinds of vocabulary, as `tokenizer.ggml.model` names them:
//
//     gpt2   byte-level BPE. Text is cut into words by the patterns that `tokenizer.ggml.pre`
//            stands for (a table in pre.c); inside a word, pairs are joined in the order
//            of `tokenizer.ggml.merges`.
//     llama  SentencePiece. Spaces become U+2581; pairs whose text is a token are joined, best
//            score first; what is left without a token is spelt in byte tokens `<0xXX>`.
//
// Before either, special tokens are cut out of the text, leftmost and then longest first:
// user-defined ones always, control tokens only on request. Without that flag `<|end|>` in a user's
// message is plain text and cannot end the turn.
//
// Text may hold any bytes. Bytes that are not UTF-8 count as U+FFFD, one for each maximal broken
// part, as with Python's decode(errors="replace").
//
// A Tokenizer copies what it needs, so the Gguf may be closed. It never changes after
// tokenizer_open(): any number of threads may use one at once. TokenList and Detokenizer belong to
// one thread at a time.
#ifndef LATHE_TOKENIZER_TOKENIZER_H
#define LATHE_TOKENIZER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "contract/contract.h" // NO_TOKEN
#include "gguf/gguf.h"

typedef struct Tokenizer Tokenizer;

// The numbers of `tokenizer.ggml.token_type`.
typedef enum {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN,      // in place of text without a token
    TOKEN_CONTROL,      // structure: begin of text, end of turn
    TOKEN_USER_DEFINED, // added text, always matched as a whole
    TOKEN_UNUSED,       // fills the table; never made from text
    TOKEN_BYTE,         // `<0xXX>`: one byte
} TokenType;

// Reads the vocabulary of `g`. Errors name the key, the token or the merge. NULL on failure.
Tokenizer *tokenizer_open(const Gguf *g, Err *err);
void tokenizer_close(Tokenizer *t); // safe on NULL

size_t tokenizer_count(const Tokenizer *t);

// NO_TOKEN when the file states none.
uint32_t tokenizer_bos(const Tokenizer *t);
uint32_t tokenizer_eos(const Tokenizer *t);
// The model's policy: TOKENIZER_ADD_BOS acts only where this holds.
bool tokenizer_adds_bos(const Tokenizer *t);

// How text is cut before BPE merges, for other software: regular expressions, each of which cuts
// the pieces that the one before it made. Without patterns the text is one word.
typedef struct {
    const char *patterns[6];
    size_t n_patterns;
    bool ignores_merges; // a word that is a token is taken whole
    bool is_nfc;         // text is normalized before
    bool is_raw;         // tokens are spelt in characters, with U+2581 for a space, not in bytes
} TokenizerCuts;
// False for a SentencePiece vocabulary, whose text is not cut.
bool tokenizer_cuts(const Tokenizer *t, TokenizerCuts *out);
// The first name of `tokenizer.ggml.pre` that stands for these cuts, whose patterns are spelt as in a
// tokenizer.json (`\s` for white space) or as here; empty when none does. Names that differ in nothing but
// their patterns' traits are told apart by those.
Str tokenizer_cuts_name(const TokenizerCuts *cuts);
// The token's text as the file spells it.
Str tokenizer_text(const Tokenizer *t, uint32_t id);
float tokenizer_score(const Tokenizer *t, uint32_t id);
// White space after the token belongs to it.
bool tokenizer_strips_right(const Tokenizer *t, uint32_t id);
// Whether a SentencePiece vocabulary puts a space before each piece of text.
bool tokenizer_adds_space_prefix(const Tokenizer *t);
uint32_t tokenizer_unknown(const Tokenizer *t); // or NO_TOKEN
bool tokenizer_adds_eos(const Tokenizer *t);
// Merge `row` of a BPE vocabulary, in order of priority, as ids; false past the last.
bool tokenizer_merge(const Tokenizer *t, size_t row, uint32_t *left, uint32_t *right,
                     uint32_t *joined);

// `id` must be below tokenizer_count().
TokenType tokenizer_type(const Tokenizer *t, uint32_t id);
// Control and unknown tokens: structure, not text.
bool tokenizer_is_control(const Tokenizer *t, uint32_t id);
// The bytes a token decodes to, valid until tokenizer_close(); for a control token its name. They
// need not be whole characters. Empty for an id out of range.
Str tokenizer_piece(const Tokenizer *t, uint32_t id);
// The token whose text, as the file spells it, is `text`; or NO_TOKEN.
uint32_t tokenizer_find(const Tokenizer *t, Str text);

// How well the vocabulary fits the pre-tokenizer that the file names. BPE was trained on words as
// its pre-tokenizer cut them, so no token crosses a cut, and each token's own text encodes to it.
// Under another pre-tokenizer, tokens that it cuts can never be produced.
typedef struct {
    size_t n_tokens;    // normal tokens of two bytes or more that are valid UTF-8
    size_t n_given;     // of these, given by their own text
    uint32_t unreached; // one that is not; NO_TOKEN when all are
    // The pre-tokenizer under which such vocabularies were trained and are surveyed, if text is cut
    // by another one; else NULL.
    const char *learnt_by;
    // A token of a type that text cannot give (control or unused), although a merge produces it, so
    // it was a normal one when the merges were trained. NO_TOKEN when there is none.
    uint32_t retyped;
    // Another pre-tokenizer with which clearly more tokens result: its names, separated by spaces,
    // the number of tokens, and a token that results only with it. NULL when there is none.
    const char *better;
    size_t n_better;
    uint32_t lost;
} PreSurvey;

// For a BPE vocabulary. Others have no pre-tokenizer: all members are zero then.
bool tokenizer_survey(const Tokenizer *t, PreSurvey *survey, Err *err);

// How well the vocabulary fits its scores. SentencePiece numbers and scores its tokens in the order
// in which it learns them, so scores fall from token to token, and merging by scores can produce
// every token.
typedef struct {
    size_t n_tokens;    // tokens of two characters or more that text should be able to give
    size_t n_given;     // of these, given by their own text
    uint32_t unreached; // one that is not; NO_TOKEN when all are
    size_t n_rises;     // those of them with a higher score than the one before
    size_t n_distinct;  // different scores
} ScoreSurvey;

// For a SentencePiece vocabulary. Others do not use scores: all members are zero then.
void tokenizer_survey_scores(const Tokenizer *t, ScoreSurvey *survey);

// A growing list; zeroed is empty, token_list_free() leaves it empty.
typedef struct {
    uint32_t *at;
    size_t count, cap;
} TokenList;

void token_list_add(TokenList *list, uint32_t id);
void token_list_free(TokenList *list);

enum {
    TOKENIZER_PARSE_SPECIAL = 1, // control tokens spelt out in the text become tokens
    TOKENIZER_ADD_BOS = 2,       // begin with bos, if that is the model's policy
    TOKENIZER_ADD_EOS = 4,       // end with eos, likewise
};

enum { TOKENIZER_MAX_TEXT = 1 << 28 }; // bytes that one call encodes at most

// Appends the ids of `text` to `out`. Time grows as n log n whatever the text. Fails on text beyond
// TOKENIZER_MAX_TEXT, or when a pattern runs into pcre2's limits; `out` is then unchanged.
bool tokenizer_encode(const Tokenizer *t, Str text, unsigned flags, TokenList *out, Err *err);

// The first control token spelt out in `text` at or after `*at`: moves `*at` there. NO_TOKEN: none.
uint32_t tokenizer_find_control(const Tokenizer *t, Str text, size_t *at);
// As tokenizer_encode() with TOKENIZER_PARSE_SPECIAL, but at `guards` (byte offsets in `text`,
// ascending) no control token begins: there it is plain text. `text` must be UTF-8.
bool tokenizer_encode_guarded(const Tokenizer *t, Str text, unsigned flags, const size_t *guards,
                              size_t n_guards, TokenList *out, Err *err);

enum {
    DETOKENIZER_SHOW_CONTROL = 1, // control tokens give their names instead of nothing
    DETOKENIZER_MID_TEXT = 2,     // the text continues an earlier one: a leading space is kept
};

// Ids to text, one by one: only whole, valid characters are emitted. The one space that encoding
// puts before a SentencePiece text is removed.
typedef struct {
    const Tokenizer *tokenizer;
    bool shows_control;
    bool drops_space; // if the next character is a space, the encoder put it there
    uint8_t held[4];  // the beginning of a character
    size_t n_held;
} Detokenizer;

Detokenizer detokenizer_start(const Tokenizer *t, unsigned flags);
// Appends the characters that the token completes, perhaps none. Bytes that cannot become a
// character give U+FFFD.
void detokenizer_add(Detokenizer *d, uint32_t id, StrBuf *out);
// Ends the text: an incomplete character gives U+FFFD. Afterwards the next text counts as a
// continuation (DETOKENIZER_MID_TEXT).
void detokenizer_flush(Detokenizer *d, StrBuf *out);

#endif
