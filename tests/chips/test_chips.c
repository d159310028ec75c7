// The notch against what others measured, and chips by name.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/size.h"
#include "chips/chips.h"

// Convolutions that were timed: rows, inputs, bits a weight, and whether they ran at half speed.
// EY = eiln.github.io/posts/ane-dma (M3); KS = kasper0406/stablehlo-coreml pull request 110 (M4);
// KG = kasper0406/gemma-coreml-chat (M4 Pro); FG = Anemll/anemll-forge, RESULTS_M5_MAX (M5 Max).
static void test_what_was_measured(void **state) {
    (void)state;
    static const struct {
        const char *what;
        uint32_t rows, inputs, bits;
        bool is_hit;
    } rows[] = {
        {"KS 840 us: 1 MiB", 2048, 4096, 16, true},
        {"KS 430 us: its halves", 1024, 4096, 16, false},
        {"KS 1142 us: 2 MiB", 4096, 4096, 16, true},
        {"KS 1350 us: 2 MiB", 2048, 8192, 16, true},
        {"KS 3522 us: 7 MiB", 4096, 14336, 16, true},
        {"KG 13.6 ms: 8 slices of int8", 262144 / 8, 1536, 8, true},
        {"KG 5.66 ms: 9 slices", 262144 / 9 + 1, 1536, 8, false},
        {"KG 5.67 ms: 10 slices", 262144 / 10 + 1, 1536, 8, false},
        {"KG 5.80 ms: 8 slices, half the inputs", 262144 / 8, 768, 8, false},
        {"KG 13.7 ms: 8 slices, a third of the inputs", 262144 / 8, 512, 8, true},
        {"KG: what it ships, 16 slices", 16384, 1536, 8, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t share = notch_share(rows[i].rows, (uint64_t)rows[i].inputs * rows[i].bits / 8);
        if (notch_is_hit(share) != rows[i].is_hit) print_message("%s\n", rows[i].what);
        assert_int_equal(notch_is_hit(share), rows[i].is_hit);
    }
}

// The guard is 64 KiB each side; it holds all that was measured as slow (12 KiB below a multiple to
// 16 KiB above), and nothing is hit below the first one.
static void test_edges(void **state) {
    (void)state;
    enum { KIB = 1024, MIB = 1024 * KIB };
    assert_false(notch_is_hit(0));
    assert_false(notch_is_hit(63 * KIB));
    for (uint64_t n = 1; n <= 16; n++) {
        uint64_t at = n * MIB;
        assert_true(notch_is_hit(at));
        assert_true(notch_is_hit(at - 12 * KIB) && notch_is_hit(at + 16 * KIB));
        assert_true(notch_is_hit(at - 64 * KIB + 1) && notch_is_hit(at + 64 * KIB - 1));
        assert_false(notch_is_hit(at - 64 * KIB) || notch_is_hit(at + 64 * KIB));
        assert_false(notch_is_hit(at + MIB / 2));
    }
}

// A core takes whole channels: the seventeenth row costs each a second one.
static void test_share(void **state) {
    (void)state;
    assert_int_equal(notch_share(16, 100), 100);
    assert_int_equal(notch_share(17, 100), 200);
    assert_int_equal(notch_share(1, 100), 100);
    assert_int_equal(notch_share(16384, 3072), 3 << 20); // Phi-4-mini's gate and up, int8
}

static void test_targets_name_chips(void **state) {
    (void)state;
    static const struct {
        const char *text, *system;
        bool is_chip;
        ChipId chip;
    } cases[] = {
        {"macos27", "macos27", true, CHIP_ANY},
        {"macos27:any", "macos27", true, CHIP_ANY},
        {"macos26:m4pro", "macos26", true, CHIP_m4pro},
        {":m1", "", true, CHIP_m1},
        {"macos27:", "macos27", false, 0},
        {"macos27:m4 pro", "macos27", false, 0},
        {"macos27:M4", "macos27", false, 0},
        {"macos27:m4:m4", "macos27", false, 0},
        {"", "", true, CHIP_ANY},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Str system;
        ChipId chip;
        assert_int_equal(target_split(str_of(cases[i].text), &system, &chip), cases[i].is_chip);
        assert_true(str_is(system, cases[i].system));
        if (cases[i].is_chip) assert_int_equal(chip, cases[i].chip);
    }
}

static void test_machines_name_their_chips(void **state) {
    (void)state;
    ChipId chip = CHIP_ANY;
    assert_true(chip_labelled(STR("Apple M4 Pro"), &chip));
    assert_int_equal(chip, CHIP_m4pro);
    assert_false(chip_labelled(STR("M4"), &chip) || chip_labelled(STR("Apple M4 Pr"), &chip) ||
                 chip_labelled(STR("Apple any chip"), &chip) || chip_labelled(STR(""), &chip));
    assert_int_equal(chip, CHIP_m4pro);
}

static void test_chips_that_may_be_hit(void **state) {
    (void)state;
    assert_true(chip_may_have_notch(CHIP_ANY));
    assert_true(chip_may_have_notch(CHIP_m4) && chip_may_have_notch(CHIP_m4max));
    assert_false(chip_may_have_notch(CHIP_m1) || chip_may_have_notch(CHIP_m6));
    assert_int_equal(CHIPS_WITH_NOTCH, 1 << CHIP_m3 | 1 << CHIP_m4 | 1 << CHIP_m4pro);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_measured),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_targets_name_chips),
        cmocka_unit_test(test_machines_name_their_chips),
        cmocka_unit_test(test_chips_that_may_be_hit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
