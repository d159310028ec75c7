// pull.h — a model from the hub into the store.
#ifndef LATHE_HUB_PULL_H
#define LATHE_HUB_PULL_H

#include "base/progress.h"
#include "hub/store.h"

typedef struct {
    const char *name; // "hf:USER/REPO:Q8_0"
    // Whose config.json and other files come along: a repository; NULL: the one that the model's card
    // or file names; "none".
    const char *base;
    const Progress *progress; // may be NULL
} PullJob;

typedef struct {
    StoredModel model;
    uint64_t n_fetched; // bytes of the model that came now; 0: all was there
} Pulled;

// Brings the store to what the hub has under that name now. A pull that was stopped goes on where it
// was; where another process pulls the same model, this one waits for it. Strings are in the arena.
bool hub_pull(Pulled *pulled, Arena *arena, const PullJob *job, Err *err);

#endif
