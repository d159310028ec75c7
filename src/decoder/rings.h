// rings.h — where rows of layers with a window lie.
//
// A row of such a layer sees the latest `window` positions alone, so its caches need not hold the context:
// they are a ring in which position p takes slot p mod n. A call of T rows may store all of them before
// the first one looks back, and rows of padding behind those that count: both overwrite at most what lies
// T behind the window. So n is window + T at least; masks say which position a slot holds, by position.
//
// Rows of a call lie one after another. Forms that put them in place by one index (kv_forms.def: all but
// overwrite) cannot go on at slot 0 in the middle of a call: their ring has T slots more behind its last,
// which take what is behind the end and no later call looks at. A call holds no more rows that count
// than fit before the end (ring_room()).
#ifndef LATHE_DECODER_RINGS_H
#define LATHE_DECODER_RINGS_H

#include <stdbool.h>
#include <stdint.h>

// Whether a ring of `n` slots (0: there is none) holds what layers of `window` positions need, where a
// call stores `most_rows` rows at most. Others hold the whole context.
static inline bool ring_holds(uint32_t n, uint32_t window, uint32_t most_rows) {
    return window > 0 && (uint64_t)window + most_rows <= n;
}

// Rows from `position` on that lie one after another.
static inline uint32_t ring_room(uint32_t n, uint32_t position) {
    return n - position % n;
}

// The lowest position whose row lies in a ring of `n` slots to which rows up to `end`, that one not
// included, have been written.
static inline uint32_t ring_oldest(uint32_t n, uint32_t end) {
    return end > n ? end - n : 0;
}

#endif
