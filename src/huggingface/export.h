// export.h — a GGUF model as a folder that transformers loads: config.json, generation_config.json,
// tokenizer.json, tokenizer_config.json, chat_template.jinja, and its weights as safetensors.
//
// transformers computes from the folder what the contract states. What a class of transformers
// cannot express is refused by name. Nothing is approximated except the weights, by the number
// format that the job asks for.
#ifndef LATHE_HUGGINGFACE_EXPORT_H
#define LATHE_HUGGINGFACE_EXPORT_H

#include "base/progress.h"
#include "gguf/settings.h"

typedef enum { HF_F16, HF_BF16, HF_F32 } HfFloat;

typedef struct {
    const char *model_path; // GGUF
    const char *out_path;   // a directory that does not exist yet
    HfFloat number;
    // maximum bytes of weights per file; a larger tensor gets a file of its own
    uint64_t shard_bytes;
    GgufSettings settings;
} HfExportJob;

// Writes the folder, or nothing: it is built beside `out_path` and renamed when it is whole.
bool hf_export(const HfExportJob *job, const Progress *progress, Err *err);

// "f16", "bf16", "f32". False for another name.
bool hf_float_named(const char *name, HfFloat *number);

#endif
