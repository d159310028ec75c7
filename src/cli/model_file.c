#include "cli/model_file.h"

#include <stddef.h>

#include "base/file.h"
#include "cli/hub_model.h"
#include "huggingface/folder.h"

const char *model_file_of(const char *path, Arena *arena, Err *err) {
    if (!hub_model_path(&path, false, arena, err)) return NULL;
    if (!path_is_bundle(path)) return path;
    if (path_exists(path_join(arena, path, "chain.json")))
        return path_join(arena, path, "host.gguf");
    err_set(err, ERR_FORMAT, "%s: a folder without chain.json, expected a model file or a bundle",
            path);
    return NULL;
}
