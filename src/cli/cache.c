// cache.c — `lathe cache`: shows or removes the models that Core ML compiled for this machine,
// which are kept between runs.
#include <inttypes.h>
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
    .doc = "Shows where lathe keeps the models that Core ML compiled for this machine, and their "
           "size.\nThe key of a compiled model is its program, its weights, the system's build and "
           "the chip, so a\nstale one is never used.",
    .options = options,
    .n_options = COUNT_OF(options),
};

bool command_cache(int argc, char **argv, Err *err) {
    CacheArgs a = {0};
    Arena arena = {0};
    CoremlCacheSize size;
    bool is_done;
    if (!options_read(&cache_line, &a, argc, argv, &is_done, err)) return false;
    if (is_done) return true;
    bool ok = coreml_cache_size(&size, err) && (!a.clears || coreml_cache_clear(err));
    if (ok)
        printf("%s/compiled: %" PRIu64 " compiled model%s, %.1f MiB%s\n", cache_dir(&arena),
               size.n_models, size.n_models == 1 ? "" : "s", (double)size.n_bytes / (1 << 20),
               a.clears ? ", removed" : "");
    arena_free(&arena);
    return ok;
}
