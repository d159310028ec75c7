// device_trial.h — loads and runs a bundle once, in a process that may crash: `lathe coreml-worker
// --try BUNDLE`.
#ifndef LATHE_RUNTIME_DEVICE_TRIAL_H
#define LATHE_RUNTIME_DEVICE_TRIAL_H

#include "base/err.h"

// Opens every function of the bundle in the folder `dir` on Core ML, tests the states (state_test.h:
// decode and prefill run), runs the head, and prints how long each took (coreml_prepare.h: COREML_RAN).
bool device_trial(const char *dir, Err *err);

#endif
