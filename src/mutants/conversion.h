// conversion.h — a conversion that makes a mutant: the steps of convert/ with one of them wrong.
// Internal to mutants/.
//
// What is compiled is right or a misreading of the contract; what is written is changed after
// chain.json was told of the true shard, and before digests are taken.
#ifndef LATHE_MUTANTS_CONVERSION_H
#define LATHE_MUTANTS_CONVERSION_H

#include "contract/mutants.h"
#include "mutants/bundle_mutants.h"

typedef struct {
    ConvertSteps steps;
    const Model *truth;
    const BundleMutant *mutant; // one of the two
    const Reading *reading;
    bool *is_put; // set once something was changed, or is meant to be
} MutantConversion;

// `mutant` or `reading` is NULL; `truth`, the model as its file says it, and the others outlive the
// conversion.
void mutant_conversion(MutantConversion *m, const Model *truth, const BundleMutant *mutant,
                       const Reading *reading, bool *is_put);

#endif
