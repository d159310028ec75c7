// arch.h — the rows of archs.def as data: facts of an architecture that no key of a file states.
// Internal to contract/.
#ifndef LATHE_CONTRACT_ARCH_H
#define LATHE_CONTRACT_ARCH_H

#include "contract/contract.h"

typedef struct {
    NormKind norm;
    QkNorm qk_norm;
    NormPlacement norm_placement;
    float norm_offset; // added to the file's norm weights
    Activation activation;
    float attn_softcap, final_softcap; // 0: none
    float embedding_scale, residual_scale, logit_scale;
    RopeStyle rope_style;
    bool rotates_whole_heads; // rope_dim can be nothing but head_dim
    bool has_window_key;      // every file says how far a query sees, if only that it sees all
    bool may_stack_gate_up;   // ffn_up.weight may hold the gate's rows and up's
    const char *name;         // general.architecture
    const char *families;     // that it is used for
    const char *rope_reason;  // where rope_style comes from
} ArchInfo;

extern const ArchInfo arch_infos[ARCH_COUNT];
const ArchInfo *arch_named(Str name); // NULL for a name that is not known
// "llama (Llama, Mistral, SmolLM) and phi3 (…)", in the arena.
Str arch_list(Arena *arena);

// A class of transformers: what it computes where config.json does not say.
typedef struct {
    const char *model_type, *name;
    Architecture architecture;
    uint32_t window_unless_stated; // 0: every earlier position is seen
    bool reads_attention_bias;     // others have no biases, whatever the key says
} HfClass;

// By model_type, or by the class's name where `model_type` is empty. NULL when not known.
const HfClass *hf_class_named(Str model_type, Str name);
// "llama, mistral and phi3", in the arena.
Str hf_class_list(Arena *arena);

#endif
