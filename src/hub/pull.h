// pull.h — downloads a model from the hub into the store.
#ifndef LATHE_HUB_PULL_H
#define LATHE_HUB_PULL_H

#include "base/progress.h"
#include "hub/store.h"

typedef struct {
    const char *name; // "hf:USER/REPO:Q8_0"
    // The repository of config.json and the publisher's other files; NULL: the one that the model's
    // card or file names; "none": no such files.
    const char *base;
    const Progress *progress; // may be NULL
} PullJob;

typedef struct {
    StoredModel model;
    uint64_t n_fetched; // bytes of the model downloaded now; 0: all were in the store
} Pulled;

// Updates the store to what the hub has under that name now. A stopped pull continues where it
// stopped; if another process pulls the same model, this one waits for it. Strings are in the
// arena.
bool hub_pull(Pulled *pulled, Arena *arena, const PullJob *job, Err *err);

#endif
