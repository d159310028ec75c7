// memory.h — what happens when the system has no memory for a small allocation.
#ifndef LATHE_BASE_MEMORY_H
#define LATHE_BASE_MEMORY_H

#include <stddef.h>

// Prints the size that was asked for to stderr and exits with code 4: no caller could do better.
// The one place outside cli/ that prints or exits.
_Noreturn void die_out_of_memory(size_t wanted);

#endif
