// proof_bench.h — a model, its bundle and a Proof over both, as a run of the gates has them: for
// tests of what looks into a bundle. The folder is a new one each time.
#ifndef LATHE_TESTS_PROOF_PROOF_BENCH_H
#define LATHE_TESTS_PROOF_PROOF_BENCH_H

#include "convert/convert.h"
#include "gguf/spec.h"
#include "mlpackage/scratch.h"
#include "proof/proof.h"

typedef struct {
    Arena arena;
    Scratch scratch;
    const char *model, *dir;
    VerifyJob job;
    Proof proof;
} ProofBench;

// 32 positions in chunks of 8, two layers a package, weights of `form`; `steps` NULL: the true ones.
void proof_bench_open(ProofBench *b, const char *model, PackFormat form, const ConvertSteps *steps);
void proof_bench_close(ProofBench *b);
// Opens the bundle and the model once more, as the next run does.
void proof_bench_reopen(ProofBench *b);

// A llama of two layers (contract/model_spec.h) with biases on queries, keys and values, whose
// weights are spread over [-1, 1): its rotated pairs lie side by side, so the compiler moves rows.
// Writes it to `path`.
void proof_bench_write_llama(const char *path);

// The last result of `gate`: {scope, passed, text, figures}.
const json_t *proof_bench_last(const ProofBench *b, const char *gate);

#endif
