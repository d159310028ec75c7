// mutants.h — the ways to misread a model: other readings of the same file, close to the stated
// one.
//
// Every row of mutants.def is a misreading that has happened or easily could: a factor left out, a
// default in place of a key, the other rotary style, rows of a stacked tensor in another order. A
// misreading keeps every tensor's shape, so nothing but the weights themselves can object. Two
// users: the vote scores a text under the stated reading and under each of these, and `verify
// --mutants` feeds them to the compiler to see that a gate objects.
#ifndef LATHE_CONTRACT_MUTANTS_H
#define LATHE_CONTRACT_MUTANTS_H

#include "contract/contract.h"

// Where a likelihood can tell the misreading from the truth.
typedef enum {
    SEEN_SHORT,      // on any text within the original context
    SEEN_LONG,       // only at positions after it, or with the factors that apply there
    SEEN_EVERYWHERE, // on both, and positions after it may show more
} MutantSight;

typedef struct {
    const char *name;
    FieldId field; // what is suspect when this reading fits better
    MutantSight sight;
    const char *doc;
} ContractMutant;

// A file as somebody read it. Lists and layers are views into the arena it was made in and into the
// true model's.
typedef struct {
    Model model;
    // Query head h reads kv head h % n_kv_heads, not h / (n_heads / n_kv_heads).
    bool tiles_kv_heads;
} Reading;

const ContractMutant *contract_mutant_at(size_t i); // NULL past the last
const ContractMutant *contract_mutant_named(Str name);

// Makes of `truth` what the mutant would read. False when that is no other reading of this model:
// the field has no such value here, or already has it.
bool contract_mutant_apply(const ContractMutant *mutant, const Model *truth, Reading *out,
                           Arena *arena);

#endif
