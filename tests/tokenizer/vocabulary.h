// vocabulary.h — a small vocabulary as a struct: a test makes a valid one, changes one thing and
// opens it.
#ifndef LATHE_TESTS_TOKENIZER_VOCABULARY_H
#define LATHE_TESTS_TOKENIZER_VOCABULARY_H

#include "tokenizer/tokenizer.h"

typedef struct {
    Str text;
    TokenType type;
    float score;
} TokenSpec;

enum { MAX_TOKENS = 300, MAX_MERGES = 16, KEY_ABSENT = -1 };

typedef struct {
    const char *model, *pre; // NULL: no such key
    TokenSpec tokens[MAX_TOKENS];
    size_t n_tokens;
    Str merges[MAX_MERGES];
    size_t n_merges;
    size_t n_types, n_scores;                                // as listed; 0: no such key
    bool has_merges, has_tokens;                             // false: no such key
    int64_t bos, eos, unknown;                               // KEY_ABSENT: no such key
    int adds_bos, adds_eos, adds_space_prefix, joins_spaces; // KEY_ABSENT or a boolean
    char texts[256][8];                                      // of the byte tokens
} Vocabulary;

// Byte-level BPE, pre-tokenizer gpt-2, without policy keys:
//     ids 0 … 255      the bytes
//     HE …             the tokens of the enum below
// and the merges he, ll, hell, hello, aa, in this order.
void vocabulary_bpe(Vocabulary *v);
enum { HE = 256, LL, HELL, HELLO, AA, XYZ, SPACES, END, END_OF, TOOL, HOLE, BPE_TOKENS };

// SentencePiece: <unk>, <s>, </s>, 256 byte tokens, then the tokens of the enum, best score first.
void vocabulary_spm(Vocabulary *v);
enum {
    UNK,
    BOS,
    EOS,
    BYTE_0,
    SPM_AB = BYTE_0 + 256,
    SPM__A,
    SPM_ABC,
    SPM__,
    SPM_A,
    SPM_B,
    SPM_C,
    SPM_END,
    SPM_TOKENS
};

void vocabulary_add(Vocabulary *v, Str text, TokenType type, float score);

// Opens it as a file would be, from a block of exactly its size. NULL on failure.
Tokenizer *vocabulary_open(const Vocabulary *v, Err *err);
// The bytes of that file; strbuf_free() them.
StrBuf vocabulary_bytes(const Vocabulary *v);

#endif
