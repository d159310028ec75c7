// impl.h — what the files of this folder share.
//
//     export.c          the steps, the folder
//     config_file.c     config.json, generation_config.json
//     rope.c            rotary settings in the form of config.json
//     tokenizer_file.c  tokenizer.json, tokenizer_config.json
//     names.c           weights by their names in a checkpoint
//     tensors.c         which rows of the model's tensors make which tensor of the checkpoint
//     safetensors.c     the files of weights
#ifndef LATHE_HUGGINGFACE_IMPL_H
#define LATHE_HUGGINGFACE_IMPL_H

#include <jansson.h>

#include "contract/contract.h"
#include "contract/weights.h"
#include "huggingface/export.h"
#include "tokenizer/tokenizer.h"

typedef struct {
    bool is_known;
    bool is_written; // lathe export-hf writes its folders
    // rotated pairs of q and k are neighbouring rows in the file, and rows of two halves in the
    // checkpoint
    bool permutes_pairs;
    bool norms_lack_one; // the class adds 1 to the weights of its norms, which the file has in them
    bool has_head_dim;   // its config has the key head_dim
    bool has_attention_bias; // and attention_bias, of all four projections
    bool has_window;         // and sliding_window
} HfForm;

const HfForm *hf_form(Architecture architecture); // NULL: unknown
// What names.def has for a weight: its name in the checkpoint, of a layer after "model.layers.N."; the name of
// the tensor that holds it and those that follow it in a stack. NULL where the class has none.
const char *hf_weight_name(Architecture architecture, WeightRole role);
const char *hf_stack_name(Architecture architecture, WeightRole first);
// The weight of a name, of a stack the first of its weights; WEIGHT_COUNT when none has it.
WeightRole hf_weight_named(Architecture architecture, bool is_layer, Str name, bool *is_stack);

// config.json and generation_config.json as objects; NULL when the class cannot express the contract.
json_t *hf_config(const Contract *c, const HfForm *form, HfFloat number, Arena *arena, Err *err);
json_t *hf_generation_config(const Contract *c);
// Adds the rotary settings to config.json.
bool hf_config_rope(json_t *config, const Contract *c, Err *err);
// A float as the shortest decimal that reads back as the same float.
json_t *hf_real(float x);

json_t *hf_tokenizer(const Tokenizer *t, const Gguf *g, const Contract *c, Err *err);
json_t *hf_tokenizer_config(const Tokenizer *t, const Contract *c);

// A tensor of the checkpoint: the concatenated rows of up to three parts.
typedef struct {
    const char *name;
    Rows parts[3];       // tensor NULL: zeros
    uint32_t n_heads[3]; // for a part whose rotated pairs become halves; 0 otherwise
    size_t n_parts;
    size_t n_rows, n_cols; // n_cols 0: a vector of n_rows weights
    uint64_t offset;       // of its bytes in its file
    size_t file;           // the file it is in
} HfTensor;

typedef struct {
    HfTensor *at;
    size_t count, n_files;
    uint64_t n_bytes;
} HfTensors;

bool hf_list_tensors(HfTensors *out, const Model *m, const HfForm *form, Arena *arena, Err *err);
size_t hf_float_bytes(HfFloat number);
const char *hf_float_dtype(HfFloat number); // as config.json spells it, "float16"

// Writes the tensors into `dir`, and model.safetensors.index.json when there are several files.
bool hf_write_weights(const char *dir, HfTensors *tensors, HfFloat number, uint64_t shard_bytes,
                      const Progress *progress, Arena *arena, Err *err);

#endif
