#include "chips/chips.h"

#include <string.h>

const Chip chips[CHIP_COUNT] = {
    [CHIP_ANY] = {"any", "any chip", NOTCH_UNKNOWN},
#define CHIP(name, label, notch) [CHIP_##name] = {#name, label, notch},
#include "chips/chips.def"
#undef CHIP
};

enum { N_CORES = 16 };
#define NOTCH_STEP  (UINT64_C(1) << 20)
#define NOTCH_GUARD (UINT64_C(64) << 10)

bool chip_named(Str name, ChipId *chip) {
    for (int i = 0; i < CHIP_COUNT; i++)
        if (str_is(name, chips[i].name)) {
            *chip = (ChipId)i;
            return true;
        }
    return false;
}

bool chip_labelled(Str text, ChipId *chip) {
    const Str maker = STR("Apple ");
    if (!str_starts(text, maker)) return false;
    for (int i = CHIP_ANY + 1; i < CHIP_COUNT; i++)
        if (str_is((Str){text.at + maker.len, text.len - maker.len}, chips[i].label)) {
            *chip = (ChipId)i;
            return true;
        }
    return false;
}

bool target_split(Str target, Str *system, ChipId *chip) {
    const char *colon = target.len ? memchr(target.at, ':', target.len) : NULL;
    *chip = CHIP_ANY;
    *system = target;
    if (!colon) return true;
    system->len = (size_t)(colon - target.at);
    return chip_named((Str){colon + 1, target.len - system->len - 1}, chip);
}

bool chip_may_have_notch(ChipId chip) {
    return chips[chip].notch != NOTCH_CLEAR;
}

uint64_t notch_share(uint64_t n_rows, uint64_t row_bytes) {
    return (n_rows + N_CORES - 1) / N_CORES * row_bytes;
}

bool notch_is_hit(uint64_t share) {
    uint64_t above = share % NOTCH_STEP, below = NOTCH_STEP - above;
    return (share >= NOTCH_STEP && above < NOTCH_GUARD) || below < NOTCH_GUARD;
}
