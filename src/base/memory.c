// memory.c — ends the program when memory is out; the only exit() outside cli/.
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { EXIT_SYSTEM = 4 }; // of ERR_SYSTEM, err.h

_Noreturn void die_out_of_memory(size_t n_bytes) {
    fprintf(stderr, "lathe: out of memory (%zu bytes requested)\n", n_bytes);
    exit(EXIT_SYSTEM);
}
