// cuts_name.c — a pre-tokenizer by its patterns. Publishers write \s and \S where the table spells Unicode's
// White_Space out (pre.c), and name scripts without "sc:"; so both are brought to one spelling and compared as
// texts. Patterns that cut alike but are written otherwise are not found.
#include "base/size.h"
#include "tokenizer/impl.h"

static const struct {
    const char *from, *to;
} spellings[] = {
    {"[^\\x09-\\x0d\\x{85}\\p{Z}]", "\\S"},
    {"[\\x09-\\x0d\\x{85}\\p{Z}]", "\\s"},
    {"\\x09-\\x0d\\x{85}\\p{Z}", "\\s"},
    {"\\p{sc:", "\\p{"},
};

static void add_published(StrBuf *out, Str pattern) {
    for (size_t at = 0; at < pattern.len;) {
        Str rest = {pattern.at + at, pattern.len - at};
        size_t i = 0;
        while (i < COUNT_OF(spellings) && !str_starts(rest, str_of(spellings[i].from))) i++;
        bool is_found = i < COUNT_OF(spellings);
        strbuf_add(out, is_found ? str_of(spellings[i].to) : (Str){rest.at, 1});
        at += is_found ? strlen(spellings[i].from) : 1;
    }
    strbuf_add_char(out, '\n'); // no pattern has one
}

static void spell(StrBuf *out, const TokenizerCuts *cuts) {
    out->len = 0;
    for (size_t i = 0; i < cuts->n_patterns; i++) add_published(out, str_of(cuts->patterns[i]));
}

Str tokenizer_cuts_name(const TokenizerCuts *cuts) {
    StrBuf wanted = {0}, known = {0};
    TokenizerCuts row;
    Str name = {"", 0};
    spell(&wanted, cuts);
    for (size_t i = 0; !name.len && pre_row_cuts(i, &row); i++) {
        spell(&known, &row);
        if (!str_eq(strbuf_str(&wanted), strbuf_str(&known)) || row.is_nfc != cuts->is_nfc ||
            row.is_raw != cuts->is_raw || row.ignores_merges != cuts->ignores_merges)
            continue;
        const char *names = pre_names(i);
        name = (Str){names, strcspn(names, " ")};
    }
    strbuf_free(&wanted);
    strbuf_free(&known);
    return name;
}
