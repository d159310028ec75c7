// Functions that several passes use, and the text form of nodes.
#include "engine/pass.h"

#include <math.h>

static bool works(const Node *n) {
    return n->row->run && !n->is_view;
}

uint32_t pass_next_op(const Engine *e, uint32_t i) {
    do i++;
    while (i < e->f->n_ops && !works(&e->nodes[i]));
    return i;
}

ValueUse *pass_uses(const Engine *e, Arena *arena) {
    const MilFunction *f = e->f;
    ValueUse *uses = arena_array(arena, f->n_values + 1, ValueUse);
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *op = &f->ops[i];
        for (uint32_t p = 0; p < op->info->n_params; p++)
            for (uint32_t a = 0; a < op->args[p].count; a++) {
                ValueUse *use = &uses[f->operands[op->args[p].first + a].at];
                *use = (ValueUse){use->n + 1, i};
            }
    }
    for (uint32_t i = 0; i < f->n_outputs; i++) {
        ValueUse *use = &uses[f->outputs[i].at];
        *use = (ValueUse){use->n + 1, NO_INDEX};
    }
    return uses;
}

Span *pass_new_span(Engine *e, const char *pass, uint32_t first, uint32_t n_ops) {
    Span *s = arena_new(&e->arena, Span);
    *s = (Span){.pass = pass, .first = first, .n_ops = n_ops};
    e->nodes[first].span = s;
    return s;
}

bool pass_all_finite(const EngineTensor *t) {
    bool is_finite = true;
    for (size_t i = 0; i < t->count; i++) is_finite = is_finite && isfinite(t->f32[i]);
    return is_finite;
}

size_t pass_written_rows(const Engine *e, uint32_t v, size_t slots) {
    const ValueStorage *stored = &e->storages[v], *root = &e->storages[stored->root];
    if (root->kind != STORED_IN_STATE) return slots;
    const StateBuffer *state = e->states[root->slot].bound;
    const MilType *whole = &state->tensor.type, *part = &e->tensors[v].type;
    if (whole->rank < 2) return slots;
    // A view is one stretch of the state. Its matrices are the state's when they are as large and
    // begin where one of those does.
    int64_t rows = part->dims[part->rank - 2], width = part->dims[part->rank - 1];
    bool is_matrices = whole->dims[whole->rank - 2] == rows &&
                       whole->dims[whole->rank - 1] == width &&
                       stored->at % (size_t)(rows * width) == 0;
    return is_matrices ? state->written[whole->rank - 2] : slots;
}

static void print_values(const Engine *e, const MilOp *op, StrBuf *out) {
    if (op->n_outputs == 0) strbuf_add(out, op->name); // write_state gives no value
    for (uint32_t o = 0; o < op->n_outputs; o++)
        strbuf_printf(out, "%s%.*s", o ? ", " : "",
                      STR_ARG(e->f->values[op->first_output + o].name));
}

void nodes_print(const Engine *e, StrBuf *out) {
    for (uint32_t i = 0; i < e->f->n_ops; i++) {
        const Span *s = e->nodes[i].span;
        if (!s) {
            if (!works(&e->nodes[i])) continue;
            print_values(e, &e->f->ops[i], out);
            strbuf_printf(out, " = %s\n", e->f->ops[i].info->name);
            continue;
        }
        uint32_t last = s->first + s->n_ops - 1;
        print_values(e, &e->f->ops[last], out);
        strbuf_printf(out, " = %s(", s->pass);
        for (uint32_t k = s->first; k < last; k = pass_next_op(e, k)) {
            if (k > s->first) strbuf_printf(out, ", ");
            print_values(e, &e->f->ops[k], out);
        }
        strbuf_printf(out, ")\n");
        i = last;
    }
}
