// landmarks.h — named places inside a decoder layer, at which gates compare a program with the
// reference.
//
// The compiler knows which value is at which place and records it in chain.json, so that gates need
// not recognise a graph. No verdict depends on it alone: a shard's outputs are compared, too.
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

// LANDMARK_COUNT for an unknown name.
LandmarkPlace landmark_named(Str name);

#endif
