// device_plan.h — where an engine plans to run the operations of a bundle: on the Neural Engine, or off it.
//
// A plan is asked for when a bundle is opened, of an engine that makes one (runner.h: plan). It says
// what the engine means to do on this machine. What is planned may still fail, or be slow: nothing
// here is a measurement, and the words of device_plan_print() say so.
//
// Counted is every operation that the engine gives a device for, as in placement/: convolutions are
// among the compute operations and apart.
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
    bool is_made; // the engine makes plans, and was asked
    bool has_ane; // the machine has a Neural Engine
    Err why;      // the engine could not say; kind ERR_NONE when it could
    uint32_t conv_ane, conv_total, compute_ane, compute_total; // over all functions
    PlannedOff *off; // [compute_total - compute_ane], in the order of packages
    size_t n_off;
};

// Asks for every function of every package. An engine that fails to answer ends nothing: plan->why.
void device_plan_make(DevicePlan *plan, const Shards *s);

// Whether everything is planned for the Neural Engine. ERR_SYSTEM, and what is not, otherwise.
bool device_plan_is_whole(const DevicePlan *plan, Err *err);

// "planned for the Neural Engine: conv 34/34, compute 412/420; off it: …": one line without its end,
// which names the first few operations that are off.
void device_plan_print(const DevicePlan *plan, StrBuf *out);

#endif
