// hub_model.h — models by their names on the hub ("hf:USER/REPO:Q8_0") where a command takes a path.
#ifndef LATHE_CLI_HUB_MODEL_H
#define LATHE_CLI_HUB_MODEL_H

#include "contract/stated.h"
#include "hub/pull.h"

// lathe pull, with progress on stderr and Ctrl-C to stop it.
bool hub_model_pull(Pulled *pulled, const char *name, const char *base, Arena *arena, Err *err);
// The model of that name in the store; nobody is asked.
bool hub_model_find(StoredModel *model, const char *name, Arena *arena, Err *err);

// Where `*path` is a name: the model's file in the store in its place, pulled first unless it is there
// or `is_offline`. Paths, and NULL, stay as they are. In the arena.
bool hub_model_path(const char **path, bool is_offline, Arena *arena, Err *err);
// Where no file of the publisher is given, and `model`, a path, was pulled: the files that came with
// it, and a line on stderr that says so. In the arena.
void hub_model_files(ConfigFiles *files, const char *model, Arena *arena);

// The row of --offline in a command's table.
#define OFFLINE_OPTION(Type, member)                                                               \
    {                                                                                              \
        "--offline", OPTION_FLAG, offsetof(Type, member), NULL,                                    \
            "of a name hf:…: take what is in the store, ask nobody"                              \
    }

#endif
