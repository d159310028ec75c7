// verdict.h — a gate's verdict on one check.
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
    PROOF_UNPROVED, // the gate cannot tell: neither a failure nor a proof
    PROOF_NOTE,     // a remark: nothing was compared
    PROOF_VERDICT_COUNT,
} ProofVerdict;

const char *proof_verdict_word(
    ProofVerdict verdict); // ends a line: "ok", "FAILED", "unproved", "note"
const char *proof_verdict_name(
    ProofVerdict verdict); // in JSON: "passed", "failed", "unproved", "note"
// The verdict of a result in JSON. A result without a verdict is judged by `passed`. A result that
// contradicts itself, or has a verdict that this program does not know, counts as failed.
ProofVerdict proof_verdict_of(const json_t *result);

#endif
