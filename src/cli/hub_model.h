// hub_model.h — models by their names on the hub ("hf:USER/REPO:Q8_0") where a command takes a path.
#ifndef LATHE_CLI_HUB_MODEL_H
#define LATHE_CLI_HUB_MODEL_H

#include "contract/stated.h"
#include "hub/pull.h"

// lathe pull, with progress on stderr and Ctrl-C to stop it.
bool hub_model_pull(Pulled *pulled, const char *name, const char *base, Arena *arena, Err *err);
// Finds the model of that name in the store, without asking the hub.
bool hub_model_find(StoredModel *model, const char *name, Arena *arena, Err *err);

// If `*path` is such a name, replaces it by the path of the model's file in the store (in the
// arena), which is pulled first unless it is there or `is_offline`. Other paths, and NULL, stay as
// they are.
bool hub_model_path(const char **path, bool is_offline, Arena *arena, Err *err);
// If no file of the publisher was given, and the file at the path `model` was pulled, fills in the
// publisher's files that were pulled with it (in the arena), and says so on stderr.
void hub_model_files(ConfigFiles *files, const char *model, Arena *arena);

// The row of --offline for a command's table of options.
#define OFFLINE_OPTION(Type, member)                                                               \
    {                                                                                              \
        "--offline", OPTION_FLAG, offsetof(Type, member), NULL,                                    \
            "of a name hf:…: take what is in the store, ask nobody"                              \
    }

#endif
