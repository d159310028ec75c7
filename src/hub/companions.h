// companions.h — downloads the publisher's files together with a model.
//
// A GGUF file is written by whoever quantised the model; config.json by whoever trained it. They
// are independent of each other, so gate contract compares them. The publisher's repository is
// named by the first of
//
//   1. the user (PullJob.base);
//   2. the card of the repository (base_model, for a quantisation of one model);
//   3. the file: general.source.repo_url, or general.base_model.0.repo_url where the name there is
//      the model's own. llama.cpp's converter copies that key from the card of the model it converts,
//      where it names the model that this one was trained from: another one;
//   4. none of these: then the repository's own config.json is taken, if it has one.
//
// A repository that cannot be read (gated, absent) is reported and skipped.
#ifndef LATHE_HUB_COMPANIONS_H
#define LATHE_HUB_COMPANIONS_H

#include "hub/query.h"
#include "hub/store.h"

typedef struct {
    const char *asked; // PullJob.base
    const HubRepo *card;
    const HubListing *files; // of the model's own repository
} CompanionSources;

// The repository that the file names, and in `from` the key; empty for none.
Str companion_base_of_file(Str *from, const char *path, const char *endpoint, Arena *arena);

// Downloads the files into the model's folder, whose lock the caller holds, and records them in
// `m`. False only when the caller cancelled, the disk failed, or the user named a repository that
// cannot be read.
bool companions_pull(Hub *hub, StoredModel *m, const CompanionSources *sources, Arena *arena,
                     Err *err);

#endif
