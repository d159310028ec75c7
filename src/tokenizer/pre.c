// pre.c — pre-tokenizers: cut text into words; BPE then merges inside each word.
//
// `tokenizer.ggml.pre` names one by a word of llama.cpp's convert_hf_to_gguf.py. Each is a list of
// patterns: the first cuts the text into its matches and what lies between, the next cuts every one
// of those pieces, and so on (HF's Split with behaviour "Isolated"). Only the cuts matter; a
// pattern does not see text outside its piece.
//
// The patterns are those of the published tokenizer.json files and of tiktoken, written for pcre2:
// white space is an explicit class, since pcre2's \s takes U+180E for a space where Unicode, Rust
// and Oniguruma do not. llama.cpp's own patterns for gpt-4o lack \p{M}, and so split combining
// marks from their letters; they are not used. No pattern matches the empty string, and none
// backtracks more than linearly in the piece.
//
// Letters and marks are those of pcre2's Unicode version (14.0 in Debian 12): later characters may
// be cut differently than by a tokenizer with newer tables.
#include <assert.h>

#include "base/size.h"
#include "tokenizer/impl.h"

// clang-format off
#define SPACE     "\\x09-\\x0d\\x{85}\\p{Z}" // inside a class: Unicode's White_Space
#define S         "[" SPACE "]"
#define NOT_S     "[^" SPACE "]"
#define ENDINGS   "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST      S "+(?!" NOT_S ")|" S "+"        // a run of spaces leaves its last one to the word after it
#define LINES     S "*[\\r\\n]+|"
#define NO_WORD   "[^\\r\\n\\p{L}\\p{N}]?"
#define MARKS     " ?[^" SPACE "\\p{L}\\p{N}]+"
#define UPPER     "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER     "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
// Those of UPPER and LOWER that are not Han, as complements: a class cannot subtract.
#define UPPER_NOT_HAN "[^\\p{Ll}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{sc:Han}]"
#define LOWER_NOT_HAN "[^\\p{Lu}\\p{Lt}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{sc:Han}]"

// openai/gpt-2 encoder.py; HF's ByteLevel
#define GPT2      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|" MARKS "|" REST
// openai/tiktoken openai_public.py: cl100k_base, o200k_base. Llama 3 and Qwen2 use the first with other digits.
#define CL100K(digits) ENDINGS "|" NO_WORD "\\p{L}+|" digits "|" MARKS "[\\r\\n]*|" LINES REST
#define O200K     O200K_DIGITS("\\p{N}{1,3}")
#define O200K_DIGITS(digits) NO_WORD UPPER "*" LOWER "+" ENDINGS "?|" NO_WORD UPPER "+" LOWER "*" ENDINGS "?|" \
                  digits "|" MARKS "[\\r\\n/]*|" LINES REST
// mistralai tekken.json
#define TEKKEN    NO_WORD UPPER "*" LOWER "+|" NO_WORD UPPER "+" LOWER "*|" \
                  "\\p{N}|" MARKS "[\\r\\n/]*|" LINES REST
// moonshotai Kimi-K2 tokenization_kimi.py
#define KIMI      "\\p{sc:Han}+|" NO_WORD UPPER_NOT_HAN "*" LOWER_NOT_HAN "+" ENDINGS "?|" \
                  NO_WORD UPPER_NOT_HAN "+" LOWER_NOT_HAN "*" ENDINGS "?|" \
                  "\\p{N}{1,3}|" MARKS "[\\r\\n]*|" LINES REST
// deepseek-ai DeepSeek-V3 tokenizer.json, third pattern
#define DEEPSEEK3(lines) "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|" \
                  "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+" lines REST
#define LINE_ENDS "[\\r\\n]*|" LINES
#define HAN_KANA  "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+"
#define HAN_HANGUL "[\\x{4e00}-\\x{9fa5}\\x{0800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"
// bigscience/bloom tokenizer.json. The round brackets and bars inside the class are meant: they are in the original.
#define BLOOM     " ?[^(" SPACE "|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{0964}\\x{06d4}\\x{060c})]+"

// deepseek-ai deepseek-llm-7b-base tokenizer.json: the letters with cases that its expression lists. llama.cpp's copy has been
// through NFC, which put other letters at the ends of three ranges (for U+1F7D, U+1FD3, U+1FDB).
#define CASED \
    "A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}\\x{295}-\\x{2af}" \
    "\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}" \
    "\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}" \
    "\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}" \
    "\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}" \
    "\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}" \
    "\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}" \
    "\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}" \
    "\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}" \
    "\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}" \
    "\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}" \
    "\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}" \
    "\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}" \
    "\\x{1e900}-\\x{1e943}"
#define HALF_AND_FULL "!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}"
// tencent Youtu-LLM-2B tokenizer.json: Hangul, punctuation, Bopomofo, Han and Kana, each kind apart
#define YOUTU     "[\\x{ac00}-\\x{d7a3}\\x{3131}-\\x{318e}]+|[\\x{ff01}\\x{2026}\\x{201c}\\x{201d}\\x{2018}\\x{2019}\\x{2014}\\x{ff1a}" \
                  "\\x{ff1b}\\x{ff0c}\\x{3001}-\\x{303f}\\x{fe30}-\\x{fe4f}]+|[\\x{3105}-\\x{312f}]+|" HAN_KANA
// arcee-ai Trinity-Tokenizer, as llama.cpp has it
#define ASIAN     "[\\x{4e00}-\\x{9fff}\\x{3400}-\\x{4dbf}\\x{f900}-\\x{faff}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}\\x{ff65}-\\x{ff9f}" \
                  "\\x{2f00}-\\x{2fdf}\\x{e40}-\\x{e7f}\\x{e80}-\\x{eff}\\x{1780}-\\x{17ff}\\x{1000}-\\x{109f}\\x{aa60}-\\x{aa7f}" \
                  "\\x{a9e0}-\\x{a9ff}\\x{ac00}-\\x{d7af}\\x{1100}-\\x{11ff}]+"
// Runs of digits in threes from the right. Published as \d{1,3}(?=(?:\d{3})*…), which looks through the rest of the run at every
// cut; here only its start does, and what follows a cut inside it is aligned.
#define THREES(digit, ends) "(?<=" digit ")\\G" digit "{3}|(?<!" digit ")" ends "(?:" digit "{1,2}(?=(?:" digit "{3})*+(?!" digit "))|" digit "{3})"
#define WORD_ENDS "(?=\\p{Nd}++(?![\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}]))" // \b of Oniguruma after a digit
// UW/OLMo2-8B-SuperBPE-t180k: cuts at (?=(\d{3})+(?!\d)), places without length, where other numbers stay with what is before them.
#define GROUP     "\\p{Nd}{3}(?:(?!\\p{Nd})(?:\\P{Nd}++(?:\\p{Nd}{1,2}(?=(?:\\p{Nd}{3})*+(?!\\p{Nd})))?)*+)?"
#define GROUPS    "(?<=[\\x{0}-\\x{10ffff}])\\G" GROUP "|(?=(?:\\p{Nd}{3})++(?!\\p{Nd}))" GROUP

enum { IGNORES_MERGES = 1, NFC = 2, RAW = 4 };

typedef struct {
    const char *names; // with a space between; all have the same patterns
    const char *patterns[PRE_MAX_PATTERNS];
    unsigned traits;
    // the pre-tokenizer that vocabularies of it were learnt under, if another
    const char *learnt_by;
} PreRow;

// NFC where the publisher's tokenizer has the normalizer NFC (transformers: tokenization_qwen2.py, tokenization_qwen3_5.py,
// tokenization_cohere.py, tokenization_gpt_neox.py); llama.cpp normalizes nothing. docs/differences.md lists where the two part.
static const PreRow rows[] = {
    {"gpt-4o llama4 kanana2 minimax-m2 talkie", {O200K}},
    {"granite-embed-multi-97m", {O200K}, IGNORES_MERGES},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano glm4 glm5", {CL100K("\\p{N}{1,3}")}, IGNORES_MERGES},
    {"dbrx smaug-bpe chatglm-bpe", {CL100K("\\p{N}{1,3}")}},
    {"minicpm5", {"\\p{N}{1,3}", CL100K("\\p{N}+")}, IGNORES_MERGES},
    {"jais-2", {ENDINGS "|" NO_WORD "\\p{L}+|\\p{N}{1,3}|" MARKS "[\\r\\n]*|" LINES
                S "{512}(?!" NOT_S ")|" S "{256}(?!" NOT_S ")|" S "{128}(?!" NOT_S ")|" S "{64}(?!" NOT_S ")|" S "{32}(?!" NOT_S ")|"
                S "{16}(?!" NOT_S ")|" S "{8}(?!" NOT_S ")|" S "{4}(?!" NOT_S ")|" S "{1,2}(?!" NOT_S ")|" S}},
    // The publisher's own cuts (tokenization_qwen2.py) cannot give 1,673 tokens of Qwen2.5's vocabulary, letters with marks that it cuts
    // apart; qwen35's cannot give 6. lathe and the library tokenizers count the same for both. So the vocabulary is surveyed by the
    // latter, and the survey cannot tell the two pre-tokenizers apart.
    {"qwen2", {CL100K("\\p{N}")}, NFC, .learnt_by = "qwen35"},
    {"deepseek-r1-qwen", {CL100K("\\p{N}")}, .learnt_by = "qwen35"},
    {"f2llmv2 stablelm2 hunyuan megrez kormo grok-2 solar-open", {CL100K("\\p{N}")}},
    {"qwen35", {ENDINGS "|" NO_WORD "[\\p{L}\\p{M}]+|\\p{N}| ?[^" SPACE "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" LINES REST}, NFC},
    {"laguna", {"[^\\n]+|[\\n]+", CL100K("\\p{N}")}},
    {"ufakzeka", {NO_WORD "\\p{L}+|\\p{N}|" MARKS "[\\r\\n]*|" LINES REST}},
    {"exaone-moe", {ENDINGS "|" NO_WORD "(?:\\p{L}\\p{M}*+(?: \\p{L}\\p{M}*+)*+)++|\\p{N}|" MARKS "[\\r\\n/]?|" S "*[\\r\\n]|" REST}},
    {"seed-coder", {ENDINGS "|" NO_WORD "\\p{L}+|\\p{N}| ?[^" SPACE "\\p{L}\\p{N}\\r\\n]+|" LINES REST}},
    {"bailingmoe bailingmoe2 llada-moe",
     {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^" SPACE "\\p{L}\\p{N}]++[\\r\\n]*|" S "*[\\r\\n]|" REST}},
    {"tekken", {TEKKEN}, IGNORES_MERGES},
    {"tiny_aya cohere2moe", {THREES("\\p{Nd}", WORD_ENDS), O200K}, NFC},
    {"youtu", {YOUTU, O200K_DIGITS("\\p{N}")}, IGNORES_MERGES},
    {"kimi-k2", {KIMI}},
    {"gpt-2 phi-2 jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum modern-bert roberta-bpe jina-es jina-de jina-v2-es jina-v2-de "
     "jina-v2-code jina-v1-en", {GPT2}},
    {"mpt olmo", {GPT2}, NFC},
    {"smollm starcoder refact codeshell exaone minerva-7b mellum2", {"\\p{N}", GPT2}},
    {"command-r", {"\\p{N}", GPT2}, NFC},
    {"falcon", {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {"default", {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"chameleon", {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", "[\\t\\n]|    |  ", "\\p{N}", "[\\p{P}!-/:-@\\[-`{-~]", GPT2}},
    {"deepseek-coder", {"[\\r\\n]", S "?\\p{L}+", S "?\\p{P}+", HAN_HANGUL, "\\p{N}"}},
    // A run of spaces that ends the piece is looked for at its start alone.
    {"deepseek-llm", {"[\\r\\n]", S "?[" CASED "]+", S "?[" HALF_AND_FULL "]+", "(?<!" S ")" S "++$", HAN_HANGUL, "\\p{N}"}},
    {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", {"\\p{N}{1,3}", HAN_KANA, DEEPSEEK3(LINE_ENDS)}},
    {"spark2_5", {"\\p{N}{1,3}", HAN_KANA, DEEPSEEK3("|[\\r\\n]|"), "\\p{N}"}},
    {"afmoe", {THREES("\\p{N}", ""), ASIAN, DEEPSEEK3(LINE_ENDS)}},
    {"superbpe", {"\\p{N}+", GROUPS}},
    {"bloom poro-chat gpt3-finnish", {BLOOM}},
    {"viking", {BLOOM, "\\p{N}"}},
    // Tokens are spelt in UTF-8 with U+2581 for spaces, as SentencePiece spells them; merges go over the whole text.
    {"gemma4 granite-embed-multi-311m sarvam-moe", {0}, RAW},
};
// clang-format on

// Does the list `names`, with a space between, hold `name`?
static bool names_hold(const char *names, Str name) {
    for (const char *at = names; *at;) {
        size_t len = strcspn(at, " ");
        if (str_eq((Str){at, len}, name)) return true;
        at += len + (at[len] == ' ');
    }
    return false;
}

static bool unknown_pre(Str name, Err *err) {
    StrBuf known = {0};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        strbuf_printf(&known, "%s%s", i ? " " : "", rows[i].names);
    if (name.len > 64) name.len = 64;
    err_set(err, ERR_FORMAT,
            "key 'tokenizer.ggml.pre': pre-tokenizer '%.*s' is not known; known are: %s",
            STR_ARG(name), known.at);
    strbuf_free(&known);
    return false;
}

// Names of llama.cpp whose models are no language models: texts become vectors there.
static const char encoders[] = "mmbert whitespace bert-bge bert-bge-large jina-v2-en";

const char *pre_names(size_t row) {
    return row < COUNT_OF(rows) ? rows[row].names : NULL;
}

bool pre_open(PreTokenizer *pre, Str name, Err *err) {
    for (size_t i = 0; i < COUNT_OF(rows) && name.len; i++)
        if (names_hold(rows[i].names, name)) return pre_open_row(pre, i, err);
    if (name.len && names_hold(encoders, name))
        return err_set(
            err, ERR_FORMAT,
            "key 'tokenizer.ggml.pre': pre-tokenizer '%.*s' belongs to embedding models, "
            "which give vectors, not text; lathe converts language models",
            STR_ARG(name));
    return unknown_pre(name, err);
}

bool pre_open_row(PreTokenizer *pre, size_t at, Err *err) {
    const PreRow *row = &rows[at];
    *pre = (PreTokenizer){.ignores_merges = row->traits & IGNORES_MERGES,
                          .is_nfc = row->traits & NFC,
                          .is_raw = row->traits & RAW,
                          .learnt_by = row->learnt_by};
    for (size_t i = 0; i < PRE_MAX_PATTERNS && row->patterns[i]; i++) {
        int code;
        size_t offset;
        pcre2_code *pattern =
            pcre2_compile((PCRE2_SPTR)row->patterns[i], PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &code, &offset, NULL);
        if (!pattern)
            return err_set(err, ERR_SYSTEM,
                           "pcre2 refuses pattern %zu of pre-tokenizer '%s' at %zu (error %d): "
                           "lathe needs pcre2 10.40 or later with Unicode",
                           i, row->names, offset, code);
        pre->texts[pre->n_patterns] = row->patterns[i];
        pre->patterns[pre->n_patterns++] = pattern;
        pcre2_jit_compile(pattern, PCRE2_JIT_COMPLETE); // where there is no JIT, pcre2 interprets
    }
    return true;
}

bool pre_row_cuts(size_t at, TokenizerCuts *out) {
    if (at >= COUNT_OF(rows)) return false;
    const PreRow *row = &rows[at];
    *out = (TokenizerCuts){.ignores_merges = row->traits & IGNORES_MERGES,
                           .is_nfc = row->traits & NFC,
                           .is_raw = row->traits & RAW};
    while (out->n_patterns < PRE_MAX_PATTERNS && row->patterns[out->n_patterns]) {
        out->patterns[out->n_patterns] = row->patterns[out->n_patterns];
        out->n_patterns++;
    }
    return true;
}

void pre_close(PreTokenizer *pre) {
    for (size_t i = 0; i < pre->n_patterns; i++) pcre2_code_free(pre->patterns[i]);
    pre->n_patterns = 0;
}

static bool match_failed(int code, Err *err) {
    PCRE2_UCHAR reason[128];
    pcre2_get_error_message(code, reason, sizeof reason);
    return err_set(err, ERR_SYSTEM, "cannot cut the text into words: pcre2: %s", (char *)reason);
}

static bool split(Encoder *e, size_t level, Str piece, Err *err) {
    const PreTokenizer *pre = &e->tokenizer->pre;
    if (level == pre->n_patterns) {
        bpe_encode_word(e, piece);
        return true;
    }
    size_t cut = 0;
    while (cut < piece.len) {
        int found = pcre2_match(pre->patterns[level], (PCRE2_SPTR)piece.at, piece.len, cut,
                                PCRE2_NO_UTF_CHECK, e->match, e->context);
        if (found == PCRE2_ERROR_NOMATCH) break;
        if (found < 0) return match_failed(found, err);
        const size_t *range = pcre2_get_ovector_pointer(e->match);
        size_t start = range[0], end = range[1];
        assert(cut <= start && start < end && "no pattern of the table matches an empty text");
        if (start > cut && !split(e, level + 1, (Str){piece.at + cut, start - cut}, err))
            return false;
        if (!split(e, level + 1, (Str){piece.at + start, end - start}, err)) return false;
        cut = end;
    }
    return cut == piece.len || split(e, level + 1, (Str){piece.at + cut, piece.len - cut}, err);
}

bool pre_split(Encoder *e, Str text, Err *err) {
    // pcre2's own stack for compiled patterns is 32 KiB. No pattern of the table needs more, but
    // another version of pcre2 may.
    enum { STACK_START = 1 << 16, STACK_MOST = 1 << 24 };
    if (!e->match) {
        e->match = pcre2_match_data_create(1, NULL);
        e->context = pcre2_match_context_create(NULL);
        e->jit_stack = pcre2_jit_stack_create(STACK_START, STACK_MOST, NULL);
        if (!e->match || !e->context)
            return err_set(err, ERR_SYSTEM, "no memory to match patterns");
        // The patterns are ours and linear: a limit on steps would only refuse long texts.
        pcre2_set_match_limit(e->context, UINT32_MAX);
        if (e->jit_stack) pcre2_jit_stack_assign(e->context, NULL, e->jit_stack);
    }
    return split(e, 0, text, err);
}
