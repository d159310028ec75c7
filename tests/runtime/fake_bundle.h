// fake_bundle.h — a bundle of two packages without files, and an engine that records what it is
// asked to do: for tests of whoever runs packages.
//
// The model has rows of two numbers and five tokens; token t embeds as (t, t + 0.5). A package adds
// its residual factor (2, then 4) to each number of a row: it adds 1 to what it is handed, which is
// divided by the factor. A logit is the sum of what the head is handed, plus the token's number.
#ifndef LATHE_TESTS_RUNTIME_FAKE_BUNDLE_H
#define LATHE_TESTS_RUNTIME_FAKE_BUNDLE_H

#include "runtime/shards.h"

enum {
    FAKE_WIDTH = 2,
    FAKE_VOCAB = 5,
    FAKE_ROWS = 8, // of prefill
    FAKE_SLOTS = 28,
    FAKE_CONTEXT = 20,
    FAKE_PACKAGES = 2,
    FAKE_MOST_CALLS = 64,
};

typedef struct {
    int package;
    char function[16];
    uint32_t n_rows;
    int32_t kv_begin, kv_end;
    float first_mask; // of the mask that it was given
} FakeCall;

typedef struct {
    Arena arena;
    Bundle bundle;
    Package packages[FAKE_PACKAGES];
    // What happened, over all runners of the bundle.
    FakeCall calls[FAKE_MOST_CALLS];
    size_t n_calls, n_opened, n_closed, n_states, n_resets, n_copied_slots;
    bool fails;        // the next run does
    bool spoils;       // the next run gives rows that are not finite
    const char *lacks; // a port that functions of layers do not have
    bool is_one;       // decode takes FAKE_ROWS rows: fake_bundle_make_one()
    bool names_kinds;  // the second package's tables are those of layers of kind 1
    // What functions of fake_device write into the one state of each package: a number a slot.
    float slots[FAKE_PACKAGES][FAKE_SLOTS];
    int loses_slots_of;   // this package's state keeps the last write alone; -1: none
    int ignores_slots_of; // this package's state keeps no write; -1: none
    // What fake_device plans in each function: a convolution and a product.
    RunnerDevice conv_device, product_device;
    bool lacks_ane, has_no_plan;
} FakeBundle;

// One at a time: the engine has no other way to find it.
FakeBundle *fake_bundle_open(void);
// As --functions one makes it: decode takes FAKE_ROWS rows, and there is no prefill.
void fake_bundle_make_one(FakeBundle *b);
void fake_bundle_close(FakeBundle *b);

// The row of a table of engines.
extern const EngineInfo fake_engine;
// The same, with states that can be read, and plans.
extern const EngineInfo fake_device;

#endif
