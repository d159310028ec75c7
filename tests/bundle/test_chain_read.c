// chain.json is believed in nothing: hello-phi3's, wrong in one named way at a time, is refused
// with a message that says where.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/size.h"
#include "bundle/chain.h"
#include "convert/convert.h"
#include "mlpackage/scratch.h"

static Scratch scratch;
static Arena arena;
static const char *bundle;
static json_t *right; // what convert wrote

static int make_bundle(void **state) {
    (void)state;
    Err err = {0};
    Chain chain;
    bundle = path_join(&arena, scratch.path, "m.lathe");
    ConvertJob job = {
        .model_path = LATHE_MODELS "/hello-phi3-q8_0.gguf",
        .out_path = bundle,
        .chosen = {[USE_context] = "128"},
        .options = {.prefill_rows = 64, .target = target_named("macos27"), .layers_per_shard = 2},
        .tool_version = "lathe test",
    };
    if (!bundle_convert(&chain, &arena, &job, &err)) fail_msg("%s", err.text);
    right = json_read_file(path_join(&arena, bundle, "chain.json"), &err);
    assert_non_null(right);
    return 0;
}

static int drop_bundle(void **state) {
    (void)state;
    json_decref(right);
    return 0;
}

static bool read_back(json_t *json, Err *err) {
    Arena scratch_arena = {0};
    Chain chain;
    assert_true(json_write_file(json, path_join(&scratch_arena, bundle, "chain.json"), NULL));
    bool ok = chain_read(&chain, &scratch_arena, bundle, err);
    arena_free(&scratch_arena);
    return ok;
}

// The member or item at `path` ("shards.0.layers"): its container, and the last step.
static json_t *find(json_t *json, const char *path, const char **last) {
    for (const char *dot; (dot = strchr(path, '.')); path = dot + 1) {
        char step[64];
        size_t n = (size_t)(dot - path);
        assert_true(n < sizeof step);
        memcpy(step, path, n);
        step[n] = 0;
        json = json_is_array(json) ? json_array_get(json, (size_t)atoi(step))
                                   : json_object_get(json, step);
        assert_non_null(json);
    }
    *last = path;
    return json;
}

// Puts the JSON text `value` at `path`; NULL removes what is there.
static void edit(json_t *json, const char *path, const char *value) {
    const char *last;
    json_t *at = find(json, path, &last);
    json_t *fresh = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
    assert_true(fresh || !value);
    if (json_is_array(at))
        assert_int_equal(fresh ? json_array_set_new(at, (size_t)atoi(last), fresh)
                               : json_array_remove(at, (size_t)atoi(last)),
                         0);
    else
        assert_int_equal(fresh ? json_object_set_new(at, last, fresh) : json_object_del(at, last),
                         0);
}

static void test_what_convert_writes_is_read(void **state) {
    (void)state;
    Err err = {0};
    if (!read_back(right, &err)) fail_msg("%s", err.text);
}

static const struct {
    const char *path, *value, *message;
} rows[] = {
    {"schema", "7", "schema 7, expected 11"},
    {"schema", "\"11\"", "member \"schema\": another type"},
    {"tool", NULL, "member \"tool\": absent"},
    {"source", "[]", "member \"source\": another type, expected an object"},
    {"source.name", "\"../m.gguf\"", "'../m.gguf' does not stay inside the bundle"},
    {"source.name", "\"/m.gguf\"", "does not stay inside the bundle"},
    {"source.name", "\"\"", "does not stay inside the bundle"},
    {"source.bytes", "-1", "member \"bytes\": -1, expected 0 to"},
    {"contract_sha256", "\"00\"", "it was altered"},
    {"contract.n_layers", "5", "it was altered"},
    {"contract.norm_eps", NULL, "norm_eps"},
    {"use.context", "\"64\"", "another type, expected an object"},
    {"use.context.value", "\"64\"", "contradict"},
    {"use", "[]", "member \"use\": another type"},
    {"settings.set", "[]", "member \"set\": another type"},
    {"settings.set", "{\"a\": 3}", "member \"set\": 'a' is not a text"},
    {"settings.ignored", "[3]", "member \"ignored\": item 0 is not a text"},
    {"options.context", "0", "contradict"},
    {"options.context", "4294967296", "expected 0 to 4294967295"},
    {"options.state_rows", "64", "contradict"},
    {"options.sizes", "3", "sizes"},
    {"options.weight_files", NULL, "member \"weight_files\": absent"},
    {"options.windows", NULL, "member \"windows\": absent"},
    {"options.ring_slots", NULL, "member \"ring_slots\": absent"},
    {"options.ring_slots", "64", "ring_slots 64, ring_rows 0, state_rows 128, windows ring and"},
    {"options.ring_rows", "64", "ring_slots 0, ring_rows 64, state_rows 128, windows ring and"},
    {"options.head_slice_rows", NULL, "member \"head_slice_rows\": absent"},
    {"options.prefill_rows", "129", "contradict"},
    {"host.path", "\"shards/../../etc\"", "does not stay inside the bundle"},
    {"host.path", "\"a//b\"", "does not stay inside the bundle"},
    {"host.path", "\"./host.gguf\"", "does not stay inside the bundle"},
    {"shards", "[]", "shards end at layer 0"},
    {"shards", "{}", "member \"shards\": another type"},
    {"shards.0", "7", "absent"},
    {"shards.1", NULL, "shards end at layer 2"},
    {"shards.0", NULL, "shard 0 begins at layer 2, expected 0"},
    {"shards.0.functions.1.role", "\"x\"", "has layers but no prefill function"},
    {"shards.1.functions.2.role", "\"x\"", "has vocabulary rows but no head function"},
    {"shards.0.layers", "[1, 2]", "' of layer 1 there"},
    {"shards.0.layers", "[0]", "member \"layers\": expected [first, end]"},
    {"shards.0.layers", "[2, 0]", "member \"layers\": expected [first, end]"},
    {"shards.0.layers", "[-1, 2]", "member \"layers\": expected [first, end]"},
    {"shards.0.layers", "[0, 2.5]", "member \"layers\": expected [first, end]"},
    {"shards.0.layers", "[\"0\", 2]", "member \"layers\": expected [first, end]"},
    {"shards.0.layers", "[0, 4294967296]", "member \"layers\": expected [first, end]"},
    {"shards.0.layers", "[0, 4294967295]", "member \"landmarks\""},
    {"shards.1.logits", "[0, 2047]", "vocabulary row 2047"},
    {"shards.1.logits", "[1, 2048]", "begins at vocabulary row 1, expected 0"},
    {"shards.0.residual_factor", "3", "residual_factor"},
    {"shards.0.residual_factor", "0", "residual_factor"},
    {"shards.0.residual_factor", "-2", "residual_factor"},
    {"shards.0.files.0.path", "\"..\"", "does not stay inside the bundle"},
    {"shards.0.functions", "[]", "has layers but no decode function"},
    {"shards.0.functions.0.role", "\"x\"", "has layers but no"},
    {"shards.0.functions.0.rows", "2", "decode takes 2 rows, expected 1 or the 64 of prefill"},
    {"shards.0.functions.0.rows", "64", "shard 1: decode takes 1 rows, expected 64"},
    {"shards.1.functions.0.rows", "64", "shard 1: decode takes 64 rows, expected 1"},
    {"shards.0.functions.1.rows", "63", "prefill takes 63 rows, expected 64"},
    {"shards.1.functions.2.rows", "2", "head takes 2 rows, expected 1"},
    {"shards.0.functions.0.inputs.0.dtype", "\"fp7\"", "'fp7'"},
    {"shards.0.functions.0.inputs.0.shape", "[1, 0]", "dimension 1"},
    {"shards.0.functions.0.inputs.0.shape", "[1, 2.5]", "dimension 1"},
    {"shards.0.functions.0.inputs.0.shape", "[2147483648]", "dimension 0"},
    {"shards.0.functions.0.inputs.0.shape", "[1,1,1,1,1,1,1,1,1]", "expected at most"},
    {"shards.0.tensors.0.rows", "1000000", "expected 1000000"},
    {"shards.0.tensors.0.parts", "[]", "parts of 0 rows in all"},
    {"shards.0.tensors.0.parts.0.first_row", "1", "leave gaps or overlap"},
    {"shards.0.tensors.0.parts.0.rows", "4294967295", "parts"},
    {"shards.0.tensors.1.parts.0.factor", "1.5", "factor"}, // of a matrix; a norm may have it
    {"shards.0.tensors.0.parts.0.factor", "0", "factor"},
    {"options.norm", "2", "norm"},
    {"shards.0.tensors.0.layer", "\"0\"", "member \"layer\": another type"},
    {"shards.0.landmarks.0.place", "\"no_such\"", "member \"landmarks\": item 0"},
    {"shards.0.landmarks.1.layer", "7", "member \"landmarks\": item 1"},
    {"shards.0.landmarks.0", NULL, "member \"landmarks\": item 0"},
    {"ranges", "{}", "member"},
};

static void test_each_wrong_member_is_named(void **state) {
    (void)state;
    size_t n_wrong = 0; // of the table's rows: all are shown
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Err err = {0};
        json_t *wrong = json_deep_copy(right);
        edit(wrong, rows[i].path, rows[i].value);
        bool is_read = read_back(wrong, &err);
        // Whatever is wrong, the bundle is converted again, by this command.
        if (is_read || err.kind != ERR_FORMAT || !strstr(err.text, rows[i].message) ||
            !strstr(err.text, "lathe convert ")) {
            n_wrong++;
            print_error("%s = %s: \"%s\", expected \"%s\"\n", rows[i].path,
                        rows[i].value ? rows[i].value : "nothing", err.text, rows[i].message);
        }
        json_decref(wrong);
    }
    assert_int_equal(n_wrong, 0);
}

// decode takes as many rows as prefill would, and stores them all: there is room behind the last position.
static void test_one_function_needs_room_for_its_rows(void **state) {
    (void)state;
    Err err = {0};
    Chain chain;
    ConvertJob job = {
        .model_path = LATHE_MODELS "/hello-phi3-q8_0.gguf",
        .out_path = bundle,
        .chosen = {[USE_context] = "128"},
        .options = {.prefill_rows = 64,
                    .is_one_function = true,
                    .kv = KV_ROWS,
                    .target = target_named("macos27")},
        .replaces = true,
        .tool_version = "lathe test",
    };
    if (!bundle_convert(&chain, &arena, &job, &err)) fail_msg("%s", err.text);
    assert_int_equal(chain.state_rows, 128 + 64);
    json_t *one = json_read_file(path_join(&arena, bundle, "chain.json"), &err);
    edit(one, "options.state_rows", "191");
    if (!read_back(one, &err)) fail_msg("%s", err.text);
    assert_int_equal(chain_decode_rows(&chain), 64);
    edit(one, "options.state_rows", "190");
    assert_false(read_back(one, &err));
    assert_non_null(strstr(err.text, "decode stores 64 rows, which at position 127 do not fit"));
    json_decref(one);
}

// A ring that is used has room behind it for what a call stores, and is shorter than the context.
static void test_a_ring_fits_its_use(void **state) {
    (void)state;
    static const struct {
        const char *slots, *rows, *windows;
        bool is_right;
    } cases[] = {
        {"64", "80", "\"ring\"", true},   {"64", "79", "\"ring\"", false},
        {"64", "80", "\"whole\"", false}, {"56", "80", "\"ring\"", true},
        {"55", "80", "\"ring\"", false}, // shorter than window and call: no layer would use it
        {"64", "128", "\"ring\"", false}, {"64", "127", "\"ring\"", true},
        {"0", "80", "\"ring\"", false},   {"4294967295", "80", "\"ring\"", false},
    };
    const char *const set[] = {"phi3.attention.sliding_window=40"};
    Err err = {0};
    Chain chain;
    ConvertJob job = {
        .model_path = LATHE_MODELS "/hello-phi3-q8_0.gguf",
        .out_path = bundle,
        .chosen = {[USE_context] = "128"},
        .options = {.prefill_rows = 16, .kv = KV_SLICE, .target = target_named("macos27")},
        .settings = {.set = set, .n_set = 1},
        .replaces = true,
        .tool_version = "lathe test",
    };
    if (!bundle_convert(&chain, &arena, &job, &err)) fail_msg("%s", err.text);
    assert_int_equal(chain.ring_slots, 64);
    assert_int_equal(chain.ring_rows, 96);
    json_t *ring = json_read_file(path_join(&arena, bundle, "chain.json"), &err);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        edit(ring, "options.ring_slots", cases[i].slots);
        edit(ring, "options.ring_rows", cases[i].rows);
        edit(ring, "options.windows", cases[i].windows);
        bool is_read = read_back(ring, &err);
        if (is_read != cases[i].is_right) fail_msg("case %zu: %s", i, err.text);
        if (!is_read) assert_non_null(strstr(err.text, "the contract's windows contradict"));
    }
    json_decref(ring);
}

static void test_every_member_is_needed(void **state) {
    (void)state;
    const char *key;
    json_t *value;
    json_object_foreach(right, key, value) {
        Err err = {0};
        json_t *wrong = json_deep_copy(right);
        json_object_del(wrong, key);
        if (read_back(wrong, &err)) fail_msg("without \"%s\" it was read", key);
        assert_non_null(strstr(err.text, key));
        json_decref(wrong);
    }
}

static void test_a_landmark_too_many_is_refused(void **state) {
    (void)state;
    Err err = {0};
    json_t *wrong = json_deep_copy(right);
    const char *last;
    json_t *shard = find(wrong, "shards.0.landmarks", &last);
    json_t *marks = json_object_get(shard, last);
    size_t n = json_array_size(marks);
    json_array_append_new(marks, json_deep_copy(json_array_get(marks, n - 1)));
    char expected[64];
    snprintf(expected, sizeof expected, "member \"landmarks\": %zu items, expected %zu", n + 1, n);
    assert_false(read_back(wrong, &err));
    if (!strstr(err.text, expected)) fail_msg("%s, expected %s", err.text, expected);
    json_decref(wrong);
}

// Whoever alters the contract can compute its digest, too: what it says must hold together.
static void test_an_impossible_contract_with_its_own_digest_is_refused(void **state) {
    (void)state;
    Err err = {0};
    Contract contract;
    json_t *wrong = json_deep_copy(right);
    edit(wrong, "contract.n_kv_heads", "3"); // of 4 heads
    assert_true(contract_from_json(&contract, json_object_get(wrong, "contract"), &arena, &err));
    json_object_set_new(wrong, "contract_sha256", json_string(contract_digest(&contract).hex));
    assert_false(read_back(wrong, &err));
    assert_int_equal(err.kind, ERR_FORMAT);
    if (!strstr(err.text, "4 query heads cannot share 3 kv heads")) fail_msg("%s", err.text);
    json_decref(wrong);
}

static void test_a_folder_that_is_not_there_is_an_error_of_the_system(void **state) {
    (void)state;
    Err err = {0};
    Chain chain;
    assert_false(chain_read(&chain, &arena, path_join(&arena, scratch.path, "no"), &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "No such file"));
}

static void test_a_folder_without_chain_json_is_not_a_bundle(void **state) {
    (void)state;
    Err err = {0};
    Chain chain;
    assert_false(chain_read(&chain, &arena, scratch.path, &err));
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_non_null(strstr(err.text, "no chain.json"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_convert_writes_is_read),
        cmocka_unit_test(test_each_wrong_member_is_named),
        cmocka_unit_test(test_every_member_is_needed),
        cmocka_unit_test(test_a_landmark_too_many_is_refused),
        cmocka_unit_test(test_an_impossible_contract_with_its_own_digest_is_refused),
        cmocka_unit_test(test_a_folder_that_is_not_there_is_an_error_of_the_system),
        cmocka_unit_test(test_one_function_needs_room_for_its_rows),
        cmocka_unit_test(test_a_ring_fits_its_use),
        cmocka_unit_test(test_a_folder_without_chain_json_is_not_a_bundle),
    };
    scratch = scratch_open("test-chain-read");
    int n_failed = cmocka_run_group_tests(tests, make_bundle, drop_bundle);
    scratch_close(&scratch);
    arena_free(&arena);
    return n_failed;
}
