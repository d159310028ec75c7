// fuzz_chain.c — any bytes as chain.json: refused with a message, or read; and what was read is
// written and read again as the same.
#include <string.h>

#include "bundle/chain.h"
#include "scratch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena arena = {0};
    Chain chain, again;
    Err err = {0};
    scratch_file("chain.json", data, size);
    if (chain_read(&chain, &arena, scratch_dir(), &err)) {
        check(chain_write(&chain, scratch_dir(), &err));
        check(chain_read(&again, &arena, scratch_dir(), &err));
        Sha256 first = again.sha256;
        check(chain_write(&again, scratch_dir(), &err));
        check(chain_read(&chain, &arena, scratch_dir(), &err));
        check(strcmp(first.hex, chain.sha256.hex) == 0);
    } else {
        check(err.kind == ERR_FORMAT && err.text[0]);
    }
    arena_free(&arena);
    return 0;
}
