// fuzz_folder.c — a folder of Hugging Face in which one file is any bytes: the first byte says which; after a last value of it the bytes are read as weights alone. The others are
// those of the bundled model, so that what is read goes far. A folder is opened or refused with a message; one that opens
// has a vocabulary that encodes a text or is refused.
#include "huggingface/checkpoint.h"
#include "huggingface/export.h"
#include "huggingface/folder.h"
#include "scratch_file.h"
#include "tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"tokenizer.json", "config.json", "tokenizer_config.json",
                                    "generation_config.json", "model.safetensors"};
enum { N_NAMES = sizeof names / sizeof *names };

static void fail(const Err *err) {
    fprintf(stderr, "%s\n", err->text);
    abort();
}

// The bundled model's folder, whose files are put back after each run.
static const char *folder(void) {
    static char path[128];
    if (*path) return path;
    snprintf(path, sizeof path, "%s/model", scratch_dir());
    HfExportJob job = {.model_path = LATHE_MODELS "/hello-phi3-q8_0.gguf",
                       .out_path = path,
                       .shard_bytes = UINT64_MAX};
    Err err = {0};
    if (!hf_export(&job, NULL, &err)) fail(&err);
    return path;
}

static void check_folder(const char *dir) {
    Arena arena = {0};
    Gguf g;
    Err err = {0};
    if (!model_open(&g, &arena, dir, &err)) {
        if (err.kind != ERR_FORMAT || !err.text[0]) abort();
        arena_free(&arena);
        return;
    }
    Tokenizer *t = tokenizer_open(&g, &err);
    TokenList ids = {0};
    if (t && !tokenizer_encode(t, STR("Hello  world\n 123 <|end|>"), TOKENIZER_ADD_BOS, &ids, &err))
        fail(&err);
    token_list_free(&ids);
    tokenizer_close(t);
    gguf_close(&g);
    arena_free(&arena);
}

static void check_weights(const uint8_t *bytes, size_t n) {
    Arena arena = {0};
    Checkpoint c;
    Err err = {0};
    if (!checkpoint_read(&c, &arena, bytes, n, &err) && err.kind != ERR_FORMAT) abort();
    for (size_t i = 0; i < c.count && err.kind == ERR_NONE; i++)
        if (c.at[i].data < bytes || c.at[i].n_bytes > (size_t)(bytes + n - c.at[i].data)) abort();
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    if (data[0] == N_NAMES) {
        check_weights(data + 1, size - 1);
        return 0;
    }
    const char *dir = folder(), *name = names[data[0] % N_NAMES];
    Arena arena = {0};
    const char *path = path_join(&arena, dir, name), *kept = path_join(&arena, dir, "kept");
    Err err = {0};
    if (rename(path, kept) != 0) abort();
    if (!file_write(path, data + 1, size - 1, &err)) fail(&err);
    check_folder(dir);
    if (rename(kept, path) != 0) abort();
    arena_free(&arena);
    return 0;
}
