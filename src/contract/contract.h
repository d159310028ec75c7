// contract.h — what a model means: every number that gives the weights their meaning, each with its
// source.
//
// The contract is read once, completely. A value comes from a key, from a tensor, from a tensor's
// shape, from the architecture (a fact of its row in archs.def), or from a derivation that is printed
// as such with its rule. There are no silent defaults. Every key and every tensor of the file is
// consumed, or listed as harmless with the reason, or an error that names it. Contradictions
// between keys and shapes are errors.
#ifndef LATHE_CONTRACT_CONTRACT_H
#define LATHE_CONTRACT_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "gguf/gguf.h"

typedef enum {
#define ARCH(id, ...) ARCH_##id,
#include "contract/archs.def"
#undef ARCH
    ARCH_COUNT,
} Architecture;
typedef enum {
    NORM_RMS,   // w · x / sqrt(mean(x²) + eps)
    NORM_LAYER, // the same of x - mean(x), plus a bias where the file has one
} NormKind;
typedef enum {
    ROPE_HALF,        // dim i with dim i + rope_dim / 2 ("NeoX")
    ROPE_INTERLEAVED, // dim 2i with dim 2i + 1
} RopeStyle;
typedef enum {
    ROPE_SCALING_NONE,
    ROPE_SCALING_LINEAR,
    ROPE_SCALING_LLAMA3,
    ROPE_SCALING_YARN,
    ROPE_SCALING_LONGROPE
} RopeScaling;
typedef enum {
    ACTIVATION_SILU,
    ACTIVATION_GELU_TANH,
    ACTIVATION_RELU_SQUARED,
    // alpha_p x² + beta x where x > 0, else alpha_n (expm1(min(x, eps)) - x) + beta x: four numbers
    // a layer (Huang and Schlag 2024, arXiv 2411.13010)
    ACTIVATION_XIELU,
} Activation;
typedef enum {
    QK_NORM_NONE,
    QK_NORM_HEAD,         // each head by itself, before it rotates
    QK_NORM_WIDTH,        // all heads as one row, before they rotate
    QK_NORM_HEAD_ROTATED, // each head by itself, after it rotated
} QkNorm;
// A is attention, F feed-forward, n a norm with weights of its own.
typedef enum {
    NORM_PRE,      // x += A(n x); x += F(n x)
    NORM_POST,     // x += n A(x); x += n F(x)
    NORM_BOTH,     // x += n A(n x); x += n F(n x)
    NORM_PARALLEL, // x += A(n x) + F(n x), with one norm for both
} NormPlacement;
typedef enum { SPACE_PREFIX_NONE, SPACE_PREFIX_FIRST, SPACE_PREFIX_EACH } SpacePrefix;

#define NO_TOKEN UINT32_MAX

// Whether a token is spelt as structure is: `<|end|>`, `[INST]`, `</s>`; and single bytes,
// `<0x0A>`.
bool is_bracketed(Str token);

typedef struct {
    const float *at;
    size_t count;
} F32List;
typedef struct {
    const uint32_t *at;
    size_t count;
} U32List;

#define ENUM(T) T
#define U32     uint32_t
#define F32     float
#define BOOL    bool
#define F32S    F32List
#define U32S    U32List
#define TEXT    Str

// What layers may differ in: their window, rotary tables, norms, biases, activation. Most models have
// one kind of layers; some mix two, such as layers that see a window with layers that see all.
typedef struct {
#define FIELD(...)
#define LAYER_FIELD(name, type, ...) type name;
#include "contract/fields.def"
#undef LAYER_FIELD
#undef FIELD
} LayerKind;

enum { CONTRACT_MAX_KINDS = 4 };

typedef struct {
#define FIELD(name, type, ...) type name;
#define LAYER_FIELD(...)
#include "contract/fields.def"
#undef LAYER_FIELD
#undef FIELD
    LayerKind kinds[CONTRACT_MAX_KINDS]; // [contract_n_kinds()]; contract_layer() finds a layer's
} Contract;

#undef ENUM
#undef U32
#undef F32
#undef BOOL
#undef F32S
#undef U32S
#undef TEXT

typedef enum {
#define FIELD(name, ...)       FIELD_##name,
#define LAYER_FIELD(name, ...) FIELD_##name,
#include "contract/fields.def"
#undef LAYER_FIELD
#undef FIELD
    FIELD_COUNT,
} FieldId;

// Which norms a layer has: before attention, before feed-forward, after each of them.
static inline bool has_attn_norm(const LayerKind *k) {
    return k->norm_placement != NORM_POST;
}
static inline bool has_ffn_norm(const LayerKind *k) {
    return k->norm_placement == NORM_PRE || k->norm_placement == NORM_BOTH;
}
static inline bool has_post_norms(const LayerKind *k) {
    return k->norm_placement == NORM_POST || k->norm_placement == NORM_BOTH;
}

// Whether the packages can make what enters the down projection smaller: by up's rows, or by a constant
// of an activation that squares. Other activations without a gate make nothing larger than what they get.
static inline bool scales_what_it_makes(const LayerKind *k) {
    return k->is_gated || k->activation == ACTIVATION_XIELU ||
           k->activation == ACTIVATION_RELU_SQUARED;
}

uint32_t contract_n_kinds(const Contract *c); // 1 to CONTRACT_MAX_KINDS
// Which of them `layer` is of.
uint32_t contract_kind_of(const Contract *c, uint32_t layer);
const LayerKind *contract_layer(const Contract *c, uint32_t layer);
// Whether the rotary factors of some layers depend on how long the sequence is (LongRoPE).
bool contract_has_two_factor_sets(const Contract *c);

// Where a field's value came from.
typedef enum {
    SOURCE_NONE,
    SOURCE_KEY,
    SOURCE_TENSOR,
    SOURCE_SHAPE,
    SOURCE_ARCHITECTURE,
    SOURCE_DERIVED,
    SOURCE_SET // a key that the user gave a value (gguf/settings.h)
} SourceKind;
typedef struct {
    SourceKind kind;
    // The key's or tensor's name, the setting, or the rule: "sqrt(1 + ln(131072/4096) / ln 4096)".
    Str text;
} Source;

// Rows [first_row, first_row + n_rows) of a tensor: q, k and v may be one tensor in the file or
// three. A vector (norm weight, bias) is n_rows weights of one row. tensor NULL: the model has
// none.
typedef struct {
    const TensorInfo *tensor;
    size_t first_row, n_rows;
} Rows;

// One Rows a weight, as weights.def has them.
typedef struct {
#define MODEL_WEIGHT(...)
#define LAYER_WEIGHT(name, ...) Rows name;
#include "contract/weights.def"
#undef MODEL_WEIGHT
#undef LAYER_WEIGHT
} LayerWeights;

typedef struct {
#define MODEL_WEIGHT(name, ...) Rows name;
#define LAYER_WEIGHT(...)
#include "contract/weights.def" // head: the embedding's rows when tied
#undef MODEL_WEIGHT
#undef LAYER_WEIGHT
    LayerWeights *layers; // [n_layers]
} ModelWeights;

// A key or tensor that was seen and left unread on purpose.
typedef struct {
    Str name;
    Str reason;
} Harmless;

// The contract of one file with its evidence. Views into the Gguf and the arena it was read with.
typedef struct {
    Contract contract;
    Source sources[FIELD_COUNT];
    ModelWeights weights;
    const Harmless *harmless;
    size_t n_harmless;
} Model;

// Reads the contract of `g`. Errors name the key or tensor, what was found and what was expected.
bool model_read(Model *m, const Gguf *g, Arena *arena, Err *err);

// The class of transformers that reads models of an architecture (hf_classes.def: the first of several), and
// in `model_type` config.json's word for it. `architecture` has a class there.
const char *contract_hf_class(Architecture architecture, const char **model_type);

// "name = value" lines in table order, floats by the shortest decimal that reads back, lists in
// full: the text that the digest is taken over. It has no sources in it: two files with the same
// meaning have the same digest.
void contract_print(const Contract *c, StrBuf *out);
Sha256 contract_digest(const Contract *c);

// One field's value as contract_print prints it; "a | b" for kinds of layers that differ in it.
void contract_print_field(const Contract *c, FieldId field, StrBuf *out);
// The same for people, with the unit: "4 layers", "2 ids: 2016, 2037", "-" for an empty value. Values
// of more than `most` bytes are cut and end in "…".
void contract_show_field(const Contract *c, FieldId field, size_t most, StrBuf *out);
const char *field_name(FieldId field);
const char *field_unit(FieldId field);
const char *field_hf_key(FieldId field); // of config.json; empty when it has none
const char *field_doc(FieldId field);
const char *source_kind_name(SourceKind kind);

// The JSON object of a contract, { "field": value, … } in table order (jansson; the caller owns the
// reference). A field that kinds of layers differ in is {"by_kind": [value, …]}.
struct json_t;
struct json_t *contract_to_json(const Contract *c);
// Reads it back into `c`, strings and lists in the arena. Every field must be there and nothing
// else.
bool contract_from_json(Contract *c, const struct json_t *json, Arena *arena, Err *err);
// Whether models of both contracts have weights of the same shapes in the same order; the first
// field that says otherwise.
bool contract_has_shape_of(const Contract *a, const Contract *b, FieldId *field);
// Whether the numbers of a contract that came so go together: those that are divided by, that lists
// are indexed by, and that memory is taken for. A contract that model_read() gave always passes.
bool contract_check(const Contract *c, Err *err);

#endif
