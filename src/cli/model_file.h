// model_file.h — a name on the hub (hub_model.h) counts as the file that it means; commands that need a model's tokenizer and template take a bundle as well, which has
// both in host.gguf.
#ifndef LATHE_CLI_MODEL_FILE_H
#define LATHE_CLI_MODEL_FILE_H

#include "base/arena.h"
#include "base/err.h"

// `path` itself, or of a bundle its host.gguf (in the arena). NULL and `err` for a folder that is not
// a bundle.
const char *model_file_of(const char *path, Arena *arena, Err *err);

#endif
