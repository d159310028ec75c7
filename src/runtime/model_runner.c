#include "runtime/model_runner.h"

bool model_runner_not_finite(const ModelRunner *m, const char *what, size_t first, size_t last,
                             Err *err) {
    return err_set(err, ERR_FORMAT,
                   "the %s of positions %zu to %zu are not finite in %s: a token among them is too "
                   "loud for the format, and no answer after it would mean anything. The "
                   "conversation's cache was cleared; leave that text out, or convert again with "
                   "--range auto and that text as --calibration",
                   what, first, last, m->label);
}
