// rm.c — `lathe rm hf:USER/REPO[:QUANT]`: removes a model from the store.
#include <stddef.h>
#include <stdio.h>

#include "cli/commands.h"
#include "hub/store.h"

typedef struct {
    const char *name;
} Arguments;

const CommandLine rm_line = {
    .usage = "lathe rm hf:USER/REPO[:QUANT]",
    .doc = "Removes a model from the store, with the files of its publisher and what a stopped "
           "pull left of "
           "it.\nBundles that were converted from it stay; verify needs their source again.",
    .positional = {{"hf:USER/REPO[:QUANT]", offsetof(Arguments, name)}},
    .n_positional = 1,
    .n_required = 1,
};

// What is removed is said exactly: no rule chooses among several.
static bool is_only_one(const StoredModels *all, const HubName *name, Err *err) {
    StrBuf names = {0};
    size_t n = 0;
    for (size_t i = 0; i < all->count; i++)
        if (str_eq(all->models[i].repo, name->repo) &&
            str_eq(all->models[i].revision, name->revision))
            strbuf_printf(&names, "%s%.*s", n++ ? ", " : "", STR_ARG(all->models[i].name));
    bool ok =
        n < 2 || name->which.len || err_set(err, ERR_USAGE, "which of them? %.900s", names.at);
    strbuf_free(&names);
    return ok;
}

bool command_rm(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!options_read(&rm_line, &a, argc, argv, &is_done, err) || is_done) return is_done;
    Arena arena = {0};
    HubName name;
    StoredModels all;
    Err damaged = {0};
    const StoredModel *m = NULL;
    bool ok = hub_name_read(&name, a.name, err) &&
              (store_list(&all, &arena, &damaged) || (*err = damaged, false)) &&
              is_only_one(&all, &name, err);
    if (ok) m = store_find(&all, &arena, &name, true, err);
    if (m) {
        uint64_t n_bytes = store_bytes_now(m);
        ok = store_remove(m, err);
        if (ok) printf("%.*s: %.1f MB, removed\n", STR_ARG(m->name), (double)n_bytes / 1e6);
    }
    arena_free(&arena);
    return ok && m != NULL;
}
