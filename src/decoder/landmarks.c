#include "decoder/landmarks.h"

const char *const landmark_names[LANDMARK_COUNT] = {
#define LANDMARK(name, doc) [LANDMARK_##name] = #name,
#include "decoder/landmarks.def"
#undef LANDMARK
};

LandmarkPlace landmark_named(Str name) {
    int place = 0;
    while (place < LANDMARK_COUNT && !str_is(name, landmark_names[place])) place++;
    return (LandmarkPlace)place;
}
