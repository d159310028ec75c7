// compare_config.h — a GGUF's contract beside what the model's Hugging Face files state: field by field,
// with both sources. A contradiction is not an error of reading: the caller decides what it stops.
#ifndef LATHE_CONTRACT_COMPARE_CONFIG_H
#define LATHE_CONTRACT_COMPARE_CONFIG_H

#include "contract/stated.h"

typedef enum {
    VERDICT_AGREE,
    VERDICT_CONTRADICT,
    VERDICT_ONLY_GGUF,      // the other side does not say
    VERDICT_NOT_COMPARABLE, // both state it, of different things; `note`: why that changes nothing
} AgreementVerdict;

typedef struct {
    const char *what; // a field's name, or "added_tokens"
    Str ours, our_source, theirs, their_source;
    AgreementVerdict verdict;
    const char *note; // NULL when the verdict says it all; in the arena
} AgreementRow;

typedef struct {
    AgreementRow rows[FIELD_COUNT + 1];
    size_t n_rows, n_agree, n_contradict;
} Agreement;

// Every field in table order. `g` is the model's file. Texts live in the arena. `context` as in
// evidence.h.
void agreement_make(Agreement *a, const Model *model, const Gguf *g, const Stated *stated,
                    uint32_t context, Arena *arena);
const char *verdict_name(AgreementVerdict verdict); // "agree", "contradict", …
// The first contradiction in words: "1 contradiction; rope_dim is 32 (key: …), but 24 (config.json:
// …)".
void agreement_error(const Agreement *a, Err *err);

// The rows as a list of objects (docs/inspect-json.md); the caller owns the reference.
struct json_t;
struct json_t *agreement_to_json(const Agreement *a);

#endif
