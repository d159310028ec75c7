#include "runtime/model_runner.h"

bool model_runner_not_finite(const ModelRunner *m, const char *what, size_t first, size_t last,
                             Err *err) {
    return err_set(
        err, ERR_FORMAT,
        "the %s of positions %zu to %zu are not finite in %s: a token there gives numbers that the "
        "format cannot hold. lathe cleared the conversation's cache. Leave that text out, or "
        "convert again with --range auto and the text as --calibration",
        what, first, last, m->label);
}
