// fuzz_seal.c — any bytes as seal.json of a bundle that was never proved: refused, whatever they
// are, and with a message that names a command. Where the bytes are a JSON object, they are tried
// once more with the digests that the seal should have, so that the checks after them are reached.
#include <jansson.h>
#include <string.h>

#include "base/build.h"
#include "base/hash.h"
#include "base/json.h"
#include "bundle/seal.h"
#include "scratch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char chain_json[] = "{\"schema\": 0}"; // of no bundle

static void expect_refusal(void) {
    Err err = {0};
    if (seal_check(scratch_dir(), NULL, NULL, &err) || !strstr(err.text, "lathe ")) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    scratch_file("chain.json", (const uint8_t *)chain_json, sizeof chain_json - 1);
    scratch_file("seal.json", data, size);
    expect_refusal();
    json_t *seal = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(seal)) {
        json_object_set_new(seal, "schema", json_integer(SEAL_SCHEMA));
        json_object_set_new(seal, "build", json_string(build_id));
        json_object_set_new(seal, "chain_sha256",
                            json_string(sha256_bytes(chain_json, sizeof chain_json - 1).hex));
        json_object_set_new(seal, "sha256", json_string(json_own_sha256(seal).hex));
        char *text = json_text(seal);
        scratch_file("seal.json", (const uint8_t *)text, strlen(text));
        free(text);
        expect_refusal();
    }
    json_decref(seal);
    return 0;
}
