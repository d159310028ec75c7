// chips.h — Apple's chips by name, and which convolutions their Neural Engines stream at half speed.
//
// The notch: each of the engine's 16 cores streams the weights of its part of the output channels,
//
//     share = ceil(rows / 16) · bytes of a row, as packed (int8: one a weight)
//
// and when the share lies near a multiple of 1 MiB, weights stream at only 0.32 to 0.61 of full
// speed. Only this product matters, not rows, inputs or addresses; results stay correct. Measured
// on M3 (eiln.github.io/posts/ane-dma), M4 (kasper0406/stablehlo-coreml, pull request 110) and M4
// Pro (kasper0406/gemma-coreml-chat): slow from 12 KiB below a multiple to 16 KiB above one, never
// below 1 MiB - 16 KiB; up to 8 MiB. Larger multiples are assumed to behave the same.
#ifndef LATHE_CHIPS_CHIPS_H
#define LATHE_CHIPS_CHIPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

typedef enum { NOTCH_CLEAR, NOTCH_UNKNOWN, NOTCH_HIT } ChipNotch;

typedef enum {
    CHIP_ANY, // none named
#define CHIP(name, ...) CHIP_##name,
#include "chips/chips.def"
#undef CHIP
    CHIP_COUNT
} ChipId;

typedef struct {
    const char *name, *label; // "m4pro", "M4 Pro"
    ChipNotch notch;
} Chip;
extern const Chip chips[CHIP_COUNT];

// False for an unknown name; "any" gives CHIP_ANY.
bool chip_named(Str name, ChipId *chip);

// The chip by the name that a machine reports, "Apple M4 Pro"; false, and `chip` unchanged, for an
// unknown name.
bool chip_labelled(Str text, ChipId *chip);

// "macos27", "macos27:m4": a system and, after a colon, a chip. `system` is a view into `target`;
// false when the text after the colon names no chip.
bool target_split(Str target, Str *system, ChipId *chip);

// Bits by ChipId: the chips on which the notch was measured.
enum {
    CHIPS_WITH_NOTCH = 0
#define CHIP(name, label, notch) | ((notch) == NOTCH_HIT ? 1 << CHIP_##name : 0)
#include "chips/chips.def"
#undef CHIP
};
// Whether the chip may have the notch: it was measured there (HIT), nobody measured (UNKNOWN), or
// no chip is named.
bool chip_may_have_notch(ChipId chip);

// Bytes of weights a core streams for `n_rows` output channels of `row_bytes` packed bytes each.
uint64_t notch_share(uint64_t n_rows, uint64_t row_bytes);
// Whether the share lies less than 64 KiB from a multiple of 1 MiB: four times the measured
// distance, as a margin.
bool notch_is_hit(uint64_t share);
// The fraction of the streaming speed that remains near a multiple, between the published 0.32 and
// 0.61.
#define NOTCH_SPEED 0.5

#endif
