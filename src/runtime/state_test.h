// state_test.h — whether an engine keeps what functions write into the KV states.
//
// A device may lose such writes without an error; every answer is then wrong from the second token
// on. Public projects saw it with writes by slices, on one system and not on the one before it. So
// it is asked for, on every start, of an engine that may do so (runner.h: may_lose_states).
#ifndef LATHE_RUNTIME_STATE_TEST_H
#define LATHE_RUNTIME_STATE_TEST_H

#include "runtime/shards.h"

// Runs decode for slot 0, then for slot 1, then prefill for the slots after them, on made-up rows.
// After each, slots written before must hold what they held, and the new one must not be all zeros,
// in every state of every package. False and `err`, which names the package, the state and the cure.
// The states are zeros afterwards. True, and nothing is run, for other engines.
bool states_are_kept(Shards *s, Err *err);

#endif
