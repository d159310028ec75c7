#include "hub/pull.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/lock.h"
#include "hub/companions.h"
#include "hub/download.h"

// The state of a running pull.
typedef struct {
    const PullJob *job;
    Arena *arena;
    Hub hub;
    HubName name;
    HubRepo repo;
    HubListing files;
    HubModels models;
    const HubModel *chosen;
    const char *dir;
    HubDownload *downloads; // [chosen->n_parts]
    bool *is_placed;        // likewise: the file is in place and right
    Pulled *out;
} Pull;

// ---- what there is, and which of it

static bool look(Pull *p, Err *err) {
    Arena *a = p->arena;
    if (!hub_name_read(&p->name, p->job->name, err)) return false;
    progress_report(p->job->progress, "asking the hub", 0, 0);
    if (!hub_ask_repo(&p->hub, &p->repo, a, p->name.repo, p->name.revision, err) ||
        !hub_ask_files(&p->hub, &p->files, a, p->name.repo, p->repo.commit, err) ||
        !hub_find_models(&p->models, &p->files, a, err))
        return false;
    p->chosen = hub_choose(&p->models, &p->name, err);
    if (!p->chosen) return false;
    for (size_t i = 0; i < p->chosen->n_parts; i++)
        if (!p->chosen->parts[i]->sha256.len)
            return err_set(err, ERR_FORMAT,
                           "hf:%.*s: the hub states no SHA-256 of %.*s, so it cannot be checked; "
                           "choose a file that is in LFS",
                           STR_ARG(p->name.repo), STR_ARG(p->chosen->parts[i]->path));
    p->dir = store_model_dir(a, &p->name, p->chosen, err);
    return p->dir && dir_make_all(p->dir, err);
}

static void plan(Pull *p) {
    const HubModel *m = p->chosen;
    uint64_t before = 0;
    p->downloads = arena_array(p->arena, m->n_parts, HubDownload);
    p->is_placed = arena_array(p->arena, m->n_parts, bool);
    for (size_t i = 0; i < m->n_parts; i++) {
        p->downloads[i] = (HubDownload){
            .repo = p->name.repo,
            .commit = p->repo.commit,
            .file = m->parts[i],
            .folder = p->dir,
            .name = arena_cstr(p->arena, hub_file_name(m->parts[i]->path)),
            .stage = "pull",
            .before = before,
            .total = m->n_bytes,
        };
        before += m->parts[i]->n_bytes;
    }
}

// ---- one process at a time

static bool wait_for_lock(Pull *p, DirLock *lock, Err *err) {
    enum { MOST_FREE = 50 }; // tries that fail though nobody holds the lock
    long process;
    bool is_noted = false;
    unsigned n_free = 0;
    while (!dir_lock(lock, p->dir, err)) {
        if (!dir_is_locked(p->dir, &process)) {
            if (!path_is_dir(p->dir) || ++n_free > MOST_FREE) return false; // lathe rm; no access
            continue;
        }
        if (!is_noted) {
            Str text =
                arena_printf(p->arena, "process %ld pulls the same model: waiting for it", process);
            progress_note(p->job->progress, text.at);
            is_noted = true;
        }
        uint64_t has = 0;
        for (size_t i = 0; i < p->chosen->n_parts; i++) has += hub_download_has(&p->downloads[i]);
        if (!progress_step(p->job->progress, "another pull", has, p->chosen->n_bytes, err))
            return false;
    }
    *err = (Err){0};
    return true;
}

// ---- the files

// Whether pulled.json knows this very file, and it is there in its length.
static bool is_known(const StoredModel *old, bool has_old, const HubDownload *d) {
    for (size_t i = 0; has_old && old->is_complete && i < old->n_parts; i++)
        if (str_eq(old->parts[i].path, d->file->path) &&
            str_eq(old->parts[i].sha256, d->file->sha256))
            return hub_download_has(d) == d->file->n_bytes;
    return false;
}

static void find_placed(Pull *p) {
    StoredModel old;
    bool has_old = store_read(&old, p->arena, p->dir, NULL);
    for (size_t i = 0; i < p->chosen->n_parts; i++)
        p->is_placed[i] = is_known(&old, has_old, &p->downloads[i]) ||
                          hub_download_is_placed(&p->hub, &p->downloads[i]);
}

static bool check_space(const Pull *p, Err *err) {
    uint64_t lacks = 0, free_bytes = 0;
    for (size_t i = 0; i < p->chosen->n_parts; i++)
        if (!p->is_placed[i])
            lacks += p->chosen->parts[i]->n_bytes - hub_download_has(&p->downloads[i]);
    if (!disk_free(&free_bytes, p->dir, err)) return false;
    return lacks <= free_bytes ||
           err_set(err, ERR_SYSTEM,
                   "%s: %.1f MB are still to come, and %.1f MB are free there: make room (`lathe "
                   "rm`), or set LATHE_STORE to another disk",
                   p->dir, (double)lacks / 1e6, (double)free_bytes / 1e6);
}

// What the store says of the model from now on.
static StoredModel describe(const Pull *p, bool is_complete) {
    StoredModel m = {
        .dir = p->dir,
        .endpoint = str_of(p->hub.access.endpoint),
        .repo = p->name.repo,
        .revision = p->name.revision,
        .commit = p->repo.commit,
        .which = hub_which(&p->models, p->chosen),
        .n_parts = p->chosen->n_parts,
        .parts = arena_array(p->arena, p->chosen->n_parts, HubFile),
        .is_complete = is_complete,
    };
    HubName name = {.repo = m.repo, .revision = m.revision, .which = m.which};
    m.name = str_of(hub_name_text(p->arena, &name));
    for (size_t i = 0; i < m.n_parts; i++) m.parts[i] = *p->chosen->parts[i];
    return m;
}

// A first pull says what it is about, so that it can be listed and removed when it is stopped.
static bool announce(const Pull *p, Err *err) {
    StoredModel old, now = describe(p, false);
    return store_read(&old, p->arena, p->dir, NULL) || store_write(&now, err);
}

static bool fetch(Pull *p, Err *err) {
    for (size_t i = 0; i < p->chosen->n_parts; i++) {
        if (p->is_placed[i]) continue;
        uint64_t had = hub_download_has(&p->downloads[i]);
        if (!hub_download(&p->hub, &p->downloads[i], err)) return false;
        p->out->n_fetched += p->chosen->parts[i]->n_bytes - had;
    }
    return true;
}

// All parts are there: until they have their names, the folder holds no complete model.
static bool place(const Pull *p, Err *err) {
    StoredModel now = describe(p, false);
    bool ok = true, is_any = false;
    for (size_t i = 0; i < p->chosen->n_parts; i++) is_any = is_any || !p->is_placed[i];
    if (is_any) ok = store_write(&now, err);
    for (size_t i = 0; ok && i < p->chosen->n_parts; i++)
        if (!p->is_placed[i]) ok = hub_download_place(&p->downloads[i], err);
    return ok && dir_sync(p->dir, err);
}

// Parts of files that the hub has no more, and files of an older commit.
static void sweep(const Pull *p, const StoredModel *m) {
    DirList list;
    if (!dir_list(&list, p->arena, p->dir, NULL)) return;
    for (size_t i = 0; i < list.count; i++) {
        Str name = str_of(list.names[i]);
        bool is_ours = str_ends(name, STR(".part")) || str_ends(name, STR(".etag")) ||
                       str_ends(name, STR(".gguf"));
        for (size_t k = 0; k < m->n_parts; k++)
            if (str_eq(name, hub_file_name(m->parts[k].path))) is_ours = false;
        if (is_ours) unlink(path_join(p->arena, p->dir, list.names[i]));
    }
}

static bool pull_locked(Pull *p, Err *err) {
    find_placed(p);
    if (!check_space(p, err) || !announce(p, err) || !fetch(p, err) || !place(p, err)) return false;
    StoredModel now = describe(p, true);
    CompanionSources sources = {.asked = p->job->base, .card = &p->repo, .files = &p->files};
    if (!companions_pull(&p->hub, &now, &sources, p->arena, err) || !store_write(&now, err))
        return false;
    sweep(p, &now);
    p->out->model = now;
    return true;
}

bool hub_pull(Pulled *pulled, Arena *arena, const PullJob *job, Err *err) {
    Pull p = {.job = job, .arena = arena, .out = pulled};
    DirLock lock = {0};
    *pulled = (Pulled){0};
    bool is_base = !job->base || strcmp(job->base, "none") == 0 || hub_is_repo(str_of(job->base));
    if (!is_base)
        return err_set(err, ERR_USAGE, "--base %.200s: expected USER/REPO or none", job->base);
    bool ok = hub_open(&p.hub, arena, job->progress, err) && look(&p, err);
    if (ok) plan(&p);
    ok = ok && wait_for_lock(&p, &lock, err) && pull_locked(&p, err);
    dir_unlock(&lock);
    hub_close(&p.hub);
    return ok;
}
