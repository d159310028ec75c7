// seed_gguf DIR — small valid GGUF files for fuzz_gguf to start from.
#include <stdio.h>

#include "base/file.h"
#include "gguf/spec.h"

static bool write_seed(FileSpec *s, const char *dir, const char *name, Err *err) {
    Str bytes = spec_bytes(s);
    return file_write(path_join(&s->arena, dir, name), bytes.at, bytes.len, err);
}

static bool write_sample(const char *dir, Err *err) {
    FileSpec s;
    spec_init_sample(&s);
    bool ok = write_seed(&s, dir, "sample", err);
    s.version = 2;
    ok = ok && write_seed(&s, dir, "version-2", err);
    spec_free(&s);
    return ok;
}

// One tensor of each weight format, two blocks in two rows.
static bool write_formats(const char *dir, Err *err) {
    bool ok = true;
    for (size_t i = 0; ok && i < block_type_count(); i++) {
        const BlockType *t = block_type_at(i);
        FileSpec s;
        spec_init(&s);
        spec_add_tensor(&s, "t", t->name, 2, (uint64_t[]){t->n_weights, 2});
        ok = write_seed(&s, dir, t->name, err);
        spec_free(&s);
    }
    return ok;
}

int main(int argc, char **argv) {
    Err err = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: seed_gguf DIR\n");
        return 2;
    }
    if (!dir_make(argv[1], &err) || !write_sample(argv[1], &err) || !write_formats(argv[1], &err)) {
        fprintf(stderr, "seed_gguf: %s\n", err.text);
        return 1;
    }
    return 0;
}
