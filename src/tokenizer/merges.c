// merges.c — the table of merges of a byte-level BPE vocabulary: read from the file, found by pair.
#include "base/utf8.h"
#include "tokenizer/impl.h"

// GPT-2 spells bytes as printable characters: bytes that are printable in Latin-1 as themselves,
// the others, in order, as U+0100 and up. Checked against openai/gpt-2's encoder.py,
// bytes_to_unicode.
static bool byte_of_code(uint32_t code, char *byte) {
    uint32_t value = code;
    if (code >= 0x100) { // 33 controls and the space, then 0x7F to 0xA0, then 0xAD
        uint32_t nth = code - 0x100;
        value = nth <= 0x20 ? nth : nth < 67 ? nth - 33 + 0x7F : 0xAD;
        if (nth > 67) return false;
    } else if (code <= 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0xAD) {
        return false;
    }
    *byte = (char)value;
    return true;
}

bool bpe_text_to_bytes(Str text, char *bytes, size_t *n_bytes) {
    *n_bytes = 0;
    for (size_t at = 0, len; at < text.len; at += len) {
        if (utf8_scan(text.at + at, text.len - at, &len) != UTF8_WHOLE) return false;
        if (!byte_of_code(utf8_code_point(text.at + at, len), &bytes[(*n_bytes)++])) return false;
    }
    return true;
}

void metaspace_to_bytes(Str text, char *bytes, size_t *n_bytes) {
    *n_bytes = 0;
    for (size_t i = 0; i < text.len;) {
        bool is_space = str_starts((Str){text.at + i, text.len - i}, STR("\u2581"));
        bytes[(*n_bytes)++] = is_space ? ' ' : text.at[i];
        i += is_space ? STR("\u2581").len : 1;
    }
}

static size_t pair_slot(const MergeTable *m, uint32_t left, uint32_t right) {
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15; // Fibonacci hashing
    size_t slot = (size_t)(hash ^ hash >> 32) & (m->n_slots - 1);
    while (m->slots[slot] != NO_TOKEN &&
           (m->rows[m->slots[slot]].left != left || m->rows[m->slots[slot]].right != right))
        slot = (slot + 1) & (m->n_slots - 1);
    return slot;
}

// The token that a merge's text names. A token that was also added to the vocabulary is spelt
// plainly there, but in byte characters, or with U+2581 for its spaces, in the merges.
static uint32_t merge_part(const Tokenizer *t, Str text) {
    uint32_t id = index_find(t, &t->by_text, text);
    char bytes[TOKEN_MAX_BYTES];
    size_t n_bytes;
    if (id != NO_TOKEN || text.len > sizeof bytes) return id;
    if (!vocab_is_byte_level(t))
        metaspace_to_bytes(text, bytes, &n_bytes);
    else if (!bpe_text_to_bytes(text, bytes, &n_bytes))
        return id;
    id = index_find(t, &t->by_text, (Str){bytes, n_bytes});
    return id != NO_TOKEN && t->tokens[id].type == TOKEN_USER_DEFINED ? id : NO_TOKEN;
}

static bool read_merge(const Tokenizer *t, Str text, size_t row, Merge *merge, Err *err) {
    const char *space = text.len > 1 ? memchr(text.at + 1, ' ', text.len - 1) : NULL;
    if (!space || space + 1 == text.at + text.len)
        return err_set(err, ERR_FORMAT, "merge %zu '%.*s': expected two texts with a space between",
                       row, STR_ARG(text));
    Str left = {text.at, (size_t)(space - text.at)};
    Str right = {space + 1, text.len - left.len - 1};
    char joined[2 * TOKEN_MAX_BYTES];
    merge->left = merge_part(t, left);
    merge->right = merge_part(t, right);
    if (merge->left == NO_TOKEN || merge->right == NO_TOKEN) {
        Str missing = merge->left == NO_TOKEN ? left : right;
        return err_set(err, ERR_FORMAT, "merge %zu '%.*s': the vocabulary lacks '%.*s'", row,
                       STR_ARG(text), STR_ARG(missing));
    }
    // Both were found as tokens or as the spelling of one, hence fit.
    memcpy(joined, left.at, left.len);
    memcpy(joined + left.len, right.at, right.len);
    merge->joined = merge_part(t, (Str){joined, left.len + right.len});
    if (merge->joined == NO_TOKEN)
        return err_set(err, ERR_FORMAT, "merge %zu '%.*s': the vocabulary lacks '%.*s'", row,
                       STR_ARG(text), (int)(left.len + right.len), joined);
    return true;
}

bool merges_read(Tokenizer *t, const Gguf *g, Err *err) {
    const GgufKey *key = gguf_find_key(g, STR("tokenizer.ggml.merges"));
    if (!key || key->type != GGUF_ARRAY || key->item_type != GGUF_STRING)
        return err_set(err, ERR_FORMAT,
                       "key 'tokenizer.ggml.merges': missing or not a list of strings; a gpt2 "
                       "vocabulary needs it");
    if (key->n_items > INT32_MAX)
        return err_set(err, ERR_FORMAT, "key 'tokenizer.ggml.merges': %zu rows", key->n_items);
    MergeTable *m = &t->merges;
    Merge *rows = arena_array(&t->arena, key->n_items, Merge);
    m->rows = rows;
    m->n_rows = key->n_items;
    for (m->n_slots = 16; m->n_slots < 2 * key->n_items;) m->n_slots *= 2;
    m->slots = arena_array(&t->arena, m->n_slots, uint32_t);
    memset(m->slots, 0xFF, m->n_slots * sizeof *m->slots); // NO_TOKEN
    for (uint32_t row = 0; row < key->n_items; row++) {
        if (!read_merge(t, key->strings[row], row, &rows[row], err)) return false;
        // Joining never makes a control token, even if the file has such a merge: text could
        // forge one.
        if (token_is_control(&t->tokens[rows[row].joined])) continue;
        size_t slot = pair_slot(m, rows[row].left, rows[row].right);
        if (m->slots[slot] == NO_TOKEN) m->slots[slot] = row; // the first of equal rows counts
    }
    return true;
}

uint32_t merges_find(const MergeTable *m, uint32_t left, uint32_t right) {
    return m->slots[pair_slot(m, left, right)];
}
