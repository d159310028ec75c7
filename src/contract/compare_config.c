// compare_config.c — the verdict on each field that both a GGUF file and the publisher's files
// state. How two values of a field are compared is a column of its row (fields.def).
#include "contract/compare_config.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "contract/fields.h"
#include "contract/weights.h"

// Two writings of one number. A 32-bit float is good to 6e-8; what converters compute in 32 bits
// (powers and logarithms of factors) to about 1e-6. Values that mean something else differ by far
// more: the closest published neighbours are LongRoPE factors of two revisions, 1e-3 apart.
static const double TOLERANCE = 1e-5;

const char *verdict_name(AgreementVerdict verdict) {
    static const char *const names[] = {
        [VERDICT_AGREE] = "agree",
        [VERDICT_CONTRADICT] = "contradict",
        [VERDICT_ONLY_GGUF] = "only the GGUF says",
        [VERDICT_NOT_COMPARABLE] = "not comparable",
    };
    return names[verdict];
}

static Str field_text(const Contract *c, FieldId field, Arena *arena) {
    StrBuf text = {0};
    contract_print_field(c, field, &text);
    Str kept = arena_str(arena, strbuf_str(&text));
    strbuf_free(&text);
    return kept;
}

static bool is_near(double a, double b) {
    return fabs(a - b) <= TOLERANCE * fmax(fabs(a), fabs(b));
}

// Where two lists differ first; their count when one goes on.
static size_t first_difference(F32List a, F32List b) {
    size_t i = 0;
    while (i < a.count && i < b.count && is_near((double)a.at[i], (double)b.at[i])) i++;
    return i;
}

static bool same_list(F32List a, F32List b) {
    return a.count == b.count && first_difference(a, b) == a.count;
}

// How many values both contracts have of a field: more than one where kinds of layers differ.
static uint32_t n_compared(const Contract *a, const Contract *b, FieldId field) {
    uint32_t n = field_n_values(a, field), m = field_n_values(b, field);
    return n < m ? n : m;
}

static const F32List *list_of(const Contract *c, FieldId field, uint32_t kind) {
    return field_rows[field].kind == KIND_F32S ? field_at_kind(c, field, kind) : NULL;
}

// Where lists differ, of the first kind of layers that does: they are shown by their beginning, which
// may be the same. NULL: not of lists.
static const char *name_difference(const Contract *ours, const Contract *theirs, FieldId field,
                                   Arena *arena) {
    uint32_t n = n_compared(ours, theirs, field), kind = 0;
    if (field_rows[field].kind != KIND_F32S) return NULL;
    while (kind + 1 < n && same_list(*list_of(ours, field, kind), *list_of(theirs, field, kind)))
        kind++;
    const F32List *a = list_of(ours, field, kind), *b = list_of(theirs, field, kind);
    if (a->count != b->count)
        return arena_printf(arena, "%zu factors against %zu", a->count, b->count).at;
    size_t i = first_difference(*a, *b);
    if (i == a->count) return NULL; // what differs is how many kinds of layers there are
    return arena_printf(arena, "factor %zu of %zu is %g against %g", i + 1, a->count,
                        (double)a->at[i], (double)b->at[i])
        .at;
}

static bool has_id(U32List ids, uint32_t id) {
    for (size_t i = 0; i < ids.count; i++)
        if (ids.at[i] == id) return true;
    return false;
}

// Ours may hold more: files name one id, and marks that end a turn stop an answer too.
static bool holds_all(U32List ours, U32List theirs) {
    for (size_t i = 0; i < theirs.count; i++)
        if (!has_id(ours, theirs.at[i])) return false;
    return true;
}

static bool is_near_value(FieldKind kind, const void *a, const void *b) {
    if (kind == KIND_F32S) return same_list(*(const F32List *)a, *(const F32List *)b);
    return is_near((double)*(const float *)a, (double)*(const float *)b);
}

// A window no shorter than the context hides nothing.
static uint32_t used_window(const void *at, uint32_t context) {
    uint32_t window = *(const uint32_t *)at;
    return window >= context ? 0 : window;
}

static bool same_value(FieldId field, const void *a, const void *b, uint32_t context) {
    switch (field_rows[field].comparison) {
    case COMPARISON_NEAR: return is_near_value(field_rows[field].kind, a, b);
    case COMPARISON_AS_USED: return used_window(a, context) == used_window(b, context);
    case COMPARISON_COVERED: return holds_all(*(const U32List *)a, *(const U32List *)b);
    case COMPARISON_EXACT:
    case COMPARISON_IF_USED: break;
    }
    return true; // by their texts
}

static bool same_field(const Contract *a, const Contract *b, FieldId field, uint32_t context,
                       Str ours, Str theirs) {
    FieldComparison comparison = field_rows[field].comparison;
    if (comparison == COMPARISON_EXACT || comparison == COMPARISON_IF_USED)
        return str_eq(ours, theirs);
    uint32_t n = n_compared(a, b, field);
    if (field_n_values(a, field) != field_n_values(b, field)) return str_eq(ours, theirs);
    for (uint32_t i = 0; i < n; i++)
        if (!same_value(field, field_at_kind(a, field, i), field_at_kind(b, field, i), context))
            return false;
    return true;
}

// Whether any text begins with bos_id: the tokenizer's doing, or the chat template's.
static bool is_bos_used(const Model *m, const Gguf *g) {
    const GgufKey *chat = gguf_find_key(g, STR("tokenizer.chat_template"));
    Str text;
    if (m->contract.adds_bos) return true;
    if (!chat || !gguf_str(chat, 0, &text)) return false;
    for (Str name = STR("bos_token"); text.len >= name.len; text.at++, text.len--)
        if (str_starts(text, name)) return true;
    return false;
}

// "the GGUF also ends an answer at 2016 "<|endoftext|>"": ids that the publisher does not list.
static const char *name_more_stops(U32List ours, U32List theirs, const Gguf *g, Arena *arena) {
    const GgufKey *tokens = gguf_find_key(g, STR("tokenizer.ggml.tokens"));
    StrBuf text = {0};
    for (size_t i = 0; i < ours.count; i++) {
        if (has_id(theirs, ours.at[i])) continue;
        strbuf_printf(&text, "%s%u %.*s", text.len ? ", " : "the GGUF also ends an answer at ",
                      ours.at[i], STR_ARG(json_quoted(arena, tokens->strings[ours.at[i]])));
    }
    const char *kept = text.len ? arena_cstr(arena, strbuf_str(&text)) : NULL;
    strbuf_free(&text);
    return kept;
}

static Str source_text(const Source *s, Arena *arena) {
    return arena_printf(arena, "%s: %.*s", source_kind_name(s->kind), STR_ARG(s->text));
}

static void judge(AgreementRow *row, const Model *m, const Gguf *g, const Stated *s, FieldId field,
                  uint32_t context, Arena *arena) {
    *row = (AgreementRow){
        .what = field_name(field),
        .ours = field_text(&m->contract, field, arena),
        .our_source = source_text(&m->sources[field], arena),
        .verdict = VERDICT_ONLY_GGUF,
    };
    if (!is_stated(s, field)) return;
    row->theirs = field_text(&s->values, field, arena);
    row->their_source = s->from[field];
    bool is_same = same_field(&m->contract, &s->values, field, context, row->ours, row->theirs);
    row->verdict = is_same ? VERDICT_AGREE : VERDICT_CONTRADICT;
    if (!is_same) row->note = name_difference(&m->contract, &s->values, field, arena);
    if (!is_same && field == FIELD_is_head_tied && !m->contract.is_head_tied &&
        model_head_is_copy(m)) {
        row->verdict = VERDICT_NOT_COMPARABLE;
        row->note = "output.weight is the embedding table, stored twice";
    }
    FieldComparison comparison = field_rows[field].comparison;
    if (is_same && comparison == COMPARISON_COVERED)
        row->note = name_more_stops(m->contract.stop_ids, s->values.stop_ids, g, arena);
    if (!is_same && comparison == COMPARISON_IF_USED && !is_bos_used(m, g)) {
        row->verdict = VERDICT_NOT_COMPARABLE;
        row->note = "no text begins with it";
    }
}

void agreement_make(Agreement *a, const Model *model, const Gguf *g, const Stated *stated,
                    uint32_t context, Arena *arena) {
    *a = (Agreement){0};
    if (!context) context = model->contract.context;
    for (int f = 0; f < FIELD_COUNT; f++)
        judge(&a->rows[a->n_rows++], model, g, stated, (FieldId)f, context, arena);
    if (stated->n_added_tokens || stated->token_trouble.len) {
        bool is_sound = stated->token_trouble.len == 0;
        a->rows[a->n_rows++] = (AgreementRow){
            .what = "added_tokens",
            .ours = is_sound ? arena_printf(arena, "%zu", stated->n_added_tokens)
                             : stated->token_trouble,
            .our_source = STR("key: tokenizer.ggml.tokens, tokenizer.ggml.token_type"),
            .theirs = arena_printf(arena, "%zu", stated->n_added_tokens),
            .their_source = STR("tokenizer_config.json: added_tokens_decoder and named tokens"),
            .verdict = is_sound ? VERDICT_AGREE : VERDICT_CONTRADICT,
        };
    }
    for (size_t i = 0; i < a->n_rows; i++) {
        a->n_agree += a->rows[i].verdict == VERDICT_AGREE;
        a->n_contradict += a->rows[i].verdict == VERDICT_CONTRADICT;
    }
}

// Lists of factors are long, and one line is to be read.
static Str cut(Str s) {
    return str_cut(s, 120);
}

void agreement_error(const Agreement *a, Err *err) {
    for (size_t i = 0; i < a->n_rows; i++) {
        const AgreementRow *row = &a->rows[i];
        if (row->verdict != VERDICT_CONTRADICT) continue;
        err_set(err, ERR_GATE, "%zu contradiction%s; %s is %.*s (%.*s), but %.*s (%.*s)%s%s",
                a->n_contradict, a->n_contradict == 1 ? "" : "s", row->what,
                STR_ARG(cut(row->ours)), STR_ARG(row->our_source), STR_ARG(cut(row->theirs)),
                STR_ARG(row->their_source), row->note ? ": " : "", row->note ? row->note : "");
        return;
    }
}

json_t *agreement_to_json(const Agreement *a) {
    json_t *rows = json_array();
    for (size_t i = 0; i < a->n_rows; i++) {
        const AgreementRow *row = &a->rows[i];
        json_t *json =
            json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "field", row->what, "verdict",
                      verdict_name(row->verdict), "gguf", json_of_str(row->ours), "gguf_from",
                      json_of_str(row->our_source), "config", json_of_str(row->theirs),
                      "config_from", json_of_str(row->their_source));
        if (row->note) json_object_set_new(json, "note", json_string(row->note));
        json_array_append_new(rows, json);
    }
    return rows;
}
