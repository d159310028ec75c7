#include "bundle/verdict.h"

#include <string.h>

static const struct {
    const char *word, *name;
} verdicts[PROOF_VERDICT_COUNT] = {
    [PROOF_PASSED] = {"ok", "passed"},
    [PROOF_FAILED] = {"FAILED", "failed"},
    [PROOF_UNPROVED] = {"unproved", "unproved"},
    [PROOF_NOTE] = {"note", "note"},
};

const char *proof_verdict_word(ProofVerdict verdict) {
    return verdicts[verdict].word;
}

const char *proof_verdict_name(ProofVerdict verdict) {
    return verdicts[verdict].name;
}

ProofVerdict proof_verdict_of(const json_t *result) {
    const char *name = json_string_value(json_object_get(result, "verdict"));
    if (!json_is_true(json_object_get(result, "passed"))) return PROOF_FAILED;
    for (int v = 0; name && v < PROOF_VERDICT_COUNT; v++)
        if (strcmp(name, verdicts[v].name) == 0) return (ProofVerdict)v;
    return name ? PROOF_FAILED : PROOF_PASSED;
}
