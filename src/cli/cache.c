// cache.c — `lathe cache`: shows or removes the models that Core ML compiled for this machine,
// which are kept between runs.
#include <stdio.h>

#include "base/file.h"
#include "base/size.h"
#include "cli/commands.h"
#include "coreml/cache.h"

typedef struct {
    bool clears;
} CacheArgs;

static const Option options[] = {
    {"--clear", OPTION_FLAG, offsetof(CacheArgs, clears), NULL,
     "remove every compiled model; the next start then compiles again, which takes minutes"},
};

const CommandLine cache_line = {
    .usage = "lathe cache [--clear]",
    .doc =
        "Lists the models that Core ML compiled for this machine, with their size and the "
        "package each was\ncompiled from, and shows where lathe keeps them. The key of a compiled "
        "model is its program, its\nweights, the system's build and the chip, so a stale one is "
        "never used.",
    .options = options,
    .n_options = COUNT_OF(options),
};

static void print_models(const CoremlCache *cache, bool was_cleared, Arena *arena) {
    for (size_t i = 0; i < cache->count; i++) {
        const CoremlKept *m = &cache->models[i];
        printf("%10.1f MiB  ", (double)m->n_bytes / (1 << 20));
        if (!m->package.len)
            printf("of a package that was not noted\n");
        else
            printf("%.*s%s\n", STR_ARG(m->package),
                   path_exists(arena_cstr(arena, m->package)) ? "" : " (which is there no more)");
    }
    printf("%s: %zu compiled model%s, %.1f MiB%s\n", cache->dir, cache->count,
           cache->count == 1 ? "" : "s", (double)cache->n_bytes / (1 << 20),
           was_cleared ? ", removed" : "");
}

bool command_cache(int argc, char **argv, Err *err) {
    CacheArgs a = {0};
    Arena arena = {0};
    CoremlCache cache;
    bool is_done;
    if (!options_read(&cache_line, &a, argc, argv, &is_done, err)) return false;
    if (is_done) return true;
    bool ok = coreml_cache_read(&cache, &arena, err) && (!a.clears || coreml_cache_clear(err));
    if (ok) print_models(&cache, a.clears, &arena);
    arena_free(&arena);
    return ok;
}
