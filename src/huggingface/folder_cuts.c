// folder_cuts.c — the steps of tokenizer.json before BPE, as huggingface/tokenizers names them, in the words of a GGUF
// file. Each step is understood or refused: one that was passed over would give other ids.
#include "base/json.h"
#include "base/size.h"
#include "huggingface/folder_impl.h"

// What GPT-2 cuts by, where ByteLevel has use_regex (tokenizers, pre_tokenizers/byte_level.rs).
#define BYTE_LEVEL                                                                                 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define METASPACE "\u2581"

enum { MAX_STEPS = 16 };

typedef struct {
    FolderCuts *out;
    TokenizerCuts cuts;
    bool replaces_spaces; // by U+2581
    Arena *arena;
    Err *err;
} Cutter;

static bool fail(const Cutter *c, const char *what, Str name) {
    return err_set(c->err, ERR_FORMAT, "%s '%.*s' is not supported; " HF_USE_GGUF, what,
                   STR_ARG(str_cut(name, 300)));
}

static Str text_of(const json_t *value) {
    const char *text = json_string_value(value);
    return text ? (Str){text, json_string_length(value)} : (Str){"", 0};
}

static bool is_text(const json_t *object, const char *key, const char *expected) {
    const char *text = json_string_value(json_object_get(object, key));
    return text && strcmp(text, expected) == 0;
}

// The steps of a Sequence, or the one step; null is none.
static size_t list_steps(const json_t *step, const char *list, const json_t **out) {
    const json_t *steps = json_object_get(step, list);
    if (!json_is_object(step)) return 0;
    if (!is_text(step, "type", "Sequence")) return out[0] = step, 1;
    size_t n = min_size(json_array_size(steps), MAX_STEPS + 1);
    for (size_t i = 0; i < n; i++) out[i] = json_array_get(steps, i);
    return n;
}

// ---- the normalizer

static bool read_normalizer(Cutter *c, const json_t *step) {
    Str type = text_of(json_object_get(step, "type"));
    const json_t *pattern = json_object_get(step, "pattern");
    if (str_is(type, "NFC")) return c->cuts.is_nfc = true;
    if (str_is(type, "Prepend") && is_text(step, "prepend", METASPACE) && !c->replaces_spaces)
        return c->out->adds_space = true;
    if (str_is(type, "Replace") && is_text(pattern, "String", " ") &&
        is_text(step, "content", METASPACE))
        return c->replaces_spaces = true;
    return fail(c, "tokenizer.json: normalizer", type);
}

// ---- the pre-tokenizer

static bool add_pattern(Cutter *c, Str pattern) {
    if (c->cuts.n_patterns == COUNT_OF(c->cuts.patterns))
        return fail(c, "tokenizer.json: another pattern of the pre-tokenizer,", pattern);
    c->cuts.patterns[c->cuts.n_patterns++] = arena_cstr(c->arena, pattern);
    return true;
}

static bool read_split(Cutter *c, const json_t *step) {
    const json_t *pattern = json_object_get(step, "pattern");
    Str regex = text_of(json_object_get(pattern, "Regex"));
    bool inverts = json_is_true(json_object_get(step, "invert"));
    // With its spaces replaced a text has none to be cut at.
    if (is_text(pattern, "String", " ") && c->replaces_spaces && !inverts) return true;
    // Cuts are cuts, whether the matches or what lies between them are the words.
    bool is_isolated =
        is_text(step, "behavior", "Isolated") || (is_text(step, "behavior", "Removed") && inverts);
    if (!regex.len || !is_isolated || (inverts && !is_text(step, "behavior", "Removed")))
        return fail(c, "tokenizer.json: pre-tokenizer Split with behavior",
                    text_of(json_object_get(step, "behavior")));
    return add_pattern(c, regex);
}

static bool read_byte_level(Cutter *c, const json_t *step) {
    const json_t *regex = json_object_get(step, "use_regex");
    if (json_is_true(json_object_get(step, "add_prefix_space")))
        return fail(c, "tokenizer.json: pre-tokenizer", STR("ByteLevel with add_prefix_space"));
    c->out->is_byte_level = true;
    return (regex && !json_is_true(regex)) || add_pattern(c, STR(BYTE_LEVEL));
}

static bool read_metaspace(Cutter *c, const json_t *step) {
    bool is_whole = json_is_false(json_object_get(step, "split"));
    Str scheme = text_of(json_object_get(step, "prepend_scheme"));
    if (!is_text(step, "replacement", METASPACE) || !is_whole ||
        (!str_is(scheme, "always") && !str_is(scheme, "never")))
        return fail(c, "tokenizer.json: pre-tokenizer Metaspace with prepend_scheme", scheme);
    c->replaces_spaces = true;
    c->out->adds_space = str_is(scheme, "always");
    return true;
}

static bool read_step(Cutter *c, const json_t *step) {
    Str type = text_of(json_object_get(step, "type"));
    if (c->out->is_byte_level)
        return fail(c, "tokenizer.json: after ByteLevel, pre-tokenizer", type);
    if (str_is(type, "Split")) return read_split(c, step);
    if (str_is(type, "ByteLevel")) return read_byte_level(c, step);
    if (str_is(type, "Metaspace")) return read_metaspace(c, step);
    if (str_is(type, "Digits") && json_is_true(json_object_get(step, "individual_digits")))
        return add_pattern(c, STR("\\p{N}"));
    return fail(c, "tokenizer.json: pre-tokenizer", type);
}

// ---- the whole

static bool name_cuts(Cutter *c) {
    Str name = tokenizer_cuts_name(&c->cuts);
    StrBuf patterns = {0};
    if (name.len) {
        c->out->pre = arena_str(c->arena, name);
        return true;
    }
    for (size_t i = 0; i < c->cuts.n_patterns; i++)
        strbuf_printf(&patterns, "%s%s", i ? "  then  " : "", c->cuts.patterns[i]);
    fail(c,
         c->cuts.is_nfc           ? "tokenizer.json: after NFC, cutting by"
         : c->cuts.ignores_merges ? "tokenizer.json: with ignore_merges, cutting by"
                                  : "tokenizer.json: cutting by",
         strbuf_str(&patterns));
    strbuf_free(&patterns);
    return false;
}

bool folder_read_cuts(FolderCuts *out, const json_t *tokenizer, Arena *arena, Err *err) {
    *out = (FolderCuts){0};
    Cutter c = {.out = out, .arena = arena, .err = err};
    const json_t *steps[MAX_STEPS + 1], *model = json_object_get(tokenizer, "model");
    size_t n = list_steps(json_object_get(tokenizer, "normalizer"), "normalizers", steps);
    if (n > MAX_STEPS) return fail(&c, "tokenizer.json: normalizer", STR("of many steps"));
    for (size_t i = 0; i < n; i++)
        if (!read_normalizer(&c, steps[i])) return false;
    n = list_steps(json_object_get(tokenizer, "pre_tokenizer"), "pretokenizers", steps);
    if (n > MAX_STEPS) return fail(&c, "tokenizer.json: pre-tokenizer", STR("of many steps"));
    for (size_t i = 0; i < n; i++)
        if (!read_step(&c, steps[i])) return false;
    c.cuts.ignores_merges = json_is_true(json_object_get(model, "ignore_merges"));
    if (out->is_byte_level) {
        if (c.replaces_spaces || out->adds_space)
            return fail(&c, "tokenizer.json: before ByteLevel, normalizer", STR("Replace"));
        return name_cuts(&c);
    }
    bool has_bytes = json_is_true(json_object_get(model, "byte_fallback"));
    if (c.replaces_spaces && has_bytes && !c.cuts.is_nfc && !c.cuts.n_patterns &&
        !c.cuts.ignores_merges)
        return true;
    return fail(&c, "tokenizer.json: BPE without ByteLevel and",
                !c.replaces_spaces ? STR("without U+2581 for spaces")
                : !has_bytes       ? STR("without byte_fallback")
                                   : STR("with cuts"));
}
