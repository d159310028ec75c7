// cost.c — the segment cost model: an estimate of what Core ML's segmenter would choose.
//
// It takes the ops in file order, gives each a cost per backend and finds the cheapest path; a
// segment on the ANE, a change of backend and an output made on the ANE cost 0.125 ms each. That
// model reproduced 440 of 482 graphs with the segmenter's own costs (751K/Apple-Neural-Engine-
// Microarchitecture-Study-M6: notes/coreml_dispatch.md; M4, macOS 27).
//
// Of its costs of single ops only a few are published. The costs here are straight lines through
// those, plus the time to stream weights (67 GB/s packed on the ANE of an M4, from
// notes/comparison.md; for the CPU fp16 weights at the 100 GB/s of the published costs). Expect an
// error of a factor of two or more on that chip; other chips are unknown.
//
// The segmenter does not know the half speed of rule X01, so its choice is estimated without it;
// the lost time is added to the time of a call.
#include "placement/judge.h"

// Microseconds for 64 × 32 × 32 fp16 elements, read and written: 262,144 bytes.
typedef struct {
    double ane, cpu;
} Cost;

#define ANCHOR_BYTES        262144.0
#define CONV_START          ((Cost){0.73, 11.8}) // line through the 1×1 and the 3×3 anchor:
#define CONV_PER_MAC        ((Cost){0.104e-6, 2.338e-6}) // 1.17 | 21.62 and 4.67 | 100.06 µs
#define MATMUL_PER_MAC      ((Cost){0.534e-6, 2.651e-6}) // 2.24 | 11.12 for 128 × 256 × 128
#define WEIGHT_BYTES_PER_US ((Cost){67e3, 100e3})

typedef enum { COST_FREE, COST_ELEMENTS, COST_ROWS, COST_TRANSPOSE, COST_CONCAT } MemoryClass;
static const Cost memory_costs[] = {
    [COST_FREE] = {0, 0},
    [COST_ELEMENTS] = {2.62, 3.15},  // relu: 2.62 | 2.62; others of its kind 0.83 of the CPU
    [COST_ROWS] = {3.59, 4.31},      // softmax, layer_norm
    [COST_TRANSPOSE] = {3.81, 3.00}, // swaps the last two axes
    [COST_CONCAT] = {2.62, 22.79},   // over channels
};

#define STEP_MS 0.125

static MemoryClass class_of(MilOpcode opcode) {
    switch (opcode) {
    case MIL_OP_reshape:
    case MIL_OP_expand_dims:
    case MIL_OP_squeeze:
    case MIL_OP_read_state:
    case MIL_OP_write_state: return COST_FREE;
    case MIL_OP_softmax:
    case MIL_OP_layer_norm:
    case MIL_OP_reduce_sum:
    case MIL_OP_reduce_mean:
    case MIL_OP_reduce_max: return COST_ROWS;
    case MIL_OP_transpose: return COST_TRANSPOSE;
    case MIL_OP_concat: return COST_CONCAT;
    default: return COST_ELEMENTS;
    }
}

// Open dims count as one.
static double elements(const MilType *t) {
    double n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dims[i] > 0 ? (double)t->dims[i] : 1;
    return n;
}

static double bytes_of(const MilType *t) {
    return elements(t) * (double)mil_dtypes[t->dtype].bits / 8;
}

double judge_packed_bytes(const Judge *j, const MilValue *v) {
    if (v->op == MIL_NO_OP || !(j->f->ops[v->op].info->flags & MIL_OP_CONSTEXPR))
        return bytes_of(&v->type);
    const MilOp *op = &j->f->ops[v->op];
    return judge_packed_bytes(j, mil_value(j->f, j->f->operands[op->args[0].first]));
}

static double dim(const MilType *t, int from_end) {
    return t->rank >= from_end && t->dims[t->rank - from_end] > 0
               ? (double)t->dims[t->rank - from_end]
               : 1;
}

static double macs(const Judge *j, const MilOp *op) {
    const MilType *out = &j->f->values[op->first_output].type;
    switch (op->info->opcode) {
    case MIL_OP_conv: {
        const MilType *w = &judge_operand(j, op, "weight")->type;
        return elements(out) * elements(w) / (w->dims[0] > 0 ? (double)w->dims[0] : 1);
    }
    case MIL_OP_linear: return elements(out) * dim(&judge_operand(j, op, "x")->type, 1);
    case MIL_OP_matmul: {
        bool is_turned = false;
        mil_arg_bool(j->f, op, "transpose_x", &is_turned);
        return elements(out) * dim(&judge_operand(j, op, "x")->type, is_turned ? 2 : 1);
    }
    case MIL_OP_scaled_dot_product_attention: {
        const MilType *k = &judge_operand(j, op, "key")->type;
        return 2 * elements(&judge_operand(j, op, "query")->type) * dim(k, 2);
    }
    default: return 0;
    }
}

static double greater(double a, double b) {
    return a > b ? a : b;
}

static Cost product_cost(const Judge *j, const MilOp *op, double n_macs) {
    double packed = 0, unpacked = 0;
    for (uint32_t p = 0; p < op->info->n_params; p++)
        for (uint32_t k = 0; k < op->args[p].count; k++) {
            const MilValue *v = mil_value(j->f, j->f->operands[op->args[p].first + k]);
            if (!v->is_constant) continue;
            packed += judge_packed_bytes(j, v);
            unpacked += bytes_of(&v->type);
        }
    bool is_conv = op->info->opcode == MIL_OP_conv || op->info->opcode == MIL_OP_linear;
    Cost start = is_conv ? CONV_START : (Cost){0, 0};
    Cost per_mac = is_conv ? CONV_PER_MAC : MATMUL_PER_MAC;
    return (Cost){
        start.ane + greater(per_mac.ane * n_macs, packed / WEIGHT_BYTES_PER_US.ane),
        start.cpu + greater(per_mac.cpu * n_macs, unpacked / WEIGHT_BYTES_PER_US.cpu),
    };
}

// Microseconds of one op.
static Cost op_cost(const Judge *j, const MilOp *op) {
    double n_macs = macs(j, op);
    if (n_macs > 0) return product_cost(j, op, n_macs);
    double n_bytes = 0;
    for (uint32_t i = 0; i < op->n_outputs; i++)
        n_bytes += bytes_of(&j->f->values[op->first_output + i].type);
    // An update in place moves the new rows, a slice what it cuts out: twice its result at most.
    bool is_update = op->info->opcode == MIL_OP_slice_update;
    if (is_update) n_bytes = bytes_of(&judge_operand(j, op, "update")->type);
    if (op->info->opcode == MIL_OP_slice_by_index || is_update) {
        n_bytes *= 2;
    } else {
        for (uint32_t p = 0; p < op->info->n_params; p++)
            for (uint32_t k = 0; k < op->args[p].count; k++) {
                const MilValue *v = mil_value(j->f, j->f->operands[op->args[p].first + k]);
                if (!v->is_constant && !v->type.is_state) n_bytes += bytes_of(&v->type);
            }
    }
    Cost per_anchor = memory_costs[class_of((MilOpcode)op->info->opcode)];
    return (Cost){per_anchor.ane * n_bytes / ANCHOR_BYTES, per_anchor.cpu * n_bytes / ANCHOR_BYTES};
}

// The cheapest way to have come to this op with …
typedef struct {
    double ms, price_ms; // in all; of it for launches and changes
    uint32_t n_segments;
    bool is_possible;
} Path;

static Path step(Path from, double price_ms, double op_us, bool opens) {
    from.price_ms += price_ms;
    from.ms += price_ms + op_us / 1000;
    from.n_segments += opens;
    return from;
}

static Path cheaper(Path a, Path b) {
    if (!a.is_possible) return b;
    return !b.is_possible || a.ms <= b.ms ? a : b;
}

// What the ops at half speed lose by it: as long again as their stream takes.
static double notch_ms(const Judge *j) {
    return (double)j->out->slow_bytes * (1 / NOTCH_SPEED - 1) / WEIGHT_BYTES_PER_US.ane / 1000;
}

PlacementEstimate judge_cost(const Judge *j) {
    const MilFunction *f = j->f;
    // … everything on the CPU so far, this op on the ANE, this op on the CPU after one of the ANE.
    Path cpu = {.is_possible = true}, ane = {0}, back = {0};
    bool is_first = true;
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *op = &f->ops[i];
        if (!placement_counts(f, op)) continue;
        Cost cost = op_cost(j, op);
        // Nothing changes before the first op; later ones come from the CPU.
        Path open = step(cpu, is_first ? STEP_MS : 2 * STEP_MS, cost.ane, true);
        Path reopen = back.is_possible ? step(back, 2 * STEP_MS, cost.ane, true) : back;
        Path stay = ane.is_possible ? step(ane, 0, cost.ane, false) : ane;
        Path leave = ane.is_possible ? step(ane, STEP_MS, cost.cpu, false) : ane;
        Path linger = back.is_possible ? step(back, 0, cost.cpu, false) : back;
        cpu = step(cpu, 0, cost.cpu, false);
        ane = cheaper(stay, cheaper(open, reopen));
        ane.is_possible = ane.is_possible && j->out->verdicts[i] != PLACE_NOT;
        back = cheaper(leave, linger);
        is_first = false;
    }
    if (ane.is_possible) ane = step(ane, STEP_MS, 0, false); // the output
    Path best = cheaper(ane, back);
    PlacementEstimate e = {.cpu_ms = cpu.ms,
                           .ane_ms = best.ms,
                           .price_ms = best.price_ms,
                           .n_segments = best.n_segments,
                           .verdict = PLACE_NOT};
    if (!best.is_possible || j->out->evicted_by) return e;
    double saved_ms = cpu.ms - (best.ms - best.price_ms);
    if (saved_ms > best.price_ms / 2)
        e.verdict = saved_ms < 2 * best.price_ms ? PLACE_UNKNOWN : PLACE_ANE;
    e.notch_ms = notch_ms(j);
    e.ane_ms += e.notch_ms;
    return e;
}
