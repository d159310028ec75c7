// fields.h — the rows of fields.def as data. Internal to contract/.
#ifndef LATHE_CONTRACT_FIELDS_H
#define LATHE_CONTRACT_FIELDS_H

#include "contract/contract.h"

typedef enum {
    KIND_U32,
    KIND_F32,
    KIND_BOOL,
    KIND_F32S,
    KIND_U32S,
    KIND_TEXT,
    KIND_Architecture,
    KIND_NormKind,
    KIND_RopeStyle,
    KIND_RopeScaling,
    KIND_Activation,
    KIND_QkNorm,
    KIND_NormPlacement,
    KIND_SpacePrefix,
    KIND_COUNT,
} FieldKind;

typedef enum {
    PLACE_NOWHERE,
    PLACE_ARCH_KEY, // the key follows the architecture's name and a dot
    PLACE_KEY,
    PLACE_TENSOR,
    PLACE_LAYER_TENSOR, // the name follows "blk.N."
} FieldPlace;

typedef enum {
    COMPARISON_EXACT,
    COMPARISON_NEAR,
    COMPARISON_AS_USED,
    COMPARISON_COVERED,
    COMPARISON_IF_USED,
} FieldComparison;

typedef struct {
    const char *name, *unit, *key, *hf_key, *doc;
    FieldKind kind;
    size_t at;     // in Contract, or in its first LayerKind
    bool is_layer; // each kind of layers has its own
    FieldPlace place;
    double least, most;
    FieldId most_of; // the field whose value is `most`; FIELD_COUNT: none
    FieldComparison comparison;
    bool is_shape;
} FieldRow;

extern const FieldRow field_rows[FIELD_COUNT];

// The greatest value that the field may have in `c`.
double field_most(const Contract *c, FieldId field);
// The value of a field; of a LAYER_FIELD that of the first kind of layers, or of kind `kind`.
const void *field_at(const Contract *c, FieldId field);
const void *field_at_kind(const Contract *c, FieldId field, uint32_t kind);
void *field_place(Contract *c, FieldId field); // field_at, to be written
void *field_place_of_kind(Contract *c, FieldId field, uint32_t kind);
// How many values a field has: 1, or one for each kind of layers.
uint32_t field_n_values(const Contract *c, FieldId field);
// Makes a kind of layers one that does not rotate.
void kind_drop_rope(LayerKind *k);

#endif
