// nfc.c — normalization in three steps: decompose characters, order marks, compose.
#include "tokenizer/nfc.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"

// Hangul syllables compose by arithmetic (The Unicode Standard, 3.12).
enum { L_FIRST = 0x1100, V_FIRST = 0x1161, T_FIRST = 0x11A7, S_FIRST = 0xAC00 };
enum { N_L = 19, N_V = 21, N_T = 28, N_S = N_L * N_V * N_T };

typedef struct {
    uint32_t code;
    uint8_t combining_class;
    uint32_t place; // keeps marks of one class in their order
} Mark;

typedef struct {
    Mark *at;
    size_t count;
} Marks;

static const NfcRow *find_row(uint32_t code) {
    size_t low = 0, high = nfc_n_rows;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (nfc_rows[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < nfc_n_rows && nfc_rows[low].code == code ? &nfc_rows[low] : NULL;
}

static void add_mark(Marks *out, uint32_t code, uint8_t combining_class) {
    out->at[out->count] = (Mark){code, combining_class, (uint32_t)out->count};
    out->count++;
}

// A first part may have parts of its own, three deep at most; a second has none.
static void take_apart(uint32_t code, Marks *out) {
    if (code >= S_FIRST && code < S_FIRST + N_S) {
        uint32_t syllable = code - S_FIRST;
        add_mark(out, L_FIRST + syllable / (N_V * N_T), 0);
        add_mark(out, V_FIRST + syllable / N_T % N_V, 0);
        if (syllable % N_T) add_mark(out, T_FIRST + syllable % N_T, 0);
        return;
    }
    const NfcRow *row = find_row(code);
    if (!row || !row->first) {
        add_mark(out, code, row ? row->combining_class : 0);
        return;
    }
    take_apart(row->first, out);
    if (row->second) take_apart(row->second, out);
}

static int compare_marks(const void *a, const void *b) {
    const Mark *x = a, *y = b;
    if (x->combining_class != y->combining_class)
        return x->combining_class < y->combining_class ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static void put_in_order(Marks *m) {
    for (size_t i = 0; i < m->count;) {
        size_t end = i;
        while (end < m->count && m->at[end].combining_class) end++;
        if (end > i + 1) qsort(m->at + i, end - i, sizeof *m->at, compare_marks);
        i = end + 1;
    }
}

// What the two compose to, or 0.
static uint32_t compose_pair(uint32_t first, uint32_t second) {
    if (first >= L_FIRST && first < L_FIRST + N_L && second >= V_FIRST && second < V_FIRST + N_V)
        return S_FIRST + ((first - L_FIRST) * N_V + second - V_FIRST) * N_T;
    if (first >= S_FIRST && first < S_FIRST + N_S && (first - S_FIRST) % N_T == 0 &&
        second > T_FIRST && second < T_FIRST + N_T)
        return first + second - T_FIRST;
    size_t low = 0, high = nfc_n_pairs;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const NfcPair *pair = &nfc_pairs[middle];
        if (pair->first < first || (pair->first == first && pair->second < second))
            low = middle + 1;
        else
            high = middle;
    }
    const NfcPair *pair = &nfc_pairs[low];
    return low < nfc_n_pairs && pair->first == first && pair->second == second ? pair->composed : 0;
}

// In place. A mark composes with the last starter unless one of its own class or higher is between.
static void compose(Marks *m) {
    size_t n = 0, starter = SIZE_MAX;
    for (size_t i = 0; i < m->count; i++) {
        Mark mark = m->at[i];
        bool is_next = starter != SIZE_MAX && starter + 1 == n;
        bool is_reached =
            is_next || (starter != SIZE_MAX && m->at[n - 1].combining_class < mark.combining_class);
        uint32_t composed = is_reached ? compose_pair(m->at[starter].code, mark.code) : 0;
        if (composed) {
            m->at[starter].code = composed;
            continue;
        }
        if (mark.combining_class == 0) starter = n;
        m->at[n++] = mark;
    }
    m->count = n;
}

static void add_utf8(StrBuf *out, uint32_t c) {
    if (c < 0x80) {
        strbuf_add_char(out, (char)c);
        return;
    }
    static const uint8_t leads[] = {0, 0xC0, 0xE0, 0xF0};
    int n_more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    strbuf_add_char(out, (char)(leads[n_more] | c >> 6 * n_more));
    while (n_more--) strbuf_add_char(out, (char)(0x80 | (c >> 6 * n_more & 0x3F)));
}

// Nothing below U+0300 changes or combines.
static bool is_plain(Str text) {
    for (size_t i = 0; i < text.len; i++)
        if ((uint8_t)text.at[i] >= 0xCC) return false;
    return true;
}

Str nfc_normalize(Str text, StrBuf *scratch) {
    if (is_plain(text)) return text;
    // No character has more than three parts in two bytes, or four in three (U+0390, U+1F82).
    size_t room = 2 * text.len;
    Marks m = {.at = malloc(room * sizeof *m.at)};
    if (!m.at) die_out_of_memory(room * sizeof *m.at);
    for (size_t at = 0, len; at < text.len; at += len) {
        utf8_scan(text.at + at, text.len - at, &len);
        take_apart(utf8_code_point(text.at + at, len), &m);
    }
    put_in_order(&m);
    compose(&m);
    scratch->len = 0;
    for (size_t i = 0; i < m.count; i++) add_utf8(scratch, m.at[i].code);
    free(m.at);
    return strbuf_str(scratch);
}
