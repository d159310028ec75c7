// impl.h — what the files of the tokenizer share: the vocabulary in memory and one text's
// scratch.
//
//     tokenizer.c  opens; encodes: cuts out special tokens, hands the rest to its kind
//     vocab.c      the keys of the file, checked, into Tokenizer
//     index.c      tokens by text or bytes
//     merges.c     the file's table of merges
//     special.c    finds special tokens in text
//     pre.c        the table of pre-tokenizers; cuts text into words
//     nfc.c        normalizes text
//     bpe.c        words to tokens by merges
//     raw.c        text to tokens by merges of characters
//     spm.c        text to tokens by scores
//     encoder.c    memory of encoding one text
//     stream.c     tokens to text
//     describe.c   a vocabulary as software of others needs it
//     survey.c     the vocabulary against the pre-tokenizer that the file names
#ifndef LATHE_TOKENIZER_IMPL_H
#define LATHE_TOKENIZER_IMPL_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/arena.h"
#include "tokenizer/tokenizer.h"

enum {
    // Far more than any published token has; it bounds what a hostile special token costs at every
    // position of a text.
    TOKEN_MAX_BYTES = 4096,
    PRE_MAX_PATTERNS = 6,
};

typedef struct {
    Str text;  // as the file spells it
    Str bytes; // the text it encodes
    float score;
    TokenType type;
    bool strips_right; // white space after the token in a text belongs to it
} Token;

static inline bool token_is_control(const Token *token) {
    return token->type == TOKEN_CONTROL || token->type == TOKEN_UNKNOWN;
}

// Finds tokens by text or by bytes: open addressing, half full at most.
typedef struct {
    uint32_t *slots; // ids, or NO_TOKEN
    size_t n_slots;  // a power of two
    bool is_by_bytes;
} TokenIndex;

// Row i of the file's merges: `left` followed by `right` is replaced by `joined`. Row 0 has the
// highest priority.
typedef struct {
    uint32_t left, right, joined;
} Merge;

typedef struct {
    const Merge *rows;
    size_t n_rows;
    uint32_t *slots; // row numbers by hash of (left, right), or NO_TOKEN
    size_t n_slots;
} MergeTable;

// Special tokens in the order of their bytes, with the range of each first byte.
typedef struct {
    const uint32_t *ids;
    uint32_t first[257]; // ids[first[b]] … ids[first[b + 1] - 1] begin with byte b
} SpecialSet;

typedef struct {
    pcre2_code *patterns[PRE_MAX_PATTERNS]; // each cuts the pieces that the one before it made
    const char *texts[PRE_MAX_PATTERNS];    // of the patterns
    size_t n_patterns;
    bool ignores_merges;   // a word that is a token becomes that token without merges
    bool is_nfc;           // text is normalized to NFC before it is cut
    bool is_raw;           // tokens are spelt as SentencePiece's: UTF-8, U+2581 for a space, <0xXX>
    const char *learnt_by; // as in PreSurvey (tokenizer.h)
} PreTokenizer;

typedef enum { VOCAB_BPE, VOCAB_SPM } VocabKind;

struct Tokenizer {
    Arena arena;
    VocabKind kind;
    Token *tokens;
    size_t n_tokens;
    TokenIndex by_text; // every token
    // The tokens that merging may produce: byte-level BPE's normal tokens by bytes, others by text.
    TokenIndex matched;
    uint32_t byte_ids[256]; // token of each byte, NO_TOKEN where the vocabulary has none
    uint32_t bos, eos, unknown;
    bool adds_bos, adds_eos;
    SpecialSet user_defined; // always matched in text
    SpecialSet special;      // matched with TOKENIZER_PARSE_SPECIAL; includes the user-defined ones
    // BPE
    PreTokenizer pre;
    MergeTable merges;
    // SPM
    bool adds_space_prefix;  // a space before each stretch of text
    bool joins_spaces;       // runs of spaces become one space, and spaces at the ends are removed
    size_t max_matched_text; // bytes of the longest token in `matched`
};

// Tokens spelt in bytes by GPT-2's alphabet; others are spelt in UTF-8 with U+2581 for a space.
static inline bool vocab_is_byte_level(const struct Tokenizer *t) {
    return t->kind == VOCAB_BPE && !t->pre.is_raw;
}

// Stretches of the text being joined, a doubly linked list in an array.
typedef struct {
    union {
        uint32_t id;    // BPE: its token; NO_TOKEN once merged into its neighbour
        uint32_t start; // SPM: its first byte in the text
    };
    uint32_t len;        // SPM: its bytes; 0 once merged into its neighbour
    uint32_t prev, next; // NO_TOKEN at the ends
} Symbol;

// A pair that could be joined: smallest `order` first, then leftmost.
typedef struct {
    uint32_t order, left;
    uint32_t len; // SPM: bytes of the pair, to recognise a stale candidate
} Candidate;

typedef struct {
    Candidate *at;
    size_t count, cap;
} CandidateHeap;

// The memory for encoding one text.
typedef struct {
    const Tokenizer *tokenizer;
    TokenList *out;
    Symbol *symbols;
    size_t symbols_cap;
    CandidateHeap heap;
    StrBuf normalized;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *jit_stack;
} Encoder;

// encoder.c
void encoder_close(Encoder *e);
Symbol *encoder_symbols(Encoder *e, size_t n); // room for `n`, contents unset
void heap_push(CandidateHeap *h, Candidate c);
Candidate heap_pop(CandidateHeap *h); // of a heap that is not empty

// vocab.c
bool vocab_read(Tokenizer *t, const Gguf *g, Err *err);

// index.c
// An empty index with room for every token of `t`.
void index_start(Tokenizer *t, TokenIndex *index, bool is_by_bytes);
void index_put(const Tokenizer *t, TokenIndex *index, uint32_t id);
// The token of this text or these bytes, or NO_TOKEN.
uint32_t index_find(const Tokenizer *t, const TokenIndex *index, Str key);

// special.c
// The set of all tokens of `t` for which bit `1 << type` is in `types`.
void special_build(SpecialSet *set, Tokenizer *t, unsigned types);
// Finds the first special token at or after text.at + *at, sets *at to its place and returns its
// id; NO_TOKEN when there is none.
uint32_t special_next(const Tokenizer *t, const SpecialSet *set, Str text, size_t *at);

// pre.c pre_close() has to be called on failure, too.
bool pre_open(PreTokenizer *pre, Str name, Err *err);
bool pre_open_row(PreTokenizer *pre, size_t row, Err *err);
// the names of a row of the table, separated by spaces; NULL past the last
const char *pre_names(size_t row);
// the cuts of a row of the table; false past the last
bool pre_row_cuts(size_t row, TokenizerCuts *out);
void pre_close(PreTokenizer *pre);
bool pre_split(Encoder *e, Str text, Err *err); // calls bpe_encode_word for each word

// merges.c
bool merges_read(Tokenizer *t, const Gguf *g, Err *err);
// The row that joins `left` and `right`, or NO_TOKEN.
uint32_t merges_find(const MergeTable *m, uint32_t left, uint32_t right);
// The bytes that `text` spells in the byte alphabet, at most as many as it has; false when a
// character is not in the alphabet.
bool bpe_text_to_bytes(Str text, char *bytes, size_t *n_bytes);
// The bytes that `text`, with U+2581 for spaces, stands for; at most as many as it has.
void metaspace_to_bytes(Str text, char *bytes, size_t *n_bytes);

// bpe.c
void bpe_encode_word(Encoder *e, Str word);
// Merges `n` symbols, whose ids are set, and appends the resulting tokens.
void bpe_join(Encoder *e, Symbol *symbols, uint32_t n);

// raw.c
void raw_encode(Encoder *e, Str text);

// spm.c
void spm_encode(Encoder *e, Str text);

#endif
