// Ops that move elements without changing them: views if the order stays, copies of boxes
// otherwise.
#include <string.h>

#include "engine/strided_copy.h"

// ---- reshape, expand_dims, squeeze, flatten2d: views always; the shape operand is in the type

bool prepare_reshape(Prepare *p) {
    const EngineTensor *x = prep_in(p, "x");
    if (x->count != prep_out(p, 0)->count)
        return prep_fail(p, "x has %zu elements, the shape has %zu", x->count,
                         prep_out(p, 0)->count);
    prep_view(p, 0, x, 0);
    return true;
}

// ---- ops that are one box

typedef struct {
    const EngineTensor *x;
    EngineTensor *out;
    Box box;
    size_t from; // where the walk starts in x
} MovePlan;

static MovePlan *move_plan(Prepare *p) {
    MovePlan *plan = prep_new(p, MovePlan);
    plan->x = prep_in(p, "x");
    plan->out = prep_out(p, 0);
    return plan;
}

// A box over all of `out` in its own order.
static Box box_over(const MilType *out) {
    Box b = {.rank = out->rank};
    size_t strides[MIL_MAX_RANK];
    row_major_strides(out, strides);
    for (int i = 0; i < out->rank; i++) {
        b.dims[i] = (size_t)out->dims[i];
        b.to_step[i] = (ptrdiff_t)strides[i];
    }
    return b;
}

bool prepare_transpose(Prepare *p) {
    MovePlan *plan = move_plan(p);
    int64_t perm[MOST_INTS];
    size_t rank;
    if (!prep_ints(p, "perm", perm, &rank)) return false;
    const MilType *x = &plan->x->type;
    if (rank != (size_t)x->rank) return prep_fail(p, "perm has %zu axes, x has %d", rank, x->rank);
    size_t strides[MIL_MAX_RANK];
    row_major_strides(x, strides);
    plan->box = box_over(&plan->out->type);
    bool keeps_order = true;
    int64_t last = -1;
    for (size_t i = 0; i < rank; i++) {
        int64_t axis = perm[i] < 0 ? perm[i] + x->rank : perm[i];
        if (axis < 0 || axis >= x->rank)
            return prep_fail(p, "perm[%zu] is %lld, but x has %zu axes", i, (long long)perm[i],
                             rank);
        plan->box.from_step[i] = (ptrdiff_t)strides[axis];
        if (x->dims[axis] == 1) continue;
        keeps_order = keeps_order && axis > last;
        last = axis;
    }
    if (keeps_order) prep_view(p, 0, plan->x, 0);
    return true;
}

bool prepare_reverse(Prepare *p) {
    MovePlan *plan = move_plan(p);
    bool is_reversed[MIL_MAX_RANK];
    const MilType *x = &plan->x->type;
    if (!prep_axes(p, "axes", x->rank, is_reversed)) return false;
    plan->box = box_over(x);
    for (int i = 0; i < x->rank; i++) {
        plan->box.from_step[i] = plan->box.to_step[i];
        if (!is_reversed[i] || x->dims[i] == 0) continue;
        plan->from += (size_t)(x->dims[i] - 1) * (size_t)plan->box.to_step[i];
        plan->box.from_step[i] = -plan->box.to_step[i];
    }
    return true;
}

bool run_move(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const MovePlan *p = n->plan;
    box_copy_threaded(&p->box, e->pool, tensor_data(p->out), element_at(p->x, p->from));
    return true;
}

// depth_to_space and pixel_shuffle: channels [c, b, b] (pixel_shuffle) or [b, b, c] to [c, h b, w
// b]; space_to_depth the other way round.
static bool prepare_blocks(Prepare *p, const char *param, bool to_space, bool block_first) {
    MovePlan *plan = move_plan(p);
    int64_t block;
    if (!prep_int(p, param, 1, &block)) return false;
    const MilType *space = to_space ? &plan->out->type : &plan->x->type;
    if (space->rank != 4 || block < 1 || space->dims[2] % block || space->dims[3] % block)
        return prep_fail(p, "%s %lld does not divide the image", param, (long long)block);
    size_t b = (size_t)block, n = (size_t)space->dims[0], c = (size_t)space->dims[1];
    size_t h = (size_t)space->dims[2] / b, w = (size_t)space->dims[3] / b;
    size_t area = h * w, channel = block_first ? area : b * b * area;
    size_t block_row = block_first ? b * c * area : b * area;
    size_t block_col = block_first ? c * area : area;
    // axes n, c, h, block row, w, block column: steps in the deep and in the wide tensor
    const size_t deep[MIL_MAX_RANK] = {c * b * b * area, channel, w, block_row, 1, block_col};
    const size_t wide[MIL_MAX_RANK] = {c * h * b * w * b, h * b * w * b, b * w * b, w * b, b, 1};
    const size_t dims[MIL_MAX_RANK] = {n, c, h, b, w, b};
    plan->box.rank = MIL_MAX_RANK;
    for (int i = 0; i < MIL_MAX_RANK; i++) {
        plan->box.dims[i] = dims[i];
        plan->box.to_step[i] = (ptrdiff_t)(to_space ? wide[i] : deep[i]);
        plan->box.from_step[i] = (ptrdiff_t)(to_space ? deep[i] : wide[i]);
    }
    return true;
}

bool prepare_depth_to_space(Prepare *p) {
    return prepare_blocks(p, "block_size", true, true);
}
bool prepare_space_to_depth(Prepare *p) {
    return prepare_blocks(p, "block_size", false, true);
}
bool prepare_pixel_shuffle(Prepare *p) {
    return prepare_blocks(p, "upscale_factor", true, false);
}

// sliding_windows: axis of size (n - size) / stride + 1, then one of `size`.
bool prepare_sliding_windows(Prepare *p) {
    MovePlan *plan = move_plan(p);
    int axis;
    int64_t size, stride;
    const MilType *x = &plan->x->type;
    if (!prep_axis(p, "axis", 0, x->rank, &axis)) return false;
    if (!prep_int(p, "size", 1, &size) || !prep_int(p, "stride", 1, &stride)) return false;
    size_t strides[MIL_MAX_RANK];
    row_major_strides(x, strides);
    plan->box = box_over(&plan->out->type);
    for (int i = 0; i < plan->box.rank; i++) {
        ptrdiff_t step = (ptrdiff_t)strides[i <= axis ? i : i - 1];
        plan->box.from_step[i] = i == axis ? step * (ptrdiff_t)stride : step;
    }
    return true;
}

// ---- tile: every axis as [reps, dim] with the repeats standing still

typedef struct {
    const EngineTensor *x, *reps;
    EngineTensor *out;
} TilePlan;

bool prepare_tile(Prepare *p) {
    TilePlan *plan = prep_new(p, TilePlan);
    plan->x = prep_in(p, "x");
    plan->reps = prep_in(p, "reps");
    plan->out = prep_out(p, 0);
    return true;
}

bool run_tile(const Engine *e, const Node *n, Err *err) {
    (void)e;
    const TilePlan *p = n->plan;
    const MilType *x = &p->x->type, *out = &p->out->type;
    size_t x_strides[MIL_MAX_RANK], out_strides[MIL_MAX_RANK], copies = 1;
    row_major_strides(x, x_strides);
    row_major_strides(out, out_strides);
    Box box = {.rank = x->rank};
    for (int i = 0; i < x->rank; i++) {
        if (x->dims[i] * p->reps->i32[i] != out->dims[i])
            return run_fail(n, err, "reps[%d] is %d, but axis %d of %lld becomes %lld", i,
                            p->reps->i32[i], i, (long long)x->dims[i], (long long)out->dims[i]);
        copies *= (size_t)p->reps->i32[i];
        box.dims[i] = (size_t)x->dims[i];
        box.to_step[i] = (ptrdiff_t)out_strides[i];
        box.from_step[i] = (ptrdiff_t)x_strides[i];
    }
    for (size_t copy = 0; copy < copies; copy++) {
        size_t at = 0, rest = copy;
        for (int i = x->rank - 1; i >= 0; i--) {
            size_t reps = (size_t)p->reps->i32[i];
            at += rest % reps * box.dims[i] * out_strides[i];
            rest /= reps;
        }
        box_copy(&box, element_at(p->out, at), tensor_data(p->x));
    }
    return true;
}

// ---- concat, stack, split: one box a part

typedef struct {
    uint32_t n_parts;
    const EngineTensor **parts; // of split: outputs
    const EngineTensor *whole;
    Box *boxes;
    size_t *at; // where each part starts in the whole
} JoinPlan;

static JoinPlan *join_plan(Prepare *p, uint32_t n) {
    JoinPlan *plan = prep_new(p, JoinPlan);
    plan->n_parts = n;
    plan->parts = arena_array(&p->e->arena, n, const EngineTensor *);
    plan->boxes = arena_array(&p->e->arena, n, Box);
    plan->at = arena_array(&p->e->arena, n, size_t);
    return plan;
}

bool prepare_concat(Prepare *p) {
    JoinPlan *plan = join_plan(p, prep_count(p, "values"));
    plan->whole = prep_out(p, 0);
    const MilType *out = &plan->whole->type;
    int axis;
    bool interleaves;
    if (!prep_axis(p, "axis", 0, out->rank, &axis)) return false;
    if (!prep_bool(p, "interleave", false, &interleaves)) return false;
    AxisSplit whole = axis_split(out, axis);
    size_t at = 0;
    for (uint32_t i = 0; i < plan->n_parts; i++) {
        const EngineTensor *part = plan->parts[i] = prep_in_at(p, "values", i);
        size_t size =
            part->type.rank ? (size_t)part->type.dims[axis] : 1; // scalars become a vector
        size_t step = interleaves ? plan->n_parts : 1;
        plan->boxes[i] = (Box){
            .rank = 3,
            .dims = {whole.outer, size, whole.inner},
            .to_step = {(ptrdiff_t)(whole.size * whole.inner), (ptrdiff_t)(step * whole.inner), 1},
            .from_step = {(ptrdiff_t)(size * whole.inner), (ptrdiff_t)whole.inner, 1},
        };
        plan->at[i] = (interleaves ? i : at) * whole.inner;
        at += size;
    }
    return true;
}

bool prepare_stack(Prepare *p) {
    JoinPlan *plan = join_plan(p, prep_count(p, "values"));
    plan->whole = prep_out(p, 0);
    int axis;
    if (!prep_axis(p, "axis", 0, plan->whole->type.rank, &axis)) return false;
    AxisSplit whole = axis_split(&plan->whole->type, axis);
    for (uint32_t i = 0; i < plan->n_parts; i++) {
        plan->parts[i] = prep_in_at(p, "values", i);
        plan->boxes[i] = (Box){
            .rank = 2,
            .dims = {whole.outer, whole.inner},
            .to_step = {(ptrdiff_t)(whole.size * whole.inner), 1},
            .from_step = {(ptrdiff_t)whole.inner, 1},
        };
        plan->at[i] = i * whole.inner;
    }
    return true;
}

bool run_join(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const JoinPlan *p = n->plan;
    for (uint32_t i = 0; i < p->n_parts; i++)
        box_copy_threaded(&p->boxes[i], e->pool, element_at(p->whole, p->at[i]),
                          tensor_data(p->parts[i]));
    return true;
}

bool prepare_split(Prepare *p) {
    JoinPlan *plan = join_plan(p, p->op->n_outputs);
    plan->whole = prep_in(p, "x");
    int axis;
    if (!prep_axis(p, "axis", 0, plan->whole->type.rank, &axis)) return false;
    AxisSplit whole = axis_split(&plan->whole->type, axis);
    size_t at = 0;
    for (uint32_t i = 0; i < plan->n_parts; i++) {
        EngineTensor *part = prep_out(p, i);
        plan->parts[i] = part;
        size_t size = (size_t)part->type.dims[axis];
        plan->boxes[i] = (Box){
            .rank = 2,
            .dims = {whole.outer, size * whole.inner},
            .to_step = {(ptrdiff_t)(size * whole.inner), 1},
            .from_step = {(ptrdiff_t)(whole.size * whole.inner), 1},
        };
        plan->at[i] = at * whole.inner;
        if (whole.outer == 1) prep_view(p, i, plan->whole, plan->at[i]);
        at += size;
    }
    return true;
}

bool run_split(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const JoinPlan *p = n->plan;
    for (uint32_t i = 0; i < p->n_parts; i++)
        box_copy_threaded(&p->boxes[i], e->pool, tensor_data(p->parts[i]),
                          element_at(p->whole, p->at[i]));
    return true;
}

// ---- pad: the last axes, as [before, after] pairs

typedef enum { PAD_CONSTANT, PAD_REFLECT, PAD_REPLICATE } PadMode;

typedef struct {
    const EngineTensor *x, *pad;
    EngineTensor *out;
    PadMode mode;
    float value;
} PadPlan;

bool prepare_pad(Prepare *p) {
    PadPlan *plan = prep_new(p, PadPlan);
    plan->x = prep_in(p, "x");
    plan->pad = prep_in(p, "pad");
    plan->out = prep_out(p, 0);
    Str mode;
    double value;
    if (!prep_str(p, "mode", "constant", &mode)) return false;
    if (!prep_float(p, "constant_val", 0, &value)) return false;
    plan->value = (float)value;
    plan->mode = str_is(mode, "reflect")     ? PAD_REFLECT
                 : str_is(mode, "replicate") ? PAD_REPLICATE
                                             : PAD_CONSTANT;
    if (plan->mode == PAD_CONSTANT && !str_is(mode, "constant"))
        return prep_fail(p, "mode '%.*s': expected constant, reflect or replicate", STR_ARG(mode));
    return true;
}

// Where output index `i` of an axis comes from; false for the constant.
static bool pad_source(PadMode mode, int64_t i, int64_t size, int64_t *from) {
    *from = i;
    if (i >= 0 && i < size) return true;
    switch (mode) {
    case PAD_CONSTANT: return false;
    case PAD_REPLICATE: *from = i < 0 ? 0 : size - 1; return true;
    case PAD_REFLECT: *from = i < 0 ? -i : 2 * (size - 1) - i; return true;
    }
    return false;
}

bool run_pad(const Engine *e, const Node *n, Err *err) {
    (void)e;
    const PadPlan *p = n->plan;
    const MilType *x = &p->x->type, *out = &p->out->type;
    int n_padded = (int)p->pad->count / 2;
    int64_t before[MIL_MAX_RANK] = {0};
    for (int i = 0; i < n_padded; i++) {
        int axis = x->rank - n_padded + i;
        int64_t low = p->pad->i32[2 * i], high = p->pad->i32[2 * i + 1], size = x->dims[axis];
        bool reflects = p->mode == PAD_REFLECT;
        if (low < 0 || high < 0 || low + size + high != out->dims[axis] ||
            (reflects && (low >= size || high >= size)))
            return run_fail(n, err, "axis %d of %lld cannot be padded by %lld and %lld to %lld",
                            axis, (long long)size, (long long)low, (long long)high,
                            (long long)out->dims[axis]);
        before[axis] = low;
    }
    size_t strides[MIL_MAX_RANK];
    row_major_strides(x, strides);
    for (size_t i = 0; i < p->out->count; i++) {
        size_t rest = i, at = 0;
        bool inside = true;
        for (int axis = out->rank - 1; axis >= 0; axis--) {
            int64_t index = (int64_t)(rest % (size_t)out->dims[axis]) - before[axis], from;
            rest /= (size_t)out->dims[axis];
            if (pad_source(p->mode, index, x->dims[axis], &from))
                at += (size_t)from * strides[axis];
            else
                inside = false;
        }
        if (p->out->f32)
            p->out->f32[i] = inside ? p->x->f32[at] : p->value;
        else
            p->out->i32[i] = inside ? p->x->i32[at] : (int32_t)p->value;
    }
    return true;
}
