// device_trial.h — a bundle loaded and run once, in a process whose end is no loss: what
// `lathe coreml-worker --try BUNDLE` does.
#ifndef LATHE_RUNTIME_DEVICE_TRIAL_H
#define LATHE_RUNTIME_DEVICE_TRIAL_H

#include "base/err.h"

// Opens every function of the bundle in the folder `dir` on Core ML, tests the states (state_test.h:
// decode and prefill run), runs the head, and prints how long each took (coreml_prepare.h: COREML_RAN).
bool device_trial(const char *dir, Err *err);

#endif
