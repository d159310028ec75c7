// device_proof.h — results of the device gates on this machine (bundle/device_record.h).
#ifndef LATHE_RUNTIME_DEVICE_PROOF_H
#define LATHE_RUNTIME_DEVICE_PROOF_H

#include <jansson.h>

#include "bundle/bundle.h"
#include "runtime/runner.h"

// The member "machine" of a run of the record; a new reference.
json_t *device_machine_json(const RunnerMachine *m);

// "Apple M4 Pro, macOS 27.0 (26A1), Core ML 3400.1"
void device_machine_print(const RunnerMachine *m, StrBuf *out);

typedef struct {
    bool has_failed; // a gate failed on this machine
    Str text; // one line, in the arena: which gates passed, failed, or have not run here, and the
              // command that runs them
} DeviceProof;

// For a bundle that is to run on `m`. An absent or damaged record, or one of other packages, gives
// no results.
DeviceProof device_proof_read(const Bundle *bundle, const RunnerMachine *m, Arena *arena);

#endif
