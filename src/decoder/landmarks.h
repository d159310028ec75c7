// landmarks.h — places inside a decoder layer, by name: where a checker may look into a program.
//
// The compiler knows which of its values stands where and chain.json passes it on, so that whoever
// checks need not recognise a graph. A gate's verdict never rests on it alone: what leaves a shard
// is compared by its port.
#ifndef LATHE_DECODER_LANDMARKS_H
#define LATHE_DECODER_LANDMARKS_H

#include "base/str.h"

typedef enum {
#define LANDMARK(name, doc) LANDMARK_##name,
#include "decoder/landmarks.def"
#undef LANDMARK
    LANDMARK_COUNT,
} LandmarkPlace;

extern const char *const landmark_names[LANDMARK_COUNT];

// LANDMARK_COUNT for a name there is not.
LandmarkPlace landmark_named(Str name);

#endif
