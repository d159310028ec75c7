// limits.c — errors and limits of work, used by every part of the interpreter. The first failure
// sticks; callers check `failed` before they continue.
#include <inttypes.h>
#include <stdarg.h>

#include "jinja/jinja.h"

JValue jinja_fail(Render *r, const char *fmt, ...) {
    if (!r->failed) {
        va_list args;
        va_start(args, fmt);
        err_vset(r->err, ERR_FORMAT, fmt, args);
        va_end(args);
        err_prefix(r->err, "template line %d", r->line);
    }
    r->failed = true;
    return (JValue){0};
}

bool jinja_charge(Render *r, size_t steps) {
    r->steps += steps;
    if (r->steps > r->limits.steps)
        jinja_fail(r, "rendering takes more than %" PRIu64 " steps, the limit", r->limits.steps);
    else if (r->arena->n_bytes > r->limits.memory)
        jinja_fail(r, "rendering needs more than %zu bytes for values, the limit",
                   r->limits.memory);
    return !r->failed;
}

bool jinja_charge_bytes(Render *r, size_t n) {
    enum { BYTES_A_STEP = 64 }; // what copying takes in the time of a step, about
    return jinja_charge(r, n / BYTES_A_STEP);
}
