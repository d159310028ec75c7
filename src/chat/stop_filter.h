// stop_filter.h — the text of an answer as it may be shown: up to the first stop string, and never a
// beginning of one that may still grow.
//
// The stop string that begins earliest in the text wins, whatever the order of the options, as in
// llama.cpp's server. A stop string may come over any number of tokens.
#ifndef LATHE_CHAT_STOP_FILTER_H
#define LATHE_CHAT_STOP_FILTER_H

#include "base/str.h"

// Zeroed but for `stops` it is ready; strbuf_free(&f.text) in the end.
typedef struct {
    const char *const *stops; // [n_stops]; an empty one stops nothing
    size_t n_stops;
    StrBuf text;      // the answer so far: append to it, then call stop_filter_next()
    size_t n_emitted; // bytes of it that were given
    bool has_stopped; // `text` was cut before a stop string: nothing more may be appended
} StopFilter;

// What of `text` may be shown now and was not before; a view until the next append. At the end of
// the answer nothing is held back.
Str stop_filter_next(StopFilter *f, bool is_end);

#endif
