#include "hub/store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/size.h"

enum { SCHEMA = 1 };
#define MANIFEST "pulled.json"

static const char *const companion_names[] = {
#define COMPANION(id, name, doc) name,
#include "hub/companions.def"
#undef COMPANION
};

const char *companion_name(CompanionId id) {
    return companion_names[id];
}

// ---- places

const char *store_dir(Arena *arena, Err *err) {
    const char *given = getenv("LATHE_STORE"), *cache = cache_dir(arena);
    if (given && *given) return given;
    if (cache) return path_join(arena, cache, "models");
    err_set(err, ERR_SYSTEM, "no place for models: set LATHE_STORE, or HOME");
    return NULL;
}

// `text` with every '/' as "--".
static Str flat(Arena *arena, Str text) {
    StrBuf out = {0};
    for (size_t i = 0; i < text.len; i++)
        strbuf_add(&out, text.at[i] == '/' ? STR("--") : (Str){text.at + i, 1});
    Str kept = arena_str(arena, strbuf_str(&out));
    strbuf_free(&out);
    return kept;
}

const char *store_model_dir(Arena *arena, const HubName *name, const HubModel *model, Err *err) {
    const char *store = store_dir(arena, err);
    bool is_main = str_is(name->revision, "main");
    Str repo = flat(arena, name->repo), stem = flat(arena, model->stem);
    Str revision = is_main ? (Str){"", 0} : flat(arena, name->revision);
    return store ? arena_printf(arena, "%s/%.*s/%.*s%s%.*s", store, STR_ARG(repo), STR_ARG(stem),
                                is_main ? "" : "@", STR_ARG(revision))
                       .at
                 : NULL;
}

const char *store_path(Arena *arena, const StoredModel *m) {
    return path_join(arena, m->dir, arena_cstr(arena, hub_file_name(m->parts[0].path)));
}

const char *store_companion_path(Arena *arena, const StoredModel *m, CompanionId id) {
    return m->has[id] ? path_join(arena, m->dir, companion_name(id)) : NULL;
}

uint64_t store_bytes(const StoredModel *m) {
    uint64_t total = 0;
    for (size_t i = 0; i < m->n_parts; i++) total += m->parts[i].n_bytes;
    return total;
}

uint64_t store_bytes_now(const StoredModel *m) {
    Arena arena = {0};
    DirList list;
    uint64_t total = 0;
    bool ok = dir_list(&list, &arena, m->dir, NULL);
    for (size_t i = 0; ok && i < list.count; i++) {
        struct stat st;
        if (lstat(path_join(&arena, m->dir, list.names[i]), &st) == 0 && S_ISREG(st.st_mode))
            total += (uint64_t)st.st_size;
    }
    arena_free(&arena);
    return total;
}

// ---- pulled.json

static bool read_parts(StoredModel *m, JsonReader *need, const json_t *all) {
    const json_t *parts = need_array(need, all, "model", HUB_MAX_PARTS, &m->n_parts);
    m->parts = arena_array(need->arena, m->n_parts + 1, HubFile);
    for (size_t i = 0; i < m->n_parts && !need->failed; i++) {
        const json_t *part = json_array_get(parts, i);
        HubFile *f = &m->parts[i];
        *f = (HubFile){.path = need_str(need, part, "path"),
                       .n_bytes = need_u64(need, part, "bytes", INT64_MAX / HUB_MAX_PARTS),
                       .sha256 = need_str(need, part, "sha256")};
        if (need->failed) return false;
        if (!hub_is_path(f->path) || !hub_is_file_name(hub_file_name(f->path)) ||
            f->sha256.len != 64)
            return err_set(need->err, ERR_FORMAT, "member \"model\": item %zu is no file", i);
    }
    return !need->failed &&
           (m->n_parts > 0 || err_set(need->err, ERR_FORMAT, "member \"model\": empty"));
}

static void read_publisher(StoredModel *m, JsonReader *need, const json_t *all) {
    size_t n;
    const json_t *files = need_array(need, all, "publisher", COMPANION_COUNT, &n);
    for (size_t i = 0; i < n; i++) {
        const json_t *file = json_array_get(files, i);
        Str path = need_str(need, file, "path");
        for (int c = 0; c < COMPANION_COUNT; c++) {
            if (!str_is(path, companion_names[c])) continue;
            m->has[c] = true;
            m->companion_sha256[c] = need_str(need, file, "sha256");
        }
    }
    const json_t *base = json_object_get(all, "base");
    if (json_is_null(base)) return;
    base = need_object(need, all, "base");
    m->base = need_str(need, base, "repo");
    m->base_commit = need_str(need, base, "commit");
    m->base_from = need_str(need, base, "from");
}

static bool read_manifest(StoredModel *m, Arena *arena, const json_t *all, Err *err) {
    JsonReader need = {.arena = arena, .err = err};
    if (need_u32(&need, all, "schema") != SCHEMA)
        return !need.failed && err_set(err, ERR_FORMAT, "written by another version of lathe");
    m->name = need_str(&need, all, "name");
    m->endpoint = need_str(&need, all, "endpoint");
    m->repo = need_str(&need, all, "repo");
    m->revision = need_str(&need, all, "revision");
    m->commit = need_str(&need, all, "commit");
    m->which = need_str(&need, all, "which");
    m->is_complete = need_bool(&need, all, "complete");
    read_publisher(m, &need, all);
    if (!read_parts(m, &need, all)) return false;
    return hub_is_repo(m->repo) || err_set(err, ERR_FORMAT, "member \"repo\": no repository");
}

// Somebody may have removed a file by hand.
static bool has_its_files(const StoredModel *m, Arena *arena) {
    for (size_t i = 0; i < m->n_parts; i++) {
        struct stat st;
        const char *name = arena_cstr(arena, hub_file_name(m->parts[i].path));
        if (stat(path_join(arena, m->dir, name), &st) != 0 ||
            (uint64_t)st.st_size != m->parts[i].n_bytes)
            return false;
    }
    return true;
}

bool store_read(StoredModel *m, Arena *arena, const char *dir, Err *err) {
    *m = (StoredModel){.dir = arena_cstr(arena, str_of(dir))};
    const char *path = path_join(arena, dir, MANIFEST);
    if (!path_exists(path)) return false;
    json_t *all = json_read_file(path, err);
    bool ok = all && (read_manifest(m, arena, all, err) || err_prefix(err, "%s", path));
    json_decref(all);
    if (ok) m->is_complete = m->is_complete && has_its_files(m, arena);
    return ok;
}

static json_t *file_json(Str path, uint64_t n_bytes, Str sha256) {
    return json_pack("{s:o, s:I, s:o}", "path", json_of_str(path), "bytes", (json_int_t)n_bytes,
                     "sha256", json_of_str(sha256));
}

static uint64_t companion_bytes(const StoredModel *m, CompanionId id) {
    Arena arena = {0};
    struct stat st;
    bool is_there = stat(path_join(&arena, m->dir, companion_name(id)), &st) == 0;
    arena_free(&arena);
    return is_there ? (uint64_t)st.st_size : 0;
}

bool store_write(const StoredModel *m, Err *err) {
    Arena arena = {0};
    json_t *parts = json_array(), *publisher = json_array();
    for (size_t i = 0; i < m->n_parts; i++)
        json_array_append_new(parts,
                              file_json(m->parts[i].path, m->parts[i].n_bytes, m->parts[i].sha256));
    for (CompanionId c = 0; c < COMPANION_COUNT; c++)
        if (m->has[c])
            json_array_append_new(publisher,
                                  file_json(str_of(companion_names[c]), companion_bytes(m, c),
                                            m->companion_sha256[c]));
    json_t *base = m->base.len
                       ? json_pack("{s:o, s:o, s:o}", "repo", json_of_str(m->base), "commit",
                                   json_of_str(m->base_commit), "from", json_of_str(m->base_from))
                       : json_null();
    json_t *all =
        json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o}", "schema", SCHEMA,
                  "name", json_of_str(m->name), "endpoint", json_of_str(m->endpoint), "repo",
                  json_of_str(m->repo), "revision", json_of_str(m->revision), "commit",
                  json_of_str(m->commit), "which", json_of_str(m->which), "complete",
                  (int)m->is_complete, "model", parts, "base", base, "publisher", publisher);
    if (!all) die_out_of_memory(0);
    bool ok =
        json_write_file(all, path_join(&arena, m->dir, MANIFEST), err) && dir_sync(m->dir, err);
    json_decref(all);
    arena_free(&arena);
    return ok;
}

// ---- all of them

static void add_models(StoredModels *found, size_t cap, const char *repo_dir, Arena *arena,
                       Err *err) {
    DirList list;
    if (!path_is_dir(repo_dir) || !dir_list(&list, arena, repo_dir, err)) return;
    for (size_t i = 0; i < list.count && found->count < cap; i++)
        if (store_read(&found->models[found->count], arena,
                       path_join(arena, repo_dir, list.names[i]), err))
            found->count++;
}

bool store_list(StoredModels *found, Arena *arena, Err *err) {
    enum { MOST = 10000 };
    *found = (StoredModels){0};
    const char *store = store_dir(arena, err);
    DirList list;
    if (!store) return false;
    if (!path_exists(store)) return true;
    if (!dir_list(&list, arena, store, err)) return false;
    found->models = arena_array(arena, MOST, StoredModel);
    for (size_t i = 0; i < list.count; i++)
        add_models(found, MOST, path_join(arena, store, list.names[i]), arena, err);
    return true;
}

static bool is_candidate(const StoredModel *m, const HubName *name, bool takes_parts) {
    return (m->is_complete || takes_parts) && str_eq(m->repo, name->repo) &&
           (str_eq(m->revision, name->revision) || str_eq(m->commit, name->revision));
}

static const StoredModel *holder_of(const StoredModels *all, const HubFile *part) {
    for (size_t i = 0; i < all->count; i++)
        if (part >= all->models[i].parts && part < all->models[i].parts + all->models[i].n_parts)
            return &all->models[i];
    return NULL;
}

// The rule for what is on the hub, over what is here.
const StoredModel *store_find(const StoredModels *all, Arena *arena, const HubName *name,
                              bool takes_parts, Err *err) {
    HubListing here = {0};
    HubModels models;
    size_t n = 0;
    for (size_t i = 0; i < all->count; i++)
        if (is_candidate(&all->models[i], name, takes_parts)) n += all->models[i].n_parts;
    here.files = arena_array(arena, n + 1, HubFile);
    const HubFile **origin = arena_array(arena, n + 1, const HubFile *);
    for (size_t i = 0; i < all->count; i++) {
        const StoredModel *m = &all->models[i];
        for (size_t p = 0; is_candidate(m, name, takes_parts) && p < m->n_parts; p++) {
            origin[here.count] = &m->parts[p];
            here.files[here.count++] = m->parts[p];
        }
    }
    if (!here.count) {
        err_set(err, ERR_SYSTEM, "%s is not in the store; `lathe pull %s` brings it",
                hub_name_text(arena, name), hub_name_text(arena, name));
        return NULL;
    }
    if (!hub_find_models(&models, &here, arena, err)) return NULL;
    const HubModel *m = hub_choose(&models, name, err);
    return m ? holder_of(all, origin[m->parts[0] - here.files]) : NULL;
}

bool store_of_file(StoredModel *m, Arena *arena, const char *path) {
    const char *name = path_file_name(path);
    Str dir = name == path ? STR(".") : (Str){path, max_size((size_t)(name - path) - 1, 1)};
    if (!store_read(m, arena, arena_cstr(arena, dir), NULL) || !m->is_complete) return false;
    for (size_t i = 0; i < m->n_parts; i++)
        if (str_is(hub_file_name(m->parts[i].path), name)) return true;
    return false;
}

bool store_remove(const StoredModel *m, Err *err) {
    DirLock lock;
    Arena arena = {0};
    if (!dir_lock(&lock, m->dir, err)) return false;
    // The manifest first: what a kill leaves is no model.
    bool ok =
        dir_remove_tree(path_join(&arena, m->dir, MANIFEST), err) && dir_remove_tree(m->dir, err);
    dir_unlock(&lock);
    Str parent = {m->dir, (size_t)(path_file_name(m->dir) - m->dir) - 1};
    if (ok) rmdir(arena_cstr(&arena, parent)); // fails while it holds others
    arena_free(&arena);
    return ok;
}
