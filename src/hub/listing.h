// listing.h — what the hub's API states about a repository. Every byte is untrusted.
//
//     GET /api/models/USER/REPO/revision/REV      {"sha": COMMIT, "cardData": {"base_model": …}, "tags": […], …}
//     GET /api/models/USER/REPO/tree/COMMIT?recursive=true
//         [{"type": "file", "path": "a/b.gguf", "size": N, "oid": GIT, "lfs": {"oid": SHA256, "size": N}}, {"type": "directory"}, …]
//
// Source: huggingface_hub, hf_api.py (model_info, list_repo_tree, RepoFile).
#ifndef LATHE_HUB_LISTING_H
#define LATHE_HUB_LISTING_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

typedef struct {
    Str path; // hub_is_path() holds
    uint64_t n_bytes;
    Str sha256; // of a file in LFS; empty if the hub states only git's digest
    Str git_id; // git_blob_id() of the file, or of its pointer where it is in LFS
} HubFile;

typedef struct {
    Str commit; // 40 hexadecimal digits
    // The repository of the model that this one is a quantisation of, as its card says; empty where
    // it says none, several, or that this model was trained further.
    Str base;
} HubRepo;

typedef struct {
    HubFile *files;
    size_t count, cap;
} HubListing;

// The largest known repositories of models have some thousand files.
enum { HUB_MAX_FILES = 100000 };

bool hub_read_repo(HubRepo *repo, Arena *arena, Str json, Err *err);
// Adds a page of the tree to the listing; directories are left out.
bool hub_read_tree(HubListing *listing, Arena *arena, Str json, Err *err);
// The file of that path, or NULL.
const HubFile *hub_find_file(const HubListing *listing, Str path);

#endif
