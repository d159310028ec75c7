// memory.h — what happens when a small allocation fails: the program ends.
#ifndef LATHE_BASE_MEMORY_H
#define LATHE_BASE_MEMORY_H

#include <stddef.h>

// Prints the requested size to stderr and exits with code 4: no caller could recover. Nothing else
// outside cli/ prints or exits.
_Noreturn void die_out_of_memory(size_t n_bytes);

#endif
