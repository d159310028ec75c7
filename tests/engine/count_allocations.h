// count_allocations.h — how often this program asked for memory. The linker puts the counting
// functions in place of malloc and its relatives (--wrap); where it cannot, can_count_allocations()
// is false and the count stays 0.
#ifndef LATHE_TESTS_ENGINE_COUNT_ALLOCATIONS_H
#define LATHE_TESTS_ENGINE_COUNT_ALLOCATIONS_H

#include <stdbool.h>
#include <stddef.h>

bool can_count_allocations(void);
size_t allocations_so_far(void); // by any thread

#endif
