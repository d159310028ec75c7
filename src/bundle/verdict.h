// verdict.h — what a gate says of one of the things it looked at.
//
// A result in JSON (report.json, seal.json, --json) carries the verdict by name, and beside it
// `passed`, which is false for PROOF_FAILED alone: the bundle is refused for failures, and sealed
// with a list of what is unproved.
#ifndef LATHE_BUNDLE_VERDICT_H
#define LATHE_BUNDLE_VERDICT_H

#include <jansson.h>

typedef enum {
    PROOF_PASSED,
    PROOF_FAILED,
    PROOF_UNPROVED, // nothing here can tell: no failure and no proof
    PROOF_NOTE,     // a remark: nothing was compared
    PROOF_VERDICT_COUNT,
} ProofVerdict;

const char *proof_verdict_word(
    ProofVerdict verdict); // ends a line: "ok", "FAILED", "unproved", "note"
const char *proof_verdict_name(
    ProofVerdict verdict); // in JSON: "passed", "failed", "unproved", "note"
// Of a result in JSON; one without a name goes by `passed`. What contradicts itself or has a name
// that this program does not know counts as failed.
ProofVerdict proof_verdict_of(const json_t *result);

#endif
