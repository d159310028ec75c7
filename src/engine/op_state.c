// read_state and write_state. If plan_states.c found that value and state may share a buffer, these
// ops do nothing.
#include <string.h>

#include "engine/strided_copy.h"

typedef struct {
    uint32_t slot; // of the state
    const EngineTensor *value;
} StatePlan;

static StatePlan *state_plan(Prepare *p) {
    StatePlan *plan = prep_new(p, StatePlan);
    uint32_t v = mil_operand(p->f, p->op, mil_param(p->op->info, "input")).at;
    plan->slot = p->e->storages[v].slot;
    return plan;
}

bool prepare_read_state(Prepare *p) {
    state_plan(p)->value = prep_out(p, 0);
    return true;
}

bool prepare_write_state(Prepare *p) {
    state_plan(p)->value = prep_in(p, "data");
    return true;
}

bool run_read_state(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const StatePlan *p = n->plan;
    const EngineTensor *state = &e->states[p->slot].bound->tensor;
    if (tensor_data(p->value) != tensor_data(state))
        memcpy(tensor_data(p->value), tensor_data(state), p->value->count * sizeof(float));
    return true;
}

bool run_write_state(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const StatePlan *p = n->plan;
    StateBuffer *state = e->states[p->slot].bound;
    if (tensor_data(&state->tensor) == tensor_data(p->value)) return true; // written in place
    state_buffer_extend_to_all(state);
    state->may_hold_negative_zero = true;
    memcpy(tensor_data(&state->tensor), tensor_data(p->value), p->value->count * sizeof(float));
    return true;
}
