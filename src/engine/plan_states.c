// Decides when a state can be read and updated in place.
//
//     before = read_state(kv)
//     after  = slice_update(x = before, update = rows, ...)
//     write_state(kv, after)
//     now    = read_state(kv)
//
// Taken literally, this copies the state three times per layer. Here `before` and `now` become
// views of the state's buffer, `after` is computed inside it, and write_state has nothing to do, if
// no op can tell the difference:
//   - nothing reads the state, or a view of its older content, once the first slice_update of the
//     chain has changed it (the update itself must not come from such a view either);
//   - the value written is the end of the chain, and the chain begins with a read of the same
//     content that the state still holds;
//   - the value written is not used any more when the state is next changed.
// If one of these conditions fails, the ops copy: slice_update into the workspace, write_state into
// the state, and read_state into the workspace if its value is used after the state changes.
//
// The case that breaks the obvious rule ("the state is not read before the write"): a slice of
// `before`, which is a view too, used after the update.
#include "engine/plan.h"

typedef struct {
    Engine *e;
    const MilFunction *f;
    uint32_t state; // value index of the function input
} StateScan;

static uint32_t operand(const StateScan *s, uint32_t op, const char *param) {
    const MilOp *o = &s->f->ops[op];
    int i = mil_param(o->info, param);
    return i < 0 ? NO_INDEX : mil_operand(s->f, o, i).at;
}

static bool is_access(const StateScan *s, uint32_t op, uint32_t opcode) {
    return s->f->ops[op].info->opcode == opcode && operand(s, op, "input") == s->state;
}

static uint32_t root_of(const StateScan *s, uint32_t v) {
    return s->e->storages[v].root;
}

// True when a value with this root is used after op `change`, or by it other than as its `x`.
static bool is_used_past(const StateScan *s, uint32_t root, uint32_t change, bool x_is_fine) {
    uint32_t last = s->e->storages[root].last_use;
    if (last == NO_INDEX || last < change) return false;
    if (last > change) return true;
    if (!x_is_fine) return true;
    const MilOp *op = &s->f->ops[change];
    int x = mil_param(op->info, "x");
    for (uint32_t p = 0; p < op->info->n_params; p++)
        for (uint32_t a = 0; a < op->args[p].count; a++)
            if ((int)p != x && root_of(s, s->f->operands[op->args[p].first + a].at) == root)
                return true;
    return false;
}

static bool is_whole(const StateScan *s, uint32_t v) {
    return s->e->tensors[v].count == s->e->tensors[root_of(s, v)].count;
}

static uint32_t defining_op(const StateScan *s, uint32_t v) {
    return s->f->values[v].op;
}

// The chain of slice_updates that ends in write `write`, walked backwards to the read it starts
// from. Gives its first op, or NO_INDEX when the value written is not such a chain, or starts from
// content that `since` (the write before, or NO_INDEX) has replaced.
static uint32_t chain_start(const StateScan *s, uint32_t write, uint32_t since) {
    uint32_t first = NO_INDEX;
    uint32_t v = operand(s, write, "data");
    for (;;) {
        if (!is_whole(s, v)) return NO_INDEX;
        uint32_t root = root_of(s, v), op = defining_op(s, root);
        if (op == MIL_NO_OP) return NO_INDEX;
        if (s->f->ops[op].info->opcode == MIL_OP_slice_update) {
            first = op;
            v = operand(s, op, "x");
        } else if (is_access(s, op, MIL_OP_read_state)) {
            return since == NO_INDEX || op > since ? first : NO_INDEX;
        } else {
            return NO_INDEX;
        }
    }
}

// True when no value of the state's content between `since` and `write` is looked at once op
// `first` has changed the buffer.
static bool old_content_is_done(const StateScan *s, uint32_t since, uint32_t first,
                                uint32_t write) {
    for (uint32_t i = since == NO_INDEX ? 0 : since + 1; i < write; i++) {
        if (!is_access(s, i, MIL_OP_read_state)) continue;
        if (i > first) return false;
        if (is_used_past(s, s->f->ops[i].first_output, first, true)) return false;
    }
    return true;
}

// The slice_updates of the chain, its end apart, are not looked at once the next has run.
static bool steps_are_done(const StateScan *s, uint32_t write) {
    uint32_t v = operand(s, write, "data"), next = NO_INDEX;
    for (;;) {
        uint32_t root = root_of(s, v), op = defining_op(s, root);
        if (s->f->ops[op].info->opcode != MIL_OP_slice_update) return true;
        if (next != NO_INDEX && is_used_past(s, root, next, true)) return false;
        next = op;
        v = operand(s, op, "x");
    }
}

static void live_in_state(const StateScan *s, uint32_t root, uint32_t slot) {
    s->e->storages[root].kind = STORED_IN_STATE;
    s->e->storages[root].slot = slot;
}

// The write before op `before`, or NO_INDEX.
static uint32_t write_before(const StateScan *s, uint32_t before) {
    for (uint32_t i = before; i-- > 0;)
        if (is_access(s, i, MIL_OP_write_state)) return i;
    return NO_INDEX;
}

static void plan_state(Engine *e, uint32_t slot) {
    StateScan s = {e, e->f, e->states[slot].value};
    uint32_t n_ops = e->f->n_ops;
    // From the last write to the first: `change` is the op that next alters the buffer, and whether
    // it does so as a slice_update, which may still read what it alters.
    uint32_t change = NO_INDEX, write = n_ops;
    bool change_is_update = false;
    do {
        uint32_t before = write_before(&s, write);
        // Reads of the content that lies between the two writes.
        for (uint32_t i = before == NO_INDEX ? 0 : before + 1; i < write; i++) {
            if (!is_access(&s, i, MIL_OP_read_state)) continue;
            uint32_t root = e->f->ops[i].first_output;
            // A write_state that copies may be given the very view of the old content.
            bool outlives = change != NO_INDEX && e->storages[root].last_use != NO_INDEX &&
                            (change_is_update ? is_used_past(&s, root, change, true)
                                              : e->storages[root].last_use > change);
            if (!outlives) live_in_state(&s, root, slot);
        }
        if (before == NO_INDEX) return;
        // Now the write itself.
        uint32_t since = write_before(&s, before);
        uint32_t first = chain_start(&s, before, since);
        uint32_t end = root_of(&s, operand(&s, before, "data"));
        bool end_is_safe = change == NO_INDEX || e->storages[end].last_use == NO_INDEX ||
                           (change_is_update ? e->storages[end].last_use < change
                                             : e->storages[end].last_use <= change);
        bool in_place = first != NO_INDEX && end_is_safe &&
                        old_content_is_done(&s, since, first, before) && steps_are_done(&s, before);
        if (in_place)
            for (uint32_t v = end;
                 defining_op(&s, v) >= first &&
                 e->f->ops[defining_op(&s, v)].info->opcode == MIL_OP_slice_update;
                 v = root_of(&s, operand(&s, defining_op(&s, v), "x")))
                live_in_state(&s, v, slot);
        change = in_place ? first : before;
        change_is_update = in_place;
        write = before;
    } while (write != NO_INDEX);
}

void plan_states(Engine *e) {
    for (uint32_t i = 0; i < e->n_states; i++) plan_state(e, i);
}
