// prepare.h — what the ops' prepare and run functions use: operands and constants by parameter
// name, requests to the plan, errors that name the op, the geometry of row-major tensors.
#ifndef LATHE_ENGINE_PREPARE_H
#define LATHE_ENGINE_PREPARE_H

#include "engine/layout.h"
#include "engine/plan.h"

struct Prepare {
    Engine *e;
    const MilFunction *f;
    const MilOp *op;
    Node *node;
    uint32_t index; // of the op
    Err *err;
};

// The operand as a tensor, valid as long as the engine (its numbers once a run has computed them);
// NULL when not given.
const EngineTensor *prep_in(Prepare *p, const char *param);
// Operands of a tuple parameter.
uint32_t prep_count(const Prepare *p, const char *param);
const EngineTensor *prep_in_at(Prepare *p, const char *param, uint32_t i);
EngineTensor *prep_out(Prepare *p, uint32_t i);
// The operand as a weight, packed if it is a constant; NULL when not given, or with p->err set when
// out of memory.
const Weight *prep_weight(Prepare *p, const char *param);

bool prep_given(const Prepare *p, const char *param);
// Constant parameters. `fallback` when not given; false, with the reason in p->err, when the value
// given is not a constant.
bool prep_int(Prepare *p, const char *param, int64_t fallback, int64_t *out);
bool prep_bool(Prepare *p, const char *param, bool fallback, bool *out);
bool prep_float(Prepare *p, const char *param, double fallback, double *out);
bool prep_str(Prepare *p, const char *param, const char *fallback, Str *out);
// At most MOST_INTS numbers, into `out`; *count is 0 when not given. Bools are 0 and 1.
enum { MOST_INTS = 2 * MIL_MAX_RANK };
bool prep_ints(Prepare *p, const char *param, int64_t *out, size_t *count);
// An axis in [0, rank), counted from the end when negative.
bool prep_axis(Prepare *p, const char *param, int64_t fallback, int rank, int *out);

// The set of axes that `param` lists; all of them when it is not given.
bool prep_axes(Prepare *p, const char *param, int rank, bool in_set[MIL_MAX_RANK]);

void *prep_plan(Prepare *p, size_t size); // allocates zeroed memory and sets node->plan to it
#define prep_new(p, Type) ((Type *)prep_plan((p), sizeof(Type)))
// Makes output `i` a view of `of`, from element `at` on.
void prep_view(Prepare *p, uint32_t i, const EngineTensor *of, size_t at);
// Allows output 0 to be written over `x`, element by element.
void prep_in_place(Prepare *p, const EngineTensor *x);
// Each worker needs `n` floats while the op runs.
void prep_scratch(Prepare *p, size_t n_floats);
// "op 'name' (opcode): …"; returns false.
bool prep_fail(Prepare *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// ---- for run functions

// Same form as prep_fail, for values found wrong at run time.
bool run_fail(const Node *n, Err *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// The context of tasks that need only engine and node.
typedef struct {
    const Engine *e;
    const Node *n;
} NodeTask;

static inline float *engine_scratch(const Engine *e, unsigned worker) {
    return (float *)((char *)e->scratch + worker * e->scratch_bytes);
}

// Rounds results that belong to output 0 of `n`, where the arithmetic asks for it.
static inline void node_round(const Engine *e, const Node *n, float *x, size_t count) {
    if (n->rules->round) n->rules->round(e->k, x, count);
}

// Elements per piece of elementwise work: fewer are not worth another thread.
enum { ELEMENT_GRAIN = 16384 };

// ---- every op's functions, from the table; they live in the file of the op's family, op_*.c. A
// function that serves several ops is declared once for each.

#define OP(name, prepare, run)                                                                     \
    bool prepare_##prepare(Prepare *p);                                                            \
    bool run_##run(const Engine *e, const Node *n, Err *err);
#define OP_IDLE(name, prepare) bool prepare_##prepare(Prepare *p);
#include "engine/ops.def"

#endif
