// plan.h — the engine's internal form of a function that is ready to run.
//
// engine_open() walks the ops once. The row of each in ops.def names a prepare function, which
// reads the op's constants, computes its geometry into a struct of its family, and states what it
// needs: which operands as dense tensors, which as weights that may stay packed (weight.h), whether
// its output is a view of an operand or may take over an operand's buffer, and how much scratch
// memory a worker needs. Passes may then put spans over neighbouring nodes (pass.h), and plan.c
// assigns storage to every value. A run only calls the run functions in order.
//
// Shapes are fixed: a function with a dimension that is not known before the run is refused at
// open.
//
// Storage. Values that are views of each other share one root. A root's storage is a place in the
// workspace, an input buffer, a constant or a state. Two rules keep this sound:
//   - a place in the workspace is reused only after the last use of every view of its root;
//   - a state's buffer is changed (by write_state, or by a slice_update that works in place) only
//     when no view of its older content is used later; a read_state that cannot promise this
//     copies.
#ifndef LATHE_ENGINE_PLAN_H
#define LATHE_ENGINE_PLAN_H

#include "base/arena.h"
#include "base/size.h"
#include "engine/arithmetic.h"
#include "engine/engine.h"
#include "engine/weight.h"
#include "kernels/kernels.h"

typedef struct Node Node;
typedef struct Prepare Prepare; // prepare.h

// A row of ops.def.
typedef struct {
    const char *name; // as in mil/ops.def
    bool (*prepare)(Prepare *p);
    bool (*run)(const Engine *e, const Node *n, Err *err); // NULL: no work at run time
} OpRow;
const OpRow *op_row(const MilOpInfo *info); // NULL for an op the engine lacks

// Neighbouring ops that a pass runs as one (pass.h).
typedef struct Span Span;
struct Span {
    const char *pass;
    uint32_t first, n_ops; // ops [first, first + n_ops)
    void *plan;            // the pass's own struct
    bool (*run)(const Engine *e, const Span *s, Err *err);
};

struct Node {
    const MilOp *op;
    const OpRow *row;
    void *plan;                   // the struct that prepare filled, of the family's own type
    EngineTensor *output;         // the first of op->n_outputs
    const ArithmeticRules *rules; // for its results
    bool is_view;                 // every output is a view, so nothing has to run
    const Span *span;             // the span that starts at this op, or NULL
};

enum { NO_INDEX = UINT32_MAX, MAX_IN_PLACE = 3 };

// Where a value is stored; by value index, as its tensor.
typedef enum {
    STORED_NOWHERE,      // a string, a packed constant, a value nobody reads
    STORED_IN_WORKSPACE, // computed
    STORED_AS_INPUT,
    STORED_AS_CONSTANT,
    STORED_IN_STATE,
} StorageKind;

typedef struct {
    uint32_t root;        // the value whose storage this is; itself when not a view
    size_t at;            // elements into the root
    bool wants_dense;     // something reads it as a dense tensor (constants must then be unpacked)
    bool is_output;       // of the function
    const Weight *weight; // of a constant, once asked for
    uint32_t in_place[MAX_IN_PLACE], n_in_place; // values whose buffer this root may take over
    // the members below are for roots only
    StorageKind kind;
    uint32_t slot;     // STORED_IN_WORKSPACE: place in the plan; STORED_IN_STATE: index into states
    uint32_t last_use; // op index, over all views; n_ops for outputs
} ValueStorage;

// A state's numbers, and how far they were written: an element with an index of written[axis] or
// more on any axis is +0, as the last reset left it.
typedef struct {
    EngineTensor tensor;
    size_t written[MIL_MAX_RANK];
    bool may_hold_negative_zero; // false only if it is known to hold none
} StateBuffer;
// NULL when absent.
StateBuffer *state_buffer_find(EngineState *s, Str name);
// Call before a write to the elements below end[axis] on every axis; the second before a write to
// all elements.
void state_buffer_extend(StateBuffer *b, const size_t end[MIL_MAX_RANK]);
void state_buffer_extend_to_all(StateBuffer *b);

// A state of the function, bound to a buffer at each run.
typedef struct {
    uint32_t value;     // the function input
    StateBuffer *bound; // the caller's, for this run
} StateRef;

struct Engine {
    Arena arena;
    const Package *package;
    const MilFunction *f;
    const ArithmeticRules *rules;
    Pool *pool;
    const Kernels *k;

    EngineTensor *tensors;  // by value index
    ValueStorage *storages; // by value index
    Node *nodes;            // by op index
    StateRef *states;
    uint32_t n_states;
    uint32_t *in_states; // values stored in a state; their pointers are set at each run
    uint32_t n_in_states;
    EngineTensor *outputs; // what engine_output() returns: the value's tensor, or a copy of it
    // whether that is a copy: when the value is stored in an input, a constant or a state
    bool *copies_output;

    void *workspace, *constants, *inputs, *scratch, *copies; // big_alloc
    size_t workspace_bytes, scratch_bytes; // of scratch: scratch of one worker, a multiple of 64

    EngineTap *tap;
    void *tap_context;
};

// How a function is planned. With PLAN_AS_WRITTEN every value has a buffer of its own, states are
// always copied and ops run one by one. It is the oracle of the other plans, which change no bit.
enum {
    PLAN_AS_WRITTEN = 0,
    PLAN_REUSES_BUFFERS = 1 << 0,
    PLAN_RUNS_PASSES = 1 << 1, // the passes that LATHE_PASSES allows
    PLAN_WHOLE = PLAN_REUSES_BUFFERS | PLAN_RUNS_PASSES,
};
// As engine_open(), which uses PLAN_WHOLE.
Engine *engine_open_planned(const Package *package, Str function, Arithmetic arithmetic, Pool *pool,
                            unsigned plan, Err *err);

// Assigns storage to every value, with offsets in the workspace, from what prepare wrote into nodes
// and storages.
bool plan_buffers(Engine *e, bool reuse, Err *err);
// Decides which read_state ops are views and which slice_update ops work on the state's own buffer.
void plan_states(Engine *e);

#endif
