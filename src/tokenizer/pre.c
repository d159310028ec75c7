// pre.c — pre-tokenizers: how text is cut into words before BPE joins inside each word.
//
// `tokenizer.ggml.pre` names one by a word of llama.cpp's convert_hf_to_gguf.py. Each is a list of
// patterns: the first cuts the text into its matches and what lies between, the next cuts every one
// of those pieces, and so on (HF's Split with behaviour "Isolated"). Only the cuts count; a pattern
// sees nothing outside its piece.
//
// The patterns are those of the published tokenizer.json files and of tiktoken, written for pcre2:
// white space is an explicit class, since pcre2's \s takes U+180E for a space where Unicode, Rust
// and Oniguruma do not. llama.cpp's own forms drop \p{M} in gpt-4o and split combining marks from
// their letters; they are not used. No pattern can match nothing, and none backtracks more than
// linearly in the piece.
//
// Letters and marks are those of pcre2's Unicode version (14.0 in Debian 12): characters assigned
// later may be cut differently than by a tokenizer with newer tables.
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
#define O200K     NO_WORD UPPER "*" LOWER "+" ENDINGS "?|" NO_WORD UPPER "+" LOWER "*" ENDINGS "?|" \
                  "\\p{N}{1,3}|" MARKS "[\\r\\n/]*|" LINES REST
// mistralai tekken.json
#define TEKKEN    NO_WORD UPPER "*" LOWER "+|" NO_WORD UPPER "+" LOWER "*|" \
                  "\\p{N}|" MARKS "[\\r\\n/]*|" LINES REST
// moonshotai Kimi-K2 tokenization_kimi.py
#define KIMI      "\\p{sc:Han}+|" NO_WORD UPPER_NOT_HAN "*" LOWER_NOT_HAN "+" ENDINGS "?|" \
                  NO_WORD UPPER_NOT_HAN "+" LOWER_NOT_HAN "*" ENDINGS "?|" \
                  "\\p{N}{1,3}|" MARKS "[\\r\\n]*|" LINES REST
// deepseek-ai DeepSeek-V3 tokenizer.json, third pattern
#define DEEPSEEK3 "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|" \
                  "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" LINES REST
#define HAN_KANA  "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+"
#define HAN_HANGUL "[\\x{4e00}-\\x{9fa5}\\x{0800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"
// bigscience/bloom tokenizer.json. The round brackets and bars inside the class are meant: they are in the original.
#define BLOOM     " ?[^(" SPACE "|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{0964}\\x{06d4}\\x{060c})]+"

typedef struct {
    const char *names; // with a space between; all have the same patterns
    const char *patterns[PRE_MAX_PATTERNS];
    bool ignores_merges;
} PreRow;

static const PreRow rows[] = {
    {"gpt-4o llama4 kanana2 minimax-m2", {O200K}},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2", {CL100K("\\p{N}{1,3}")}, true},
    {"dbrx smaug-bpe chatglm-bpe glm4", {CL100K("\\p{N}{1,3}")}},
    {"qwen2 deepseek-r1-qwen stablelm2 hunyuan megrez kormo grok-2 solar-open", {CL100K("\\p{N}")}},
    {"qwen35", {ENDINGS "|" NO_WORD "[\\p{L}\\p{M}]+|\\p{N}| ?[^" SPACE "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" LINES REST}},
    {"seed-coder", {ENDINGS "|" NO_WORD "\\p{L}+|\\p{N}| ?[^" SPACE "\\p{L}\\p{N}\\r\\n]+|" LINES REST}},
    {"bailingmoe bailingmoe2 llada-moe",
     {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^" SPACE "\\p{L}\\p{N}]++[\\r\\n]*|" S "*[\\r\\n]|" REST}},
    {"tekken", {TEKKEN}, true},
    {"kimi-k2", {KIMI}},
    {"gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum", {GPT2}},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b", {"\\p{N}", GPT2}},
    {"falcon", {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {"default", {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"deepseek-coder", {"[\\r\\n]", S "?\\p{L}+", S "?\\p{P}+", HAN_HANGUL, "\\p{N}"}},
    {"deepseek-v3 hunyuan-dense joyai-llm", {"\\p{N}{1,3}", HAN_KANA, DEEPSEEK3}},
    {"bloom poro-chat gpt3-finnish", {BLOOM}},
    {"viking", {BLOOM, "\\p{N}"}},
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

const char *pre_names(size_t row) {
    return row < COUNT_OF(rows) ? rows[row].names : NULL;
}

bool pre_open(PreTokenizer *pre, Str name, Err *err) {
    for (size_t i = 0; i < COUNT_OF(rows) && name.len; i++)
        if (names_hold(rows[i].names, name)) return pre_open_row(pre, i, err);
    return unknown_pre(name, err);
}

bool pre_open_row(PreTokenizer *pre, size_t at, Err *err) {
    const PreRow *row = &rows[at];
    *pre = (PreTokenizer){.ignores_merges = row->ignores_merges};
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
        pre->patterns[pre->n_patterns++] = pattern;
        pcre2_jit_compile(pattern, PCRE2_JIT_COMPLETE); // where there is no JIT, pcre2 interprets
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
        assert(cut <= start && start < end && "no pattern of the table matches nothing");
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
