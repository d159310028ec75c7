// device_plan.h — where an engine plans to run the operations of a bundle: on the Neural Engine or
// elsewhere.
//
// When a bundle is opened on an engine that makes plans (runner.h: plan), it is asked for one. A
// plan says what the engine intends to do on this machine. It may still fail or be slow: nothing
// here is a measurement, and device_plan_print() says so.
//
// As in placement/, every operation for which the engine names a device counts; convolutions count
// among the compute operations and also separately.
#ifndef LATHE_RUNTIME_DEVICE_PLAN_H
#define LATHE_RUNTIME_DEVICE_PLAN_H

#include "base/str.h"
#include "runtime/shards.h"

// An operation that is planned for another device than the Neural Engine.
typedef struct {
    Str function;
    Str op;     // "ios18.matmul"
    Str output; // the name of its first result, which begins with its layer's
    RunnerDevice device;
} PlannedOff;

struct DevicePlan {
    Arena *arena; // the caller's, set before; holds the rest
    bool is_made; // the engine made a plan
    bool has_ane; // the machine has a Neural Engine
    Err why;      // why the engine could not plan; kind ERR_NONE when it could
    uint32_t conv_ane, conv_total, compute_ane, compute_total; // over all functions
    PlannedOff *off; // [compute_total - compute_ane], in the order of packages
    size_t n_off;
};

// Asks for every function of every package. If the engine cannot answer, plan->why says so; the
// call does not fail.
void device_plan_make(DevicePlan *plan, const Shards *s);

// Whether everything is planned for the Neural Engine; otherwise ERR_SYSTEM, naming what is not.
bool device_plan_is_whole(const DevicePlan *plan, Err *err);

// "planned for the Neural Engine: conv 34/34, compute 412/420; off it: …": one line without its end,
// which names the first few operations that are off.
void device_plan_print(const DevicePlan *plan, StrBuf *out);

#endif
