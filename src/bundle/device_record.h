// device_record.h — what gates found on devices: BUNDLE/verify/device.json, one run a machine.
//
// The proof behind a seal was made with lathe's own engine and holds for every machine. A device's
// results hold for one chip, one build of the system and one version of the framework. They are
// therefore kept apart: in a file of their own, and in the seal's member "device", on which no part
// of the proof depends. A run replaces the previous run of the same machine. Runs over another
// chain.json do not count and are dropped.
#ifndef LATHE_BUNDLE_DEVICE_RECORD_H
#define LATHE_BUNDLE_DEVICE_RECORD_H

#include <jansson.h>

#include "bundle/chain.h"

enum { DEVICE_SCHEMA = 1, DEVICE_MOST_RUNS = 64 };

// Adds `run`, whose member "machine" names the machine, to the record. Takes no reference.
bool device_record_add(const char *dir, const Chain *chain, json_t *run, Err *err);

// For the seal: [{machine, tool, build, passed, gates: {name: verdict}}], a new reference; JSON's null
// when there is no run over this chain.json.
json_t *device_record_summary(const char *dir, const Chain *chain);

// The member of that list for `machine`; a new reference. JSON's null when there is no run of it
// over this chain.json.
json_t *device_record_of(const char *dir, const Chain *chain, const json_t *machine);

// Whether two members "machine" of the record mean the same machine: same chip, model, build of the
// system and version of the framework, and both or neither is a device.
bool device_is_same(const json_t *a, const json_t *b);

#endif
