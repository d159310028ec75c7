// arch.h — the rows of archs.def as data: facts of an architecture that no key of a file states.
// Internal to contract/.
#ifndef LATHE_CONTRACT_ARCH_H
#define LATHE_CONTRACT_ARCH_H

#include <assert.h>

#include "contract/contract.h"

// A set of fields.
static_assert(FIELD_COUNT <= 64, "a bit for each field");
#define HAS(field) (UINT64_C(1) << FIELD_##field)

// Which layers rotate queries and keys.
typedef enum { ROPE_ON_ALL, ROPE_OFF_ON_LAST } RopeLayers;

typedef struct {
    NormKind norm;
    QkNorm qk_norm;
    NormPlacement norm_placement;
    const char *ffn_norm; // tensor of the norm before feed-forward; NULL: as weights.def has it
    float norm_offset;    // added to the file's norm weights
    Activation activation;
    bool is_ungated;
    bool may_stack_gate_up; // ffn_up.weight may hold the gate's rows and up's
    // Biases, scales and softcaps, by their fields: those without which a file has lost something,
    // and those that it may have or not. Any other tensor or key of theirs is refused.
    uint64_t must_have, may_have;
    float attn_softcap, final_softcap; // where the file does not say; 0: none
    bool embeds_by_root_d;             // embedding rows times sqrt(d_model)
    bool has_two_scales;               // of scores, by a size that no key states
    bool divides_logits;               // by the key of logit_scale, which elsewhere multiplies them
    RopeStyle rope_style;
    bool rotates_whole_heads;      // rope_dim can be nothing but head_dim
    float rope_base_unless_stated; // 0: every file must state it
    // Of each `period` layers the last is of another kind: it sees everything where the others have
    // a window, or it does not rotate. 0: all layers are alike.
    uint32_t period;
    RopeLayers rope_layers;
    bool has_windows;    // of a period; elsewhere a window is every layer's
    bool has_window_key; // every file says how far a query sees, if only that it sees all
    bool has_local_base; // layers with a window have a rotary base of their own …
    float local_base;    // … and this one where the file does not say; 0: the other layers'
    bool stretches_global_only; // rotary scaling is of layers without a window
    bool finetuned_is_rope;     // rope.scaling.finetuned false: nothing rotates
    bool divides_magnitude;     // of yarn, by what rope.scaling.yarn_log_multiplier says
    // Sizes of models that have the name and compute something else, which no key says; 0: none.
    uint32_t other_layers, other_vocab;
    const char *other;       // what they compute
    const char *name;        // general.architecture
    const char *families;    // that it is used for
    const char *rope_reason; // where rope_style comes from
} ArchInfo;

extern const ArchInfo arch_infos[ARCH_COUNT];
// Why lathe refuses an architecture that it knows by name; NULL for one that it reads, and one that it does not know.
const char *arch_unsupported(Str name);
const ArchInfo *arch_named(Str name); // NULL for a name that is not known
// "llama (Llama, Mistral, SmolLM) and phi3 (…)", in the arena.
Str arch_list(Arena *arena);

// A class of transformers: under which keys config.json tells it what, and what it computes where the
// file is silent.

// Which layers have the window that sliding_window states, where layer_types does not say it.
typedef enum {
    HF_WINDOW_ON_ALL,
    HF_WINDOW_BY_PERIOD,  // of each `period` layers the last has none
    HF_WINDOW_FROM_LAYER, // those from max_window_layers on
    HF_WINDOW_OFF_ROPE,   // those that do not rotate
} HfWindows;
// Which layers rotate.
typedef enum {
    HF_ROPE_ON_ALL,
    HF_ROPE_WITH_WINDOW,        // those that have a window
    HF_ROPE_WITH_WINDOW_IF_ANY, // the same; without a window all
    HF_ROPE_BY_LIST,            // no_rope_layers, where 1 means that a layer rotates
} HfRope;

#define HF_ALWAYS "" // for a key of biases: they are there whatever the file says

typedef struct {
    const char *model_type, *name;
    Architecture architecture;
    // The part text_config is read by the class of this model_type; NULL: no part. By the other one
    // where the part says so.
    const char *text, *other_text;
    const char *other_names; // a JSON object: names that keys have as well (attribute_map)
    const char *defaults;    // a JSON object: values of keys that are absent
    // Keys. Of biases NULL means that there are none.
    const char *eps;     // NULL: rms_norm_eps
    const char *context; // overrules max_position_embeddings; NULL: no such key
    const char *qkv_bias, *out_bias, *mlp_bias;
    bool window_must_be_used; // sliding_window counts only with use_sliding_window true
    HfWindows windows;
    uint32_t period;
    HfRope rope;
    float local_rope_base; // where a layer with a window has a rotation of its own; 0: it has not
    bool stretches_base;   // rope type "dynamic" with an alpha multiplies the base, at every length
    bool gelu_is_tanh;     // "gelu" means its tanh form
} HfClass;

// By model_type, or by the class's name where `model_type` is empty. NULL when not known.
const HfClass *hf_class_named(Str model_type, Str name);
// "llama, mistral and phi3", in the arena.
Str hf_class_list(Arena *arena);

#endif
