// backend.h — a package on lathe's CPU engine, as the double needs it: what stands on disk, run.
#ifndef LATHE_TESTS_APPLE_BACKEND_H
#define LATHE_TESTS_APPLE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Backend Backend;           // one function of a package
typedef struct BackendState BackendState; // states of a package

typedef struct {
    char name[128];
    int kind; // 0 fp16, 1 fp32, 2 int32
    size_t n_dims, dims[8], count;
} BackendPort;

typedef enum { BACKEND_INPUT, BACKEND_OUTPUT, BACKEND_STATE } BackendRole;

// `function` NULL: the only one. NULL and a text in `why` on failure.
Backend *backend_open(const char *package, const char *function, char *why, size_t n_why);
void backend_close(Backend *b);
size_t backend_n_ports(const Backend *b, BackendRole role);
void backend_port(const Backend *b, BackendRole role, size_t i, BackendPort *out);

BackendState *backend_state_open(const Backend *b);
void backend_state_close(BackendState *s);
void backend_state_zero(BackendState *s);
void backend_state_scale(BackendState *s, float factor);
// binary16, row-major; NULL when there is none. Written to the engine again by backend_state_put().
bool backend_state_get(BackendState *s, const char *name, uint16_t *out);
bool backend_state_put(BackendState *s, const char *name, const uint16_t *in);
bool backend_state_port(const BackendState *s, const char *name, BackendPort *out);

// Whether the function writes a slice into a state.
bool backend_writes_slices(const Backend *b);

void backend_put(Backend *b, size_t input, const void *packed);
void backend_output_scale(Backend *b, size_t output, float factor);
void backend_get(const Backend *b, size_t output, void *packed);
bool backend_run(Backend *b, BackendState *s, char *why, size_t n_why);

// Ops of the function in order: name of the op, of its first result, whether it is a constant.
size_t backend_n_ops(const Backend *b);
void backend_op(const Backend *b, size_t i, char op[64], char output[128], bool *is_constant);
// Names of the package's functions, one after the other; false beyond the last.
bool backend_function_name(const Backend *b, size_t i, char name[128]);

#endif
