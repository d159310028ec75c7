// chips.h — Apple's chips by name, and which convolutions their Neural Engines stream at half speed.
//
// The notch: each of the engine's 16 cores streams the weights of its part of the output channels,
//
//     share = ceil(rows / 16) · bytes of a row, as packed (int8: one a weight)
//
// and when the share lies near a multiple of 1 MiB the stream falls to 0.32 to 0.61 of its speed.
// Only this product counts, not rows, inputs or addresses; numbers stay right. Measured on M3
// (eiln.github.io/posts/ane-dma), M4 (kasper0406/stablehlo-coreml, pull request 110) and M4 Pro
// (kasper0406/gemma-coreml-chat): slow from 12 KiB below a multiple to 16 KiB above one, never
// below 1 MiB - 16 KiB; up to 8 MiB. Larger multiples are taken to be the same.
#ifndef LATHE_CHIPS_CHIPS_H
#define LATHE_CHIPS_CHIPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

typedef enum { NOTCH_CLEAR, NOTCH_UNKNOWN, NOTCH_HIT } ChipNotch;

typedef enum {
    CHIP_ANY, // not said
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

// False for a name that is none; "any" is CHIP_ANY.
bool chip_named(Str name, ChipId *chip);

// The chip that a machine calls itself, "Apple M4 Pro"; false, and `chip` as it was, for another.
bool chip_labelled(Str text, ChipId *chip);

// "macos27", "macos27:m4": a system and, after a colon, a chip. `system` is a view into `target`;
// false when what follows the colon is no chip.
bool target_split(Str target, Str *system, ChipId *chip);

// Bits by ChipId: where it was measured.
enum {
    CHIPS_WITH_NOTCH = 0
#define CHIP(name, label, notch) | ((notch) == NOTCH_HIT ? 1 << CHIP_##name : 0)
#include "chips/chips.def"
#undef CHIP
};
// A chip that may be hit: HIT, UNKNOWN, or any.
bool chip_may_have_notch(ChipId chip);

// Bytes of weights a core streams for `n_rows` output channels of `row_bytes` packed bytes each.
uint64_t notch_share(uint64_t n_rows, uint64_t row_bytes);
// Whether it lies within 64 KiB of a multiple of 1 MiB: four times what was measured, for a guard.
// Exactly 64 KiB away is clear.
bool notch_is_hit(uint64_t share);
// What is left of the stream's speed there, between the published 0.32 and 0.61.
#define NOTCH_SPEED 0.5

#endif
