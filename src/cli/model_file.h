// model_file.h — the file that a command's argument stands for. A name on the hub (hub_model.h)
// stands for the model's file in the store. Commands that need only a model's tokenizer and
// template also take a bundle, which has both in host.gguf.
#ifndef LATHE_CLI_MODEL_FILE_H
#define LATHE_CLI_MODEL_FILE_H

#include "base/arena.h"
#include "base/err.h"

// Returns `path` itself, or for a bundle the path of its host.gguf (in the arena). NULL and `err`
// for a folder that is not a bundle.
const char *model_file_of(const char *path, Arena *arena, Err *err);

#endif
