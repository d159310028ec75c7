// stop_filter.h — the part of an answer that may be shown: up to the first stop string, without an
// end that may grow into one.
//
// The stop string that begins earliest in the text wins, whatever the order of the options, as in
// llama.cpp's server. A stop string may span any number of tokens.
#ifndef LATHE_CHAT_STOP_FILTER_H
#define LATHE_CHAT_STOP_FILTER_H

#include "base/str.h"

// Ready when zeroed except for `stops`; free with strbuf_free(&f.text).
typedef struct {
    const char *const *stops; // [n_stops]; an empty one stops nothing
    size_t n_stops;
    StrBuf text;      // the answer so far: append to it, then call stop_filter_next()
    size_t n_emitted; // bytes of it returned so far
    bool has_stopped; // `text` was cut before a stop string: nothing more may be appended
} StopFilter;

// The text that may be shown now and was not returned before; a view that is valid until the next
// append. With `is_end` nothing is held back.
Str stop_filter_next(StopFilter *f, bool is_end);

#endif
