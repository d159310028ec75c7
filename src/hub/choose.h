// choose.h — finds the model that a name means among a repository's files.
//
// A model is a GGUF file, or all files NAME-00001-of-0000N.gguf of one that is split. Its label is
// the quantisation, as it is written at the end of file names: "Q8_0" of
// "SmolLM2-135M-Instruct.Q8_0.gguf", or of the folder "Q8_0/…". Projectors of images ("mmproj…")
// and importance matrices ("imatrix…") are also GGUF files, but not models.
#ifndef LATHE_HUB_CHOOSE_H
#define LATHE_HUB_CHOOSE_H

#include "hub/listing.h"
#include "hub/name.h"

// The search for models compares each with all others, and a list of parts is allocated for each.
enum { HUB_MAX_PARTS = 999, HUB_MAX_MODELS = 4096 };

typedef struct {
    Str stem;  // path without "-00001-of-0000N" and ".gguf"
    Str label; // part of it; empty: the name has none
    size_t n_parts;
    const HubFile **parts; // [n_parts] in order; NULL where the repository lacks one
    uint64_t n_bytes;      // of all parts
} HubModel;

typedef struct {
    HubModel *models; // in order of their stems
    size_t count;
} HubModels;

// The models among the files; both must outlive what is returned.
bool hub_find_models(HubModels *found, const HubListing *listing, Arena *arena, Err *err);

// The model that `name` means. Without `which` that is the only one there is, or by the rows of
// preference.def. NULL and `err`, which lists what there is, when none or several fit.
const HubModel *hub_choose(const HubModels *models, const HubName *name, Err *err);

// The `which` with which hub_choose() finds `model` among them: its label, or a path.
Str hub_which(const HubModels *models, const HubModel *model);

#endif
