// tokenizer_file.c — writes the vocabulary as huggingface/tokenizers reads it. Byte-level BPE keeps
// its merges and the patterns of tokenizer/pre.c; Oniguruma reads these patterns in the same way,
// except for names of scripts. A SentencePiece vocabulary becomes BPE in which every split of a
// token into two tokens is a merge, best score first, as transformers converts it.
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "huggingface/impl.h"

static json_t *text_of(Str s) {
    return json_stringn(s.at ? s.at : "", s.len);
}

// ---- model

static json_t *vocab_of(const Tokenizer *t) {
    json_t *vocab = json_object();
    for (uint32_t id = 0; id < tokenizer_count(t); id++) {
        Str text = tokenizer_text(t, id);
        if (text.len) json_object_setn_new(vocab, text.at, text.len, json_integer(id));
    }
    return vocab;
}

static void add_merge(json_t *merges, Str left, Str right) {
    json_array_append_new(merges, json_pack("[o, o]", text_of(left), text_of(right)));
}

// A merge that makes a control token is none: text could forge one.
static json_t *bpe_merges(const Tokenizer *t) {
    json_t *merges = json_array();
    uint32_t left, right, joined;
    for (size_t row = 0; tokenizer_merge(t, row, &left, &right, &joined); row++)
        if (!tokenizer_is_control(t, joined))
            add_merge(merges, tokenizer_text(t, left), tokenizer_text(t, right));
    return merges;
}

typedef struct {
    float score;
    uint32_t id;
} Scored;

static int compare_scored(const void *a, const void *b) {
    const Scored *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static bool is_joined(const Tokenizer *t, uint32_t id) {
    TokenType type = id == NO_TOKEN ? TOKEN_UNUSED : tokenizer_type(t, id);
    return type == TOKEN_NORMAL || type == TOKEN_USER_DEFINED;
}

static void add_splits(json_t *merges, const Tokenizer *t, Str text) {
    size_t len;
    for (size_t at = 0; at < text.len; at += len) {
        utf8_scan(text.at + at, text.len - at, &len);
        Str left = {text.at, at}, right = {text.at + at, text.len - at};
        if (at && is_joined(t, tokenizer_find(t, left)) && is_joined(t, tokenizer_find(t, right)))
            add_merge(merges, left, right);
    }
}

static json_t *score_merges(const Tokenizer *t) {
    json_t *merges = json_array();
    size_t n = 0;
    Scored *scored = malloc(tokenizer_count(t) * sizeof *scored);
    if (!scored) die_out_of_memory(tokenizer_count(t) * sizeof *scored);
    for (uint32_t id = 0; id < tokenizer_count(t); id++)
        if (is_joined(t, id)) scored[n++] = (Scored){tokenizer_score(t, id), id};
    qsort(scored, n, sizeof *scored, compare_scored);
    for (size_t i = 0; i < n; i++) add_splits(merges, t, tokenizer_text(t, scored[i].id));
    free(scored);
    return merges;
}

static json_t *model_of(const Tokenizer *t, const TokenizerCuts *cuts, bool is_bpe) {
    bool is_byte_level = is_bpe && !cuts->is_raw;
    uint32_t unknown = tokenizer_unknown(t);
    json_t *unk =
        is_byte_level || unknown == NO_TOKEN ? json_null() : text_of(tokenizer_text(t, unknown));
    return json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                     "unk_token", unk, "continuing_subword_prefix", "end_of_word_suffix",
                     "fuse_unk", !is_byte_level, "byte_fallback", !is_byte_level, "ignore_merges",
                     is_bpe && cuts->ignores_merges, "vocab", vocab_of(t), "merges",
                     is_bpe ? bpe_merges(t) : score_merges(t));
}

// ---- what is around it

// Oniguruma names scripts without "sc:".
static json_t *pattern_of(const char *pattern) {
    StrBuf out = {0};
    for (const char *at = pattern; *at;) {
        bool is_script = strncmp(at, "\\p{sc:", 6) == 0;
        strbuf_add(&out, is_script ? STR("\\p{") : (Str){at, 1});
        at += is_script ? 6 : 1;
    }
    json_t *value = json_stringn(out.at ? out.at : "", out.len);
    strbuf_free(&out);
    return value;
}

static json_t *pre_tokenizer_of(const TokenizerCuts *cuts) {
    json_t *steps = json_array();
    for (size_t i = 0; i < cuts->n_patterns; i++)
        json_array_append_new(steps, json_pack("{s:s, s:{s:o}, s:s, s:b}", "type", "Split",
                                               "pattern", "Regex", pattern_of(cuts->patterns[i]),
                                               "behavior", "Isolated", "invert", 0));
    json_array_append_new(steps,
                          json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space",
                                    0, "trim_offsets", 1, "use_regex", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps);
}

static json_t *replace_of(const char *from, const char *to) {
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", from, "content",
                     to);
}

static json_t *metaspace_normalizer(const Tokenizer *t) {
    json_t *steps = json_array();
    if (tokenizer_adds_space_prefix(t))
        json_array_append_new(steps,
                              json_pack("{s:s, s:s}", "type", "Prepend", "prepend", "\u2581"));
    json_array_append_new(steps, replace_of(" ", "\u2581"));
    return json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps);
}

static json_t *metaspace_decoder(const Tokenizer *t) {
    json_t *steps = json_pack("[o, {s:s}, {s:s}]", replace_of("\u2581", " "), "type",
                              "ByteFallback", "type", "Fuse");
    if (tokenizer_adds_space_prefix(t))
        json_array_append_new(steps, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content",
                                               " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", steps);
}

static json_t *added_tokens(const Tokenizer *t) {
    json_t *added = json_array();
    for (uint32_t id = 0; id < tokenizer_count(t); id++) {
        bool is_control = tokenizer_is_control(t, id);
        if (!tokenizer_text(t, id).len ||
            (!is_control && tokenizer_type(t, id) != TOKEN_USER_DEFINED))
            continue;
        json_array_append_new(added,
                              json_pack("{s:I, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id,
                                        "content", text_of(tokenizer_text(t, id)), "single_word", 0,
                                        "lstrip", 0, "rstrip", tokenizer_strips_right(t, id),
                                        "normalized", 0, "special", is_control));
    }
    return added;
}

static json_t *special_step(Str text) {
    return json_pack("{s:{s:o, s:i}}", "SpecialToken", "id", text_of(text), "type_id", 0);
}

static void name_special(json_t *names, const Tokenizer *t, uint32_t id) {
    Str text = tokenizer_text(t, id);
    json_object_setn_new(names, text.at, text.len,
                         json_pack("{s:o, s:[I], s:[o]}", "id", text_of(text), "ids",
                                   (json_int_t)id, "tokens", text_of(text)));
}

// Bos and eos around a text, where that is the model's policy.
static json_t *post_processor_of(const Tokenizer *t) {
    bool has_bos = tokenizer_adds_bos(t), has_eos = tokenizer_adds_eos(t);
    if (!has_bos && !has_eos) return json_null();
    json_t *single = json_array(), *pair = json_array(), *names = json_object();
    for (int text = 0; text < 2; text++) {
        json_t *body =
            json_pack("{s:{s:s, s:i}}", "Sequence", "id", text ? "B" : "A", "type_id", text);
        if (has_bos) json_array_append_new(pair, special_step(tokenizer_text(t, tokenizer_bos(t))));
        json_array_append_new(pair, body);
        if (has_eos) json_array_append_new(pair, special_step(tokenizer_text(t, tokenizer_eos(t))));
        if (text == 0) json_array_extend(single, pair);
    }
    if (has_bos) name_special(names, t, tokenizer_bos(t));
    if (has_eos) name_special(names, t, tokenizer_eos(t));
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single, "pair",
                     pair, "special_tokens", names);
}

json_t *hf_tokenizer(const Tokenizer *t, const Gguf *g, const Contract *c, Err *err) {
    (void)g;
    TokenizerCuts cuts = {0};
    bool is_bpe = tokenizer_cuts(t, &cuts), is_byte_level = is_bpe && !cuts.is_raw;
    if (c->joins_spaces) {
        err_set(err, ERR_FORMAT,
                "key 'tokenizer.ggml.remove_extra_whitespaces': true, which "
                "huggingface/tokenizers' BPE has no step for");
        return NULL;
    }
    json_t *normalizer = is_byte_level
                             ? cuts.is_nfc ? json_pack("{s:s}", "type", "NFC") : json_null()
                             : metaspace_normalizer(t);
    json_t *decoder = is_byte_level
                          ? json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel",
                                      "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 0)
                          : metaspace_decoder(t);
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0",
                     "truncation", "padding", "added_tokens", added_tokens(t), "normalizer",
                     normalizer, "pre_tokenizer",
                     is_byte_level ? pre_tokenizer_of(&cuts) : json_null(), "post_processor",
                     post_processor_of(t), "decoder", decoder, "model", model_of(t, &cuts, is_bpe));
}

static void put_token(json_t *config, const char *key, const Tokenizer *t, uint32_t id) {
    if (id != NO_TOKEN) json_object_set_new(config, key, text_of(tokenizer_text(t, id)));
}

json_t *hf_tokenizer_config(const Tokenizer *t, const Contract *c) {
    json_t *config =
        json_pack("{s:s, s:b, s:I, s:b, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                  "clean_up_tokenization_spaces", 0, "model_max_length", (json_int_t)c->context,
                  "add_bos_token", c->adds_bos, "add_eos_token", c->adds_eos);
    put_token(config, "bos_token", t, tokenizer_bos(t));
    put_token(config, "eos_token", t, tokenizer_eos(t));
    put_token(config, "unk_token", t, tokenizer_unknown(t));
    return config;
}
