// conversion.h — conversions that make mutants: the steps of convert/, one of them wrong. Internal
// to mutants/.
//
// A misreading is compiled in place of the contract. Every other mutant changes a file after the
// true shard was recorded for chain.json, and before digests are computed.
#ifndef LATHE_MUTANTS_CONVERSION_H
#define LATHE_MUTANTS_CONVERSION_H

#include "contract/mutants.h"
#include "mutants/bundle_mutants.h"

typedef struct {
    ConvertSteps steps;
    const Model *truth;
    const BundleMutant *mutant; // one of the two
    const Reading *reading;
    bool *is_put; // set once something on disk was changed, and for mutants of the host
} MutantConversion;

// `mutant` or `reading` is NULL; `truth` is the model as its file states it. All must outlive the
// conversion.
void mutant_conversion(MutantConversion *m, const Model *truth, const BundleMutant *mutant,
                       const Reading *reading, bool *is_put);

#endif
