// Not a test: what a session of a bundle computes, for tests/oracle to compare examples/host.c with.
//
//     session_logits BUNDLE COUNT IDS…    COUNT times: logits after the last token (float32, to
//                                         stdout), then the likeliest one is fed
#include <stdio.h>
#include <stdlib.h>

#include "runtime/loaded_model.h"

static int fail(const Err *err) {
    fprintf(stderr, "%s\n", err->text);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    LoadOptions options = {.path = argv[1], .threads = 1, .is_unsealed = true};
    LoadedModel model;
    Err err = {0};
    size_t n = (size_t)argc - 3, count = strtoul(argv[2], NULL, 10);
    uint32_t *tokens = calloc(n, sizeof *tokens);
    if (!tokens) return 1;
    for (size_t i = 0; i < n; i++) tokens[i] = (uint32_t)strtoul(argv[3 + i], NULL, 10);
    bool ok = loaded_model_open(&model, &options, NULL, &err);
    uint32_t n_vocab = ok ? session_n_vocab(model.session) : 1;
    float *logits = calloc(n_vocab, sizeof *logits);
    if (!logits) return 1;
    ok = ok && session_expect(model.session, (uint32_t)(n + count), &err);
    for (; ok && count; count--, n = 1) {
        ok = session_feed(model.session, tokens, n, logits, NULL, &err);
        if (!ok) break;
        fwrite(logits, sizeof *logits, n_vocab, stdout);
        tokens[0] = 0;
        for (uint32_t i = 1; i < n_vocab; i++)
            if (logits[i] > logits[tokens[0]]) tokens[0] = i;
    }
    int code = ok ? 0 : fail(&err);
    loaded_model_close(&model);
    free(logits);
    free(tokens);
    return code;
}
