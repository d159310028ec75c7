#include "runtime/runner.h"

static uint32_t find_port(const RunnerPort *ports, uint32_t n, const char *name) {
    for (uint32_t i = 0; i < n; i++)
        if (str_is(ports[i].name, name)) return i;
    return RUNNER_NO_PORT;
}

uint32_t runner_find_input(const Runner *r, const char *name) {
    return find_port(r->inputs, r->n_inputs, name);
}

uint32_t runner_find_output(const Runner *r, const char *name) {
    return find_port(r->outputs, r->n_outputs, name);
}

void runner_close(Runner *r) {
    if (r) r->ops->close(r);
}

void runner_state_close(RunnerState *s) {
    if (s) s->ops->state_close(s);
}

Engine *runner_tapped(Runner *r) {
    return r && r->ops->tapped ? r->ops->tapped(r) : NULL;
}
