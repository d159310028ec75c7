// fuzz_config.c — any bytes as one of the publisher's files; the first byte says which. They are
// read or refused with a message, and what is stated of a field has its source.
#include "contract/stated.h"
#include "gguf/gguf.h"
#include "scratch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// hello-phi3, in whose vocabulary texts of tokens are looked up.
static const Gguf *model(void) {
    static Arena arena;
    static Gguf g;
    static bool is_open;
    Err err = {0};
    if (!is_open && !gguf_open(&g, &arena, LATHE_MODELS "/hello-phi3-q8_0.gguf", &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    is_open = true;
    return &g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    ConfigFiles files = {0};
    const char **const kinds[] = {&files.config, &files.generation, &files.tokenizer,
                                  &files.chat_template};
    *kinds[data[0] % 4] = scratch_file("f.json", data + 1, size - 1);
    Arena arena = {0};
    Stated stated;
    Err err = {0};
    if (!stated_read(&stated, &files, model(), &arena, &err) &&
        (err.kind != ERR_FORMAT || !err.text[0]))
        abort();
    arena_free(&arena);
    return 0;
}
