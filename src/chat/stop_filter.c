// stop_filter.c — looks for stop strings in the text not yet emitted, and holds back an end of it
// that may become a stop string.
#include "chat/stop_filter.h"

#include <string.h>

#include "base/size.h"

// The bytes at the end that may grow into a stop string.
static size_t held_back(const StopFilter *f) {
    size_t most = 0;
    for (size_t i = 0; i < f->n_stops; i++) {
        Str stop = str_of(f->stops[i]);
        size_t n = stop.len ? min_size(stop.len - 1, f->text.len - f->n_emitted) : 0;
        for (; n > most; n--)
            if (memcmp(f->text.at + f->text.len - n, stop.at, n) == 0) most = n;
    }
    return most;
}

// Cuts the text before the earliest stop string. What was emitted holds no beginning of one.
static void cut_at_stop(StopFilter *f) {
    for (size_t at = f->n_emitted; at < f->text.len && !f->has_stopped; at++)
        for (size_t i = 0; i < f->n_stops && !f->has_stopped; i++) {
            Str stop = str_of(f->stops[i]);
            f->has_stopped = stop.len && str_starts((Str){f->text.at + at, f->text.len - at}, stop);
            if (f->has_stopped) f->text.len = at;
        }
}

Str stop_filter_next(StopFilter *f, bool is_end) {
    cut_at_stop(f);
    size_t n_held = is_end || f->has_stopped ? 0 : held_back(f);
    Str text = {f->text.at ? f->text.at + f->n_emitted : "", f->text.len - f->n_emitted - n_held};
    f->n_emitted += text.len;
    return text;
}
