// log.h — finds the reason of a failure in a child's log. Internal to settle/.
#ifndef LATHE_SETTLE_LOG_H
#define LATHE_SETTLE_LOG_H

#include <jansson.h>

#include "base/arena.h"

// The reason of a failure: the last line that a command of lathe wrote as its error, without the
// command before it, or the last line of all. "" for a log that is empty or not there. In the arena.
const char *log_reason(const char *log, Arena *arena);

// Rows of coreml/errors.def whose text the log has, [{id, means, advice}]: messages that are
// misleading, or that mean that the Neural Engine is not used although the load succeeded. A new
// reference.
json_t *log_explained(const char *log);

#endif
