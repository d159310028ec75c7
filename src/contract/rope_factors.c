#include "contract/rope_factors.h"

const char *const rope_factors_names[ROPE_FACTORS_COUNT] = {
    [ROPE_FACTORS_AUTO] = "auto",
    [ROPE_FACTORS_SHORT] = "short",
    [ROPE_FACTORS_LONG] = "long",
};

bool rope_factors_named(Str name, RopeFactors *out) {
    for (int i = 0; i < ROPE_FACTORS_COUNT; i++)
        if (str_is(name, rope_factors_names[i])) {
            *out = (RopeFactors)i;
            return true;
        }
    return false;
}
