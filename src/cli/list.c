// list.c — `lathe list`: lists the models in the store.
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "base/json.h"
#include "base/size.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "hub/store.h"

typedef struct {
    bool as_json;
} Arguments;

static const Option option_rows[] = {
    {"--json", OPTION_FLAG, offsetof(Arguments, as_json), NULL, "the same for programs"},
};

const CommandLine list_line = {
    .usage = "lathe list [--json]",
    .doc = "Lists the models that lathe pulled: name, size, commit, path of the file. One whose "
           "pull was "
           "stopped is listed\nwith what is there of it. The store is $LATHE_STORE, or the folder "
           "models in the platform's cache folder.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
};

static double mb(uint64_t n_bytes) {
    return (double)n_bytes / 1e6;
}

static void print_text(const StoredModels *all, const char *store, Arena *arena) {
    size_t width = 0;
    uint64_t total = 0;
    for (size_t i = 0; i < all->count; i++) width = max_size(width, all->models[i].name.len);
    for (size_t i = 0; i < all->count; i++) {
        const StoredModel *m = &all->models[i];
        uint64_t n_bytes = store_bytes_now(m);
        total += n_bytes;
        printf("%-*.*s %10.1f MB  %.12s  ", (int)min_size(width, 100), STR_ARG(m->name),
               mb(n_bytes), m->commit.at);
        if (m->is_complete)
            printf("%s\n", store_path(arena, m));
        else
            printf("in part, of %.1f MB: lathe pull %.*s goes on\n", mb(store_bytes(m)),
                   STR_ARG(m->name));
    }
    printf("%s: %zu model%s, %.1f MB\n", store, all->count, all->count == 1 ? "" : "s", mb(total));
}

// docs/json.md
static void print_json(const StoredModels *all, const char *store, Arena *arena) {
    json_t *models = json_array();
    for (size_t i = 0; i < all->count; i++) {
        const StoredModel *m = &all->models[i];
        json_array_append_new(
            models,
            json_pack("{s:o, s:s?, s:o, s:o, s:o, s:I, s:I, s:b}", "name", json_of_str(m->name),
                      "path", m->is_complete ? store_path(arena, m) : NULL, "repo",
                      json_of_str(m->repo), "revision", json_of_str(m->revision), "commit",
                      json_of_str(m->commit), "bytes", (json_int_t)store_bytes(m), "stored_bytes",
                      (json_int_t)store_bytes_now(m), "complete", (int)m->is_complete));
    }
    json_t *value = json_pack("{s:s, s:o}", "store", store, "models", models);
    if (!value) die_out_of_memory(0);
    output_json(value, JSON_INDENT(1));
}

bool command_list(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!options_read(&list_line, &a, argc, argv, &is_done, err) || is_done) return is_done;
    Arena arena = {0};
    StoredModels all;
    Err damaged = {0};
    const char *store = store_dir(&arena, err);
    bool ok = store != NULL;
    if (ok && !store_list(&all, &arena, &damaged)) {
        *err = damaged;
        ok = false;
    }
    if (ok && damaged.kind)
        fprintf(stderr, "[%s: not a model that lathe knows; pull it again, or remove the folder]\n",
                damaged.text);
    if (ok && a.as_json)
        print_json(&all, store, &arena);
    else if (ok)
        print_text(&all, store, &arena);
    arena_free(&arena);
    return ok;
}
