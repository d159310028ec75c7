// Decides where values are stored: which values share a buffer, which take over another's, and the
// offset of each in the workspace.
#include "engine/constants.h"
#include "engine/prepare.h"

#include <string.h>

static void use(Engine *e, uint32_t v, uint32_t op) {
    ValueStorage *root = &e->storages[e->storages[v].root];
    if (root->last_use == NO_INDEX || root->last_use < op) root->last_use = op;
}

// last_use of every root: over all its views, and the end of the run for outputs.
static void find_last_uses(Engine *e) {
    const MilFunction *f = e->f;
    for (uint32_t v = 0; v < f->n_values; v++) e->storages[v].last_use = NO_INDEX;
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *op = &f->ops[i];
        for (uint32_t p = 0; p < op->info->n_params; p++)
            for (uint32_t a = 0; a < op->args[p].count; a++)
                use(e, f->operands[op->args[p].first + a].at, i);
    }
    for (uint32_t i = 0; i < f->n_outputs; i++) use(e, f->outputs[i].at, f->n_ops);
}

static size_t bytes_of(const Engine *e, uint32_t root) {
    return (size_t)round_up(max_size(e->tensors[root].count, 1) * sizeof(float), 64);
}

// ---- the workspace: places that are free, by address

typedef struct {
    size_t at, bytes;
} Region;

typedef struct {
    Region *free; // ascending, never touching each other
    size_t n_free;
    size_t end; // of the workspace so far
} Workspace;

static void region_remove(Workspace *w, size_t i) {
    memmove(&w->free[i], &w->free[i + 1], (w->n_free - i - 1) * sizeof *w->free);
    w->n_free--;
}

// The smallest free region that fits, else new room at the end.
static size_t workspace_take(Workspace *w, size_t bytes) {
    size_t best = w->n_free;
    for (size_t i = 0; i < w->n_free; i++)
        if (w->free[i].bytes >= bytes &&
            (best == w->n_free || w->free[i].bytes < w->free[best].bytes))
            best = i;
    if (best < w->n_free) {
        Region *r = &w->free[best];
        size_t at = r->at;
        r->at += bytes;
        r->bytes -= bytes;
        if (r->bytes == 0) region_remove(w, best);
        return at;
    }
    // A free region at the very end grows.
    if (w->n_free && w->free[w->n_free - 1].at + w->free[w->n_free - 1].bytes == w->end) {
        w->end = w->free[--w->n_free].at;
    }
    size_t at = w->end;
    w->end += bytes;
    return at;
}

static void workspace_give(Workspace *w, size_t at, size_t bytes) {
    size_t i = 0;
    while (i < w->n_free && w->free[i].at < at) i++;
    bool joins_before = i > 0 && w->free[i - 1].at + w->free[i - 1].bytes == at;
    bool joins_after = i < w->n_free && at + bytes == w->free[i].at;
    if (joins_before) {
        w->free[i - 1].bytes += bytes;
        if (joins_after) {
            w->free[i - 1].bytes += w->free[i].bytes;
            region_remove(w, i);
        }
    } else if (joins_after) {
        w->free[i].at = at;
        w->free[i].bytes += bytes;
    } else {
        memmove(&w->free[i + 1], &w->free[i], (w->n_free - i) * sizeof *w->free);
        w->free[i] = (Region){at, bytes};
        w->n_free++;
    }
}

// ---- slots: one place in the workspace, used by one root after another

typedef struct {
    size_t at, bytes;
    uint32_t last_use;
    bool is_open;
} Slot;

// True when every other operand of `op` that lies in `slot` is the same elements in the same order
// as `x`, so that overwriting x element by element is safe.
static bool overlaps_only_evenly(const Engine *e, const MilOp *op, uint32_t x, uint32_t slot) {
    const ValueStorage *stored = &e->storages[x];
    for (uint32_t p = 0; p < op->info->n_params; p++)
        for (uint32_t a = 0; a < op->args[p].count; a++) {
            uint32_t v = e->f->operands[op->args[p].first + a].at;
            const ValueStorage *other = &e->storages[v], *root = &e->storages[other->root];
            if (root->kind != STORED_IN_WORKSPACE || root->slot != slot) continue;
            const MilType *a_type = &e->tensors[x].type, *b_type = &e->tensors[v].type;
            if (other->root != stored->root || other->at != stored->at ||
                a_type->rank != b_type->rank ||
                memcmp(a_type->dims, b_type->dims, (size_t)a_type->rank * sizeof *a_type->dims) !=
                    0)
                return false;
        }
    return true;
}

// A buffer that output 0 of op `i` can take over, or NO_INDEX.
static uint32_t slot_in_place(const Engine *e, const Slot *slots, uint32_t i, uint32_t root) {
    const ValueStorage *stored = &e->storages[root];
    for (uint32_t c = 0; c < stored->n_in_place; c++) {
        uint32_t x = stored->in_place[c];
        const ValueStorage *from = &e->storages[e->storages[x].root];
        if (from->kind != STORED_IN_WORKSPACE || slots[from->slot].last_use != i) continue;
        if (e->storages[x].at != 0 || e->tensors[x].count != e->tensors[root].count) continue;
        if (slots[from->slot].bytes != bytes_of(e, root)) continue;
        if (overlaps_only_evenly(e, &e->f->ops[i], x, from->slot)) return from->slot;
    }
    return NO_INDEX;
}

static void close_slots_of(Engine *e, Workspace *w, Slot *slots, uint32_t v, uint32_t i) {
    const ValueStorage *root = &e->storages[e->storages[v].root];
    if (root->kind != STORED_IN_WORKSPACE) return;
    Slot *s = &slots[root->slot];
    if (!s->is_open || s->last_use != i) return;
    s->is_open = false;
    workspace_give(w, s->at, s->bytes);
}

static void place_values(Engine *e, Slot *slots, uint32_t *n_slots, Workspace *w, bool reuse) {
    const MilFunction *f = e->f;
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *op = &f->ops[i];
        for (uint32_t o = 0; o < op->n_outputs; o++) {
            uint32_t v = op->first_output + o;
            ValueStorage *stored = &e->storages[v];
            if (stored->root != v || stored->kind != STORED_IN_WORKSPACE) continue;
            if (stored->last_use == NO_INDEX) stored->last_use = i; // nobody reads it
            uint32_t slot = reuse && o == 0 ? slot_in_place(e, slots, i, v) : NO_INDEX;
            if (slot == NO_INDEX) {
                slot = (*n_slots)++;
                size_t bytes = bytes_of(e, v);
                slots[slot] = (Slot){workspace_take(w, bytes), bytes, i, true};
            }
            stored->slot = slot;
            if (slots[slot].last_use < stored->last_use) slots[slot].last_use = stored->last_use;
        }
        if (!reuse) continue;
        for (uint32_t p = 0; p < op->info->n_params; p++)
            for (uint32_t a = 0; a < op->args[p].count; a++)
                close_slots_of(e, w, slots, f->operands[op->args[p].first + a].at, i);
        for (uint32_t o = 0; o < op->n_outputs; o++)
            close_slots_of(e, w, slots, op->first_output + o, i);
    }
}

static void point(EngineTensor *t, void *base, size_t at) {
    if (is_float(t->type.dtype))
        t->f32 = (float *)base + at;
    else
        t->i32 = (int32_t *)base + at;
}

// Inputs and expanded constants: one buffer each kind, in value order.
static bool place_fixed(Engine *e, StorageKind kind, void **buffer, const char *what, Err *err) {
    size_t bytes = 0;
    for (uint32_t v = 0; v < e->f->n_values; v++)
        if (e->storages[v].kind == kind && e->storages[v].root == v) bytes += bytes_of(e, v);
    *buffer = big_alloc(bytes, what, err);
    if (!*buffer) return false;
    char *at = *buffer;
    for (uint32_t v = 0; v < e->f->n_values; v++)
        if (e->storages[v].kind == kind && e->storages[v].root == v) {
            point(&e->tensors[v], at, 0);
            at += bytes_of(e, v);
        }
    return true;
}

static bool expand_constants(Engine *e, Err *err) {
    if (!place_fixed(e, STORED_AS_CONSTANT, &e->constants, "constants of the engine", err))
        return false;
    for (uint32_t v = 0; v < e->f->n_values; v++) {
        EngineTensor *t = &e->tensors[v];
        if (e->storages[v].kind != STORED_AS_CONSTANT || e->storages[v].root != v) continue;
        if (e->f->values[v].data && t->i32) {
            decode_ints(t->type.dtype, constant_bytes(e, v), 0, t->count, t->i32);
            continue;
        }
        const Weight *w = weight_of_constant(e, v, err);
        if (!w) return false;
        if (t->f32) weight_decode(w, 0, t->count, t->f32);
        for (size_t i = 0; t->i32 && i < t->count; i++) { // a palette of integers
            float number;
            weight_decode(w, i, 1, &number);
            t->i32[i] = (int32_t)number;
        }
    }
    return true;
}

static void choose_kinds(Engine *e) {
    const MilFunction *f = e->f;
    for (uint32_t v = 0; v < f->n_values; v++) {
        ValueStorage *stored = &e->storages[v];
        if (stored->root != v) {
            if (stored->wants_dense) e->storages[stored->root].wants_dense = true;
            continue;
        }
        if (stored->kind == STORED_AS_INPUT || stored->kind == STORED_IN_STATE) continue;
        if (f->values[v].type.dtype == MIL_STRING)
            stored->kind = STORED_NOWHERE;
        else if (!value_is_constant(f, v))
            stored->kind = STORED_IN_WORKSPACE;
    }
    for (uint32_t v = 0; v < f->n_values; v++) {
        ValueStorage *stored = &e->storages[v];
        if (stored->root == v && stored->kind == STORED_NOWHERE && stored->wants_dense &&
            value_is_constant(f, v))
            stored->kind = STORED_AS_CONSTANT;
    }
}

// Outputs whose buffer is not theirs alone are copied when a run ends.
static bool place_outputs(Engine *e, Err *err) {
    const MilFunction *f = e->f;
    size_t bytes = 0;
    for (uint32_t i = 0; i < f->n_outputs; i++) {
        uint32_t v = f->outputs[i].at;
        e->copies_output[i] = e->storages[e->storages[v].root].kind != STORED_IN_WORKSPACE;
        if (e->copies_output[i]) bytes += bytes_of(e, v);
    }
    e->copies = big_alloc(bytes, "outputs of the engine", err);
    if (!e->copies) return false;
    char *at = e->copies;
    for (uint32_t i = 0; i < f->n_outputs; i++) {
        uint32_t v = f->outputs[i].at;
        e->outputs[i] = e->tensors[v];
        if (!e->copies_output[i]) continue;
        point(&e->outputs[i], at, 0);
        at += bytes_of(e, v);
    }
    return true;
}

bool plan_buffers(Engine *e, bool reuse, Err *err) {
    const MilFunction *f = e->f;
    for (uint32_t i = 0; i < f->n_outputs; i++) e->storages[f->outputs[i].at].wants_dense = true;
    choose_kinds(e);
    find_last_uses(e);
    if (reuse) plan_states(e);

    Slot *slots = arena_array(&e->arena, f->n_values + 1, Slot);
    Workspace w = {.free = arena_array(&e->arena, f->n_values + 1, Region)};
    uint32_t n_slots = 0;
    place_values(e, slots, &n_slots, &w, reuse);
    e->workspace_bytes = w.end;
    e->workspace = big_alloc(w.end, "workspace of the engine", err);
    if (!e->workspace) return false;
    e->scratch = big_alloc(e->scratch_bytes * pool_threads(e->pool), "scratch of the engine", err);
    if (!e->scratch) return false;
    if (!place_fixed(e, STORED_AS_INPUT, &e->inputs, "inputs of the engine", err)) return false;
    if (!expand_constants(e, err)) return false;

    for (uint32_t v = 0; v < f->n_values; v++) {
        ValueStorage *stored = &e->storages[v], *root = &e->storages[stored->root];
        if (root->kind == STORED_IN_WORKSPACE)
            point(&e->tensors[v], (char *)e->workspace + slots[root->slot].at, stored->at);
        else if (stored->root != v &&
                 (root->kind == STORED_AS_INPUT || root->kind == STORED_AS_CONSTANT)) {
            const EngineTensor *from = &e->tensors[stored->root];
            point(&e->tensors[v], from->f32 ? (void *)from->f32 : (void *)from->i32, stored->at);
        }
    }
    return place_outputs(e, err);
}
