// folder.h — a model as its publisher's folder holds it, read as a GGUF file is: config.json, tokenizer.json, weights
// in *.safetensors, and beside them generation_config.json, tokenizer_config.json, chat_template.jinja.
//
// What config.json says is read by contract/config*.c, which share nothing with the reader of GGUF files. It is then
// given the keys and tensors of a file of its architecture (contract_keys.h), as llama.cpp's converter would: rows of q
// and k in the order of the file, 1 added to norms that lack it, factors of rotations as tensors. So everything else
// reads one kind of model, and the contract that it reads is compared with config.json's, field by field, when the folder
// is opened. What has no place in a GGUF file is refused by name.
#ifndef LATHE_HUGGINGFACE_FOLDER_H
#define LATHE_HUGGINGFACE_FOLDER_H

#include "contract/stated.h"
#include "gguf/gguf.h"

// A directory with config.json and without chain.json, which bundles have.
bool hf_is_folder(const char *path);
// A directory that is no folder of Hugging Face: a bundle, where it is anything.
bool path_is_bundle(const char *path);

// Opens the model at `path`, a folder or a GGUF file (any part of a split one), as gguf_open() does. Weights are views
// of the mapped files but for those that are held otherwise there; they are copied into `arena`. The parts of `g` are
// the folder's files, in the order in which they are digested.
bool model_open(Gguf *g, Arena *arena, const char *path, Err *err);

// The folder's files that `given` does not name; nothing where `path` is no folder.
void hf_companions(ConfigFiles *given, const char *path, Arena *arena);

#endif
