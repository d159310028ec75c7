// store.h — the models that lathe pulled, on this machine.
//
//     STORE/USER--REPO/STEM/             one model; STEM@REVISION where that is not main
//         pulled.json                    describes the model; written last: without it the model does not count as present
//         NAME.gguf, …                   its files, named as on the hub
//         config.json, …                 of its publisher (companions.def)
//         NAME.gguf.DIGEST.part, .etag   of a pull that is not finished (download.h)
//
// STORE is $LATHE_STORE, or "models" in the platform's cache folder (base/file.h: cache_dir).
// Changing a model requires the lock of its folder (base/lock.h).
//
//     pulled.json      {"schema": 1, "name": "hf:USER/REPO:Q8_0", "endpoint", "repo", "revision", "commit", "which",
//                       "model": [{"path": in the repository, "bytes", "sha256"}, …],
//                       "complete": true, "base": {"repo", "commit", "from"}, "publisher": [{"path", "bytes", "sha256"}, …]}
#ifndef LATHE_HUB_STORE_H
#define LATHE_HUB_STORE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "hub/choose.h"
#include "hub/name.h"

typedef enum {
#define COMPANION(id, name, doc) COMPANION_##id,
#include "hub/companions.def"
#undef COMPANION
    COMPANION_COUNT,
} CompanionId;

// "config.json", …
const char *companion_name(CompanionId id);

typedef struct {
    const char *dir; // its folder
    Str name;        // its name: "hf:USER/REPO:Q8_0"
    Str endpoint, repo, revision, commit, which;
    HubFile *parts; // [n_parts] in order, with their paths in the repository
    size_t n_parts;
    bool is_complete; // all parts are in place and have their full length
    // The repository of the publisher's files, its commit, and where it is named. Empty: none.
    Str base, base_commit, base_from;
    bool has[COMPANION_COUNT]; // whether the folder has the file
    Str companion_sha256[COMPANION_COUNT];
} StoredModel;

typedef struct {
    StoredModel *models; // in order of their folders
    size_t count;
} StoredModels;

// The store's folder. NULL and `err` when no variable names a place.
const char *store_dir(Arena *arena, Err *err);
// The folder of a model: STORE/USER--REPO/STEM.
const char *store_model_dir(Arena *arena, const HubName *name, const HubModel *model, Err *err);

// Reads the folder's pulled.json. False without `err` if there is none; ERR_FORMAT if it is
// damaged.
bool store_read(StoredModel *model, Arena *arena, const char *dir, Err *err);
bool store_write(const StoredModel *model, Err *err); // and makes it durable

// Lists the store; a model with a damaged pulled.json is left out and named in `err`, without
// failing.
bool store_list(StoredModels *found, Arena *arena, Err *err);
// The model that a name means, by the rule for the hub (choose.h): a complete one or, with
// `takes_parts`, also one that a stopped pull left. NULL and `err` otherwise.
const StoredModel *store_find(const StoredModels *models, Arena *arena, const HubName *name,
                              bool takes_parts, Err *err);
// Path of the model's file (of a split model the first part), and of a companion; in the arena.
const char *store_path(Arena *arena, const StoredModel *model);
const char *store_companion_path(Arena *arena, const StoredModel *model, CompanionId id);
uint64_t store_bytes(const StoredModel *model);     // of all parts, as the hub states
uint64_t store_bytes_now(const StoredModel *model); // in the folder, parts of files included

// Finds the model that the file `path` is a part of, by the pulled.json beside it. False: there is
// none.
bool store_of_file(StoredModel *model, Arena *arena, const char *path);

// Removes a model, under its lock, and its repository's folder if that is then empty.
bool store_remove(const StoredModel *model, Err *err);

#endif
