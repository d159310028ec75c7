// folder_vocabulary.c — tokenizer.json: the tokens, what joins them, and what a text is put between.
//
// Its BPE joins by the order of `merges`. Where that is byte-level BPE a GGUF file has the same list. Where it is
// SentencePiece in other words, as transformers converts it, a file has scores instead: a merge's rank is that of the token
// it makes, if the merges are all splits of each token, one token after the other. That is checked; the scores are the
// ranks. Merges in another order are kept as they are, as Gemma 4's are.
#include "base/json.h"
#include "base/size.h"
#include "base/utf8.h"
#include "huggingface/folder_impl.h"

enum { MAX_TOKENS = 1 << 22 };
// gguf-py, TokenType
typedef struct {
    FolderVocabulary *v;
    Arena *arena;
    Err *err;
} VocabularyReader;

static bool fail(const VocabularyReader *r, const char *what) {
    return err_set(r->err, ERR_FORMAT, "tokenizer.json: %s; " HF_USE_GGUF, what);
}

static Str text_of(const json_t *value) {
    const char *text = json_string_value(value);
    return text ? (Str){text, json_string_length(value)} : (Str){"", 0};
}

// ---- tokens

// True and the id, where `value` is one.
static bool is_id(const json_t *value, uint32_t *id) {
    json_int_t n = json_integer_value(value);
    *id = (uint32_t)n;
    return json_is_integer(value) && n >= 0 && n < MAX_TOKENS;
}

static bool count_ids(VocabularyReader *r, const json_t *added) {
    const char *text;
    json_t *value;
    size_t i;
    uint32_t id;
    json_object_foreach((json_t *)(uintptr_t)r->v->vocab, text, value) {
        if (!is_id(value, &id)) return fail(r, "model.vocab: an id that is none");
        r->v->count = max_size(r->v->count, (size_t)id + 1);
    }
    json_array_foreach((json_t *)(uintptr_t)added, i, value) {
        if (!is_id(json_object_get(value, "id"), &id))
            return fail(r, "added_tokens: an id that is none");
        r->v->count = max_size(r->v->count, (size_t)id + 1);
    }
    // Tables may have holes, but not be all holes.
    size_t n = json_object_size(r->v->vocab) + json_array_size(added);
    return r->v->count / 8 <= n + 4096 || fail(r, "ids far beyond the number of tokens");
}

static bool put_token(VocabularyReader *r, uint32_t id, Str text, int32_t type) {
    Str *at = &r->v->texts[id];
    if (at->len && !str_eq(*at, text))
        return err_set(r->err, ERR_FORMAT, "tokenizer.json: token %u is %.*s and %.*s", id,
                       STR_ARG(json_quoted(r->arena, *at)), STR_ARG(json_quoted(r->arena, text)));
    *at = text;
    r->v->types[id] = type;
    return true;
}

// What converters fill tables with (conversion/base.py): it is never made from text.
static bool is_pad(VocabularyReader *r, uint32_t id, Str text) {
    return str_eq(text, arena_printf(r->arena, "[PAD%u]", id));
}

static bool is_byte(Str text) {
    return text.len == 6 && str_starts(text, STR("<0x")) && text.at[5] == '>';
}

static bool read_vocab(VocabularyReader *r) {
    const char *key;
    json_t *value;
    size_t len;
    bool has_bytes = !r->v->cuts.is_byte_level;
    json_object_keylen_foreach((json_t *)(uintptr_t)r->v->vocab, key, len, value) {
        Str text = {key, len};
        uint32_t id = (uint32_t)json_integer_value(value);
        bool starts_pad = text.len && text.at[0] == '[';
        int32_t type = has_bytes && is_byte(text)          ? TOKEN_BYTE
                       : starts_pad && is_pad(r, id, text) ? TOKEN_UNUSED
                                                           : TOKEN_NORMAL;
        if (!put_token(r, id, text, type)) return false;
    }
    return true;
}

static bool read_added(VocabularyReader *r, const json_t *added) {
    FolderVocabulary *v = r->v;
    v->strips_right = arena_array(r->arena, json_array_size(added), uint32_t);
    size_t i;
    json_t *row;
    json_array_foreach((json_t *)(uintptr_t)added, i, row) {
        uint32_t id = (uint32_t)json_integer_value(json_object_get(row, "id"));
        Str text = text_of(json_object_get(row, "content"));
        bool is_special = json_is_true(json_object_get(row, "special"));
        const char *odd = json_is_true(json_object_get(row, "lstrip"))        ? "lstrip"
                          : json_is_true(json_object_get(row, "single_word")) ? "single_word"
                                                                              : NULL;
        // Before a token that is looked for in normalized text there is the space that the normalizer put.
        if (json_is_true(json_object_get(row, "normalized")) && v->cuts.adds_space && !is_special)
            odd = "normalized";
        if (!text.len) return fail(r, "added_tokens: one without content");
        if (odd)
            return err_set(
                r->err, ERR_FORMAT,
                "tokenizer.json: added token %u %.*s: %s is true, which lathe does not do; "
                "a GGUF file of the model is read without it",
                id, STR_ARG(json_quoted(r->arena, text)), odd);
        if (json_is_true(json_object_get(row, "rstrip"))) v->strips_right[v->n_strips++] = id;
        if (!put_token(r, id, text, is_special ? TOKEN_CONTROL : TOKEN_USER_DEFINED)) return false;
    }
    return true;
}

uint32_t folder_find_token(const FolderVocabulary *v, Str text) {
    const json_t *id = json_object_getn(v->vocab, text.at, text.len);
    if (id) return (uint32_t)json_integer_value(id);
    const json_t *added = json_object_get(v->file, "added_tokens"), *row;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)added, i, row) {
        if (str_eq(text_of(json_object_get(row, "content")), text))
            return (uint32_t)json_integer_value(json_object_get(row, "id"));
    }
    return NO_TOKEN;
}

// ---- merges

typedef struct {
    Str left, right;
} Pair;

static bool read_pair(const json_t *row, Pair *pair) {
    if (json_is_array(row)) {
        *pair = (Pair){text_of(json_array_get(row, 0)), text_of(json_array_get(row, 1))};
        return json_array_size(row) == 2 && pair->left.len && pair->right.len;
    }
    Str text = text_of(row);
    const char *space = text.len > 1 ? memchr(text.at + 1, ' ', text.len - 1) : NULL;
    if (!space) return false;
    pair->left = (Str){text.at, (size_t)(space - text.at)};
    pair->right = (Str){space + 1, text.len - pair->left.len - 1};
    return pair->right.len > 0;
}

// A space inside a part is spelt as byte-level BPE spells it (gguf-py, vocab.py).
static Str merge_text(Arena *arena, Pair p) {
    StrBuf text = {0};
    const Str parts[] = {p.left, p.right};
    for (size_t k = 0; k < COUNT_OF(parts); k++) {
        if (k) strbuf_add_char(&text, ' ');
        for (size_t i = 0; i < parts[k].len; i++)
            strbuf_add(&text, parts[k].at[i] == ' ' ? STR("\u0120") : (Str){parts[k].at + i, 1});
    }
    Str kept = arena_str(arena, strbuf_str(&text));
    strbuf_free(&text);
    return kept;
}

static bool read_merges(VocabularyReader *r, const json_t *rows, Pair **out) {
    size_t n = json_array_size(rows);
    Pair *pairs = arena_array(r->arena, n, Pair);
    r->v->merges = arena_array(r->arena, n, Str);
    for (size_t i = 0; i < n; i++) {
        if (!read_pair(json_array_get(rows, i), &pairs[i]))
            return err_set(r->err, ERR_FORMAT,
                           "tokenizer.json: merge %zu: expected two texts that are joined", i);
        r->v->merges[i] = merge_text(r->arena, pairs[i]);
    }
    r->v->n_merges = n;
    *out = pairs;
    return true;
}

// The token that `pair` makes, or NO_TOKEN.
static uint32_t joined(const FolderVocabulary *v, Pair pair, StrBuf *scratch) {
    scratch->len = 0;
    strbuf_add(scratch, pair.left);
    strbuf_add(scratch, pair.right);
    return folder_find_token(v, strbuf_str(scratch));
}

static bool is_joined(const FolderVocabulary *v, Str text) {
    const json_t *value = json_object_getn(v->vocab, text.at, text.len);
    if (!value) return false;
    int32_t type = v->types[json_integer_value(value)];
    return type == TOKEN_NORMAL || type == TOKEN_USER_DEFINED;
}

// In how many ways the text is two tokens.
static uint32_t count_splits(const FolderVocabulary *v, Str text) {
    uint32_t n = 0;
    size_t len;
    for (size_t at = 0; at < text.len; at += len) {
        utf8_scan(text.at + at, text.len - at, &len);
        if (at)
            n += is_joined(v, (Str){text.at, at}) &&
                 is_joined(v, (Str){text.at + at, text.len - at});
    }
    return n;
}

// Scores by which SentencePiece joins as the merges do; false when none do.
static bool find_scores(VocabularyReader *r, const Pair *pairs) {
    FolderVocabulary *v = r->v;
    uint32_t *n_splits = arena_array(r->arena, v->count, uint32_t), last = NO_TOKEN, rank = 0;
    float *scores = arena_array(r->arena, v->count, float);
    StrBuf scratch = {0};
    bool holds = true;
    for (size_t i = 0; holds && i < v->n_merges; i++) {
        uint32_t id = joined(v, pairs[i], &scratch);
        holds = id != NO_TOKEN && (id == last || n_splits[id] == 0);
        if (!holds) break;
        if (id != last) scores[id] = -(float)++rank;
        n_splits[id]++;
        last = id;
    }
    strbuf_free(&scratch);
    for (uint32_t id = 0; holds && id < v->count; id++) {
        holds = !is_joined(v, v->texts[id]) || count_splits(v, v->texts[id]) == n_splits[id];
        if (!n_splits[id]) scores[id] = -(float)(rank + 1);
    }
    if (holds) v->scores = scores;
    return holds;
}

// ---- around a text

static bool read_special(VocabularyReader *r, const json_t *processor, const json_t *step,
                         uint32_t *id) {
    const char *name =
        json_string_value(json_object_get(json_object_get(step, "SpecialToken"), "id"));
    const json_t *row =
        json_object_get(json_object_get(processor, "special_tokens"), name ? name : "");
    const json_t *ids = json_object_get(row, "ids");
    if (*id != NO_TOKEN || json_array_size(ids) != 1 || !is_id(json_array_get(ids, 0), id) ||
        *id >= r->v->count)
        return fail(r,
                    "post_processor: expected at most one token before a text, and one after it");
    return true;
}

static bool read_template(VocabularyReader *r, const json_t *processor) {
    const json_t *single = json_object_get(processor, "single"), *step;
    bool is_after = false;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)single, i, step) {
        if (json_object_get(step, "Sequence")) {
            if (is_after) return fail(r, "post_processor: a text twice");
            is_after = true;
        } else if (!read_special(r, processor, step, is_after ? &r->v->after : &r->v->before)) {
            return false;
        }
    }
    return is_after || fail(r, "post_processor: a template without the text");
}

static bool read_processor(VocabularyReader *r, const json_t *processor) {
    const char *type = json_string_value(json_object_get(processor, "type"));
    const json_t *steps = json_object_get(processor, "processors"), *step;
    size_t i;
    if (!type || strcmp(type, "ByteLevel") == 0) return true; // of offsets
    if (strcmp(type, "TemplateProcessing") == 0) return read_template(r, processor);
    if (strcmp(type, "Sequence") != 0)
        return fail(r, "post_processor: expected TemplateProcessing or none");
    json_array_foreach((json_t *)(uintptr_t)steps, i, step) {
        const char *kind = json_string_value(json_object_get(step, "type"));
        if (kind && strcmp(kind, "TemplateProcessing") == 0) {
            if (!read_template(r, step)) return false;
        } else if (!kind || strcmp(kind, "ByteLevel") != 0) {
            return fail(r, "post_processor: expected TemplateProcessing or none");
        }
    }
    return true;
}

// ---- the whole

static bool check_model(VocabularyReader *r, const json_t *model) {
    static const char *const unused[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const json_t *type = json_object_get(model, "type");
    const json_t *dropout = json_object_get(model, "dropout");
    // Files from before tokenizers 0.15 do not name the kind of a model with merges.
    bool is_bpe = type ? json_is_string(type) && strcmp(json_string_value(type), "BPE") == 0
                       : json_is_array(json_object_get(model, "merges"));
    if (!is_bpe)
        return err_set(r->err, ERR_FORMAT,
                       "tokenizer.json: model.type '%.40s', expected BPE; " HF_USE_GGUF,
                       json_is_string(type) ? json_string_value(type) : "");
    for (size_t i = 0; i < COUNT_OF(unused); i++)
        if (text_of(json_object_get(model, unused[i])).len)
            return fail(r, "model: a prefix or suffix of words");
    if (json_is_number(dropout) && json_number_value(dropout) != 0)
        return fail(r, "model.dropout: merges left out at random");
    if (!json_is_object(json_object_get(model, "vocab")) ||
        !json_is_array(json_object_get(model, "merges")))
        return fail(r, "model: expected vocab and merges");
    return true;
}

static bool read_unknown(VocabularyReader *r, const json_t *model) {
    Str unknown = text_of(json_object_get(model, "unk_token"));
    if (!unknown.len || r->v->cuts.is_byte_level) return true;
    r->v->unknown = folder_find_token(r->v, unknown);
    if (r->v->unknown == NO_TOKEN) return fail(r, "model.unk_token: no token");
    r->v->types[r->v->unknown] = TOKEN_UNKNOWN;
    return true;
}

bool folder_read_vocabulary(FolderVocabulary *v, const json_t *file, Arena *arena, Err *err) {
    const json_t *model = json_object_get(file, "model");
    const json_t *added = json_object_get(file, "added_tokens");
    *v = (FolderVocabulary){.file = file,
                            .vocab = json_object_get(model, "vocab"),
                            .unknown = NO_TOKEN,
                            .before = NO_TOKEN,
                            .after = NO_TOKEN};
    VocabularyReader r = {v, arena, err};
    Pair *pairs = NULL;
    if (!check_model(&r, model) || !folder_read_cuts(&v->cuts, file, arena, err) ||
        !count_ids(&r, added))
        return false;
    v->texts = arena_array(arena, v->count, Str);
    v->types = arena_array(arena, v->count, int32_t);
    if (!read_vocab(&r) || !read_added(&r, added) || !read_unknown(&r, model) ||
        !read_processor(&r, json_object_get(file, "post_processor")) ||
        !read_merges(&r, json_object_get(model, "merges"), &pairs))
        return false;
    if (v->cuts.is_byte_level || find_scores(&r, pairs)) return true;
    return !v->cuts.adds_space ||
           fail(&r, "merges that no scores of tokens give, with a space before each text");
}

// ---- as keys

// Merges of characters; with the name gemma4 a text always begins with bos (contract/bos_policy.c).
static void put_raw(GgufKeys *keys, const FolderVocabulary *v) {
    bool is_gemma4 = v->before != NO_TOKEN;
    gguf_put_str(keys, "tokenizer.ggml.model", is_gemma4 ? STR("gemma4") : STR("gpt2"));
    if (!is_gemma4) gguf_put_str(keys, "tokenizer.ggml.pre", STR("granite-embed-multi-311m"));
}

void folder_put_vocabulary(GgufKeys *keys, const FolderVocabulary *v, size_t n_tokens,
                           Arena *arena) {
    size_t n = max_size(n_tokens, v->count);
    Str *texts = arena_array(arena, n, Str);
    int32_t *types = arena_array(arena, n, int32_t);
    float *scores = arena_array(arena, n, float);
    for (size_t id = 0; id < n; id++) {
        bool is_there = id < v->count && v->texts[id].len > 0;
        texts[id] = is_there ? v->texts[id] : arena_printf(arena, "[PAD%zu]", id);
        types[id] = is_there ? v->types[id] : TOKEN_UNUSED;
        scores[id] = is_there && v->scores ? v->scores[id] : -(float)n;
    }
    if (v->cuts.is_byte_level) {
        gguf_put_str(keys, "tokenizer.ggml.model", STR("gpt2"));
        gguf_put_str(keys, "tokenizer.ggml.pre", v->cuts.pre);
    } else if (v->scores) {
        gguf_put_str(keys, "tokenizer.ggml.model", STR("llama"));
    } else {
        put_raw(keys, v);
    }
    gguf_put_strs(keys, "tokenizer.ggml.tokens", texts, n);
    gguf_put_i32s(keys, "tokenizer.ggml.token_type", types, n);
    if (v->scores) {
        gguf_put_f32s(keys, "tokenizer.ggml.scores", scores, n);
        gguf_put_bool(keys, "tokenizer.ggml.add_space_prefix", v->cuts.adds_space);
    } else {
        gguf_put_strs(keys, "tokenizer.ggml.merges", v->merges, v->n_merges);
    }
    if (v->unknown != NO_TOKEN) gguf_put_u32(keys, "tokenizer.ggml.unknown_token_id", v->unknown);
    if (v->n_strips || v->scores)
        gguf_put_u32s(keys, "tokenizer.lathe.strips_right", v->strips_right, v->n_strips);
    gguf_put_bool(keys, "tokenizer.ggml.add_bos_token", v->before != NO_TOKEN);
    gguf_put_bool(keys, "tokenizer.ggml.add_eos_token", v->after != NO_TOKEN);
}
