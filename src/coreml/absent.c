// absent.c — device.h on systems that have no Core ML.
#include "coreml/device.h"

static bool refuse(Err *err) {
    return err_set(err, ERR_SYSTEM, "Core ML is not on this system; use --engine cpu");
}

bool coreml_is_present(void) {
    return false;
}

bool coreml_compile(const char *package, const char *compiled, Err *err) {
    (void)package, (void)compiled;
    return refuse(err);
}

CoremlModel *coreml_open(const char *compiled, const char *function, CoremlUnits units, Err *err) {
    (void)compiled, (void)function, (void)units;
    refuse(err);
    return NULL;
}

void coreml_close(CoremlModel *m) {
    (void)m;
}

const CoremlPort *coreml_input(const CoremlModel *m, Str name) {
    (void)m, (void)name;
    return NULL;
}

const CoremlPort *coreml_output(const CoremlModel *m, Str name) {
    (void)m, (void)name;
    return NULL;
}

size_t coreml_n_inputs(const CoremlModel *m) {
    (void)m;
    return 0;
}

size_t coreml_n_outputs(const CoremlModel *m) {
    (void)m;
    return 0;
}

size_t coreml_n_states(const CoremlModel *m) {
    (void)m;
    return 0;
}

const CoremlPort *coreml_input_at(const CoremlModel *m, size_t i) {
    (void)m, (void)i;
    return NULL;
}

const CoremlPort *coreml_output_at(const CoremlModel *m, size_t i) {
    (void)m, (void)i;
    return NULL;
}

const CoremlPort *coreml_state_at(const CoremlModel *m, size_t i) {
    (void)m, (void)i;
    return NULL;
}

CoremlState *coreml_state_open(CoremlModel *m, Err *err) {
    (void)m;
    refuse(err);
    return NULL;
}

void coreml_state_close(CoremlState *s) {
    (void)s;
}

bool coreml_state_read(CoremlState *s, const char *name, uint16_t *out, size_t count, Err *err) {
    (void)s, (void)name, (void)out, (void)count;
    return refuse(err);
}

bool coreml_state_write(CoremlState *s, const char *name, const uint16_t *in, size_t count,
                        Err *err) {
    (void)s, (void)name, (void)in, (void)count;
    return refuse(err);
}

bool coreml_run(CoremlModel *m, CoremlState *s, bool *is_exhausted, Err *err) {
    (void)m, (void)s;
    if (is_exhausted) *is_exhausted = false;
    return refuse(err);
}

CoremlCounts coreml_counts(const CoremlModel *m) {
    (void)m;
    return (CoremlCounts){0};
}

bool coreml_plan(const char *compiled, const char *function, CoremlUnits units,
                 CoremlPlanTaker *take, void *context, Err *err) {
    (void)compiled, (void)function, (void)units, (void)take, (void)context;
    return refuse(err);
}

size_t coreml_n_ane_cores(void) {
    return 0;
}

void coreml_framework_version(char *out, size_t size) {
    if (size) out[0] = 0;
}
