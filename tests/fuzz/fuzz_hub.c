// fuzz_hub.c — the first byte says what the rest is: a name from a command line, a page of the hub's list
// of files, its answer about a repository, or pulled.json. What is accepted stays inside its folder.
#include <stdlib.h>
#include <string.h>

#include "hub/choose.h"
#include "hub/store.h"
#include "scratch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

static void read_name(Str text) {
    Arena arena = {0};
    HubName name, again;
    const char *given = arena_cstr(&arena, text);
    if (hub_name_read(&name, given, NULL)) {
        check(hub_is_repo(name.repo) && hub_is_path(name.revision));
        check(hub_name_read(&again, hub_name_text(&arena, &name), NULL));
        check(str_eq(again.repo, name.repo) && str_eq(again.which, name.which));
    }
    arena_free(&arena);
}

static void read_tree(Str text) {
    Arena arena = {0};
    Err err = {0};
    HubListing files = {0};
    HubModels models;
    HubName name = {.repo = STR("u/r"), .revision = STR("main")};
    bool ok = hub_read_tree(&files, &arena, text, &err);
    check(ok || (err.kind == ERR_FORMAT && err.text[0]));
    for (size_t i = 0; ok && i < files.count; i++) check(hub_is_path(files.files[i].path));
    if (ok && hub_find_models(&models, &files, &arena, &err)) {
        const HubModel *m = hub_choose(&models, &name, &err);
        check(m ? m->parts[0] != NULL : err.text[0]);
        // A model is found again by what pulled.json will call it.
        if (m) name.which = hub_which(&models, m);
        if (m && hub_is_path(name.which)) check(hub_choose(&models, &name, &err) == m);
    }
    arena_free(&arena);
}

static void read_repo(Str text) {
    Arena arena = {0};
    HubRepo repo;
    if (hub_read_repo(&repo, &arena, text, NULL))
        check(repo.commit.len == 40 && (!repo.base.len || hub_is_repo(repo.base)));
    arena_free(&arena);
}

static void read_manifest(Str text) {
    Arena arena = {0};
    Err err = {0};
    StoredModel m;
    scratch_file("pulled.json", (const uint8_t *)text.at, text.len);
    if (store_read(&m, &arena, scratch_dir(), &err)) {
        for (size_t i = 0; i < m.n_parts; i++) check(hub_is_path(m.parts[i].path));
        store_path(&arena, &m);
    }
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const readers[])(Str) = {read_name, read_tree, read_repo, read_manifest};
    if (!size) return 0;
    readers[data[0] % 4]((Str){(const char *)data + 1, size - 1});
    return 0;
}
