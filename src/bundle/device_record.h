// device_record.h — what gates found on devices: BUNDLE/verify/device.json, one run a machine.
//
// The proof that a seal is over was made by lathe's own engine and holds for every machine. What a
// device gave holds for one chip, one build of the system and one version of the framework, so it
// is kept apart: in a file of its own, and in the seal's member "device", which nothing of the proof
// depends on. A run replaces the one before it of the same machine. Runs over another chain.json do
// not count and are dropped.
#ifndef LATHE_BUNDLE_DEVICE_RECORD_H
#define LATHE_BUNDLE_DEVICE_RECORD_H

#include <jansson.h>

#include "bundle/chain.h"

enum { DEVICE_SCHEMA = 1, DEVICE_MOST_RUNS = 64 };

// Puts `run` (its member "machine" says whose) into the record. Takes no reference.
bool device_record_add(const char *dir, const Chain *chain, json_t *run, Err *err);

// For the seal: [{machine, tool, build, passed, gates: {name: verdict}}], a new reference; JSON's null
// when there is no run over this chain.json.
json_t *device_record_summary(const char *dir, const Chain *chain);

// What the run of `machine` found, as a member of that list; a new reference. JSON's null when it made none
// over this chain.json.
json_t *device_record_of(const char *dir, const Chain *chain, const json_t *machine);

// Whether two of the record's members "machine" are one machine: chip, build of the system, version of
// the framework, and whether it is a device at all.
bool device_is_same(const json_t *a, const json_t *b);

#endif
