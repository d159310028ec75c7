// device.h — judge a bundle on a device: `lathe verify BUNDLE --engine coreml`.
//
// The gates of bundle/device_gates.def run the packages on the job's engine and compare with
// lathe's own engine or the reference. Their results are valid only for that machine (chip, build
// of the system, version of the framework) and are kept apart from the proof: in verify/device.json
// and in the seal's member "device". No seal is made or removed.
#ifndef LATHE_VERIFY_DEVICE_H
#define LATHE_VERIFY_DEVICE_H

#include "proof/job.h"

// Runs the gates that job->gates names (NULL: all) on job->engine, one with ENGINE_IS_DEVICE. Returns
// false with ERR_GATE when one failed, after the record was written. ERR_SYSTEM when the device
// could not load the bundle: nothing is recorded then.
bool verify_device(const VerifyJob *job, Err *err);

#endif
