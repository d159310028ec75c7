#include "proof/proof_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract/model_spec.h"

static void open_proof(ProofBench *b) {
    Err err = {0};
    Proof *p = &b->proof;
    *p = (Proof){.job = &b->job,
                 .arena = &b->arena,
                 .has_bundle = true,
                 .gates = json_object(),
                 .sections = json_object(),
                 .section_gates = json_object(),
                 .seconds = json_object(),
                 .kernels = "scalar"};
    if (!bundle_open(&p->bundle, &b->arena, b->dir, &err) ||
        !gguf_open(&p->source, &b->arena, b->model, &err) ||
        !model_read(&p->model, &p->source, &b->arena, &err))
        fail_msg("%s", err.text);
    p->use = p->bundle.chain.use;
}

static void close_proof(ProofBench *b) {
    gguf_close(&b->proof.source);
    bundle_close(&b->proof.bundle);
    json_decref(b->proof.gates);
    json_decref(b->proof.sections);
    json_decref(b->proof.section_gates);
    json_decref(b->proof.seconds);
}

void proof_bench_open(ProofBench *b, const char *model, PackFormat form,
                      const ConvertSteps *steps) {
    Err err = {0};
    Chain chain;
    *b = (ProofBench){.scratch = scratch_open("proof-bench")};
    b->model = model;
    if (!model) {
        b->model = path_join(&b->arena, b->scratch.path, "llama.gguf");
        proof_bench_write_llama(b->model);
    }
    b->dir = path_join(&b->arena, b->scratch.path, "m.lathe");
    b->job =
        (VerifyJob){.bundle_dir = b->dir, .model_path = b->model, .tool_version = "lathe test"};
    ConvertJob job = {.model_path = b->model,
                      .out_path = b->dir,
                      .chosen = {[USE_context] = "32"},
                      .options = {.prefill_rows = 8,
                                  .weights = form,
                                  .target = target_named("macos27"),
                                  .layers_per_shard = 2},
                      .tool_version = "lathe test",
                      .steps = steps};
    if (!bundle_convert(&chain, &b->arena, &job, &err)) fail_msg("%s", err.text);
    open_proof(b);
}

void proof_bench_reopen(ProofBench *b) {
    close_proof(b);
    open_proof(b);
}

void proof_bench_close(ProofBench *b) {
    close_proof(b);
    scratch_close(&b->scratch);
    arena_free(&b->arena);
}

void proof_bench_write_llama(const char *path) {
    FileSpec spec;
    float values[32 * 48];
    uint32_t seed = 1;
    model_spec_llama(&spec);
    for (int layer = 0; layer < 2; layer++) {
        static const struct {
            const char *name;
            uint64_t n;
        } biases[] = {{"attn_q.bias", 32}, {"attn_k.bias", 16}, {"attn_v.bias", 16}};
        for (size_t i = 0; i < 3; i++)
            spec_add_tensor(&spec, arena_printf(&spec.arena, "blk.%d.%s", layer, biases[i].name).at,
                            "F32", 1, &biases[i].n);
    }
    for (size_t i = 0; i < spec.tensors_there; i++) {
        const TensorSpec *t = &spec.tensors[i];
        size_t n = (size_t)t->dims[0] * (t->n_dims > 1 ? (size_t)t->dims[1] : 1);
        assert_true(n <= sizeof values / sizeof *values);
        for (size_t k = 0; k < n; k++) {
            seed = seed * 1664525u + 1013904223u; // Numerical Recipes, section 7.1
            values[k] = (float)(int32_t)seed * 0x1p-31f;
            if (k % 97 == 96) values[k] *= 1e-6f; // fp16 keeps little of these
        }
        spec_set_floats(&spec, arena_cstr(&spec.arena, t->name), values, n);
    }
    Str bytes = spec_bytes(&spec);
    assert_true(file_write(path, bytes.at, bytes.len, NULL));
    spec_free(&spec);
}

const json_t *proof_bench_last(const ProofBench *b, const char *gate) {
    const json_t *results = json_object_get(b->proof.gates, gate);
    assert_true(json_array_size(results) > 0);
    return json_array_get(results, json_array_size(results) - 1);
}
