// slice_by_index, slice_by_size, slice_update. begin and end may be computed: they are read at each
// run and must then give the shape that the program declares.
#include <string.h>

#include "engine/strided_copy.h"

// Applies begin, end, stride and the masks, once begin and end are known.
typedef struct {
    const EngineTensor *begin, *end; // int, [rank of x]; end NULL for slice_by_size
    int64_t stride[MOST_INTS];
    bool begin_mask[MIL_MAX_RANK], end_mask[MIL_MAX_RANK], squeeze[MIL_MAX_RANK];
} SliceArgs;

typedef struct {
    const EngineTensor *x, *update; // update: of slice_update
    EngineTensor *out;
    SliceArgs args;
    int64_t size[MIL_MAX_RANK]; // along each axis of x, 1 where squeezed
} SlicePlan;

static bool read_mask(Prepare *p, const char *param, int rank, bool mask[MIL_MAX_RANK]) {
    int64_t bits[MOST_INTS];
    size_t count;
    if (!prep_ints(p, param, bits, &count)) return false;
    if (count && count != (size_t)rank)
        return prep_fail(p, "%s: %zu entries for a tensor of rank %d", param, count, rank);
    for (size_t i = 0; i < count; i++) mask[i] = bits[i] != 0;
    return true;
}

static bool read_args(Prepare *p, SliceArgs *a, int rank) {
    size_t count;
    if (!prep_ints(p, "stride", a->stride, &count)) return false;
    for (int i = 0; i < rank && count == 0; i++) a->stride[i] = 1;
    for (int i = 0; i < rank; i++)
        if (a->stride[i] == 0) return prep_fail(p, "stride[%d] cannot be 0", i);
    if (!read_mask(p, "begin_mask", rank, a->begin_mask)) return false;
    if (!read_mask(p, "end_mask", rank, a->end_mask)) return false;
    if (!read_mask(p, "squeeze_mask", rank, a->squeeze)) return false;
    a->begin = prep_in(p, "begin");
    a->end = prep_in(p, "end");
    if (a->begin->count != (size_t)rank || (a->end && a->end->count != (size_t)rank))
        return prep_fail(p, "begin and end: expected one number for each of %d axes", rank);
    return true;
}

// Sizes along the axes of x, from the shape of the slice: axes that were squeezed have none there.
static bool sizes_of(Prepare *p, SlicePlan *plan, const MilType *slice) {
    const MilType *x = &plan->x->type;
    int at = 0;
    for (int i = 0; i < x->rank; i++) {
        if (plan->args.squeeze[i])
            plan->size[i] = 1;
        else if (at < slice->rank)
            plan->size[i] = slice->dims[at++];
        else
            return prep_fail(p, "the slice has %d axes, but x keeps more after squeezing",
                             slice->rank);
    }
    return at == slice->rank || prep_fail(p, "the slice has %d axes, expected %d", slice->rank, at);
}

// Where the slice starts along an axis and how many elements it has, by Python's rules.
static int64_t slice_size(const SliceArgs *a, int axis, int64_t dim, int64_t begin, int64_t end,
                          int64_t *first) {
    int64_t stride = a->stride[axis];
    if (begin < 0) begin += dim;
    if (end < 0) end += dim;
    if (a->squeeze[axis]) {
        *first = begin;
        return begin >= 0 && begin < dim;
    }
    int64_t low = stride > 0 ? 0 : -1, high = stride > 0 ? dim : dim - 1;
    begin = begin < low ? low : begin > high ? high : begin;
    end = end < low ? low : end > high ? high : end;
    if (a->begin_mask[axis]) begin = stride > 0 ? 0 : dim - 1;
    if (a->end_mask[axis]) end = stride > 0 ? dim : -1;
    *first = begin;
    if (stride > 0) return end > begin ? (end - begin + stride - 1) / stride : 0;
    return begin > end ? (begin - end - stride - 1) / -stride : 0;
}

// The slice as first element and steps within x, and after which index it ends on each axis. False
// when it has not the declared size.
static bool locate(const Node *n, const SlicePlan *p, size_t *at, ptrdiff_t step[MIL_MAX_RANK],
                   size_t last_end[MIL_MAX_RANK], Err *err) {
    const MilType *x = &p->x->type;
    size_t strides[MIL_MAX_RANK];
    row_major_strides(x, strides);
    *at = 0;
    for (int i = 0; i < x->rank; i++) {
        int64_t begin = p->args.begin->i32[i], end, first;
        if (p->args.end) {
            end = p->args.end->i32[i];
        } else { // slice_by_size: all of it must lie inside
            if (begin < 0 || begin + p->size[i] > x->dims[i])
                return run_fail(n, err, "axis %d: begin %lld and size %lld reach outside of %lld",
                                i, (long long)begin, (long long)p->size[i], (long long)x->dims[i]);
            end = begin + p->size[i];
        }
        int64_t size = slice_size(&p->args, i, x->dims[i], begin, end, &first);
        if (size != p->size[i])
            return run_fail(
                n, err,
                "axis %d of %lld: begin %lld and end %lld give %lld elements, expected %lld", i,
                (long long)x->dims[i], (long long)begin, (long long)end, (long long)size,
                (long long)p->size[i]);
        int64_t stride = p->args.squeeze[i] ? 1 : p->args.stride[i];
        if (size) *at += (size_t)first * strides[i];
        step[i] = (ptrdiff_t)strides[i] * (ptrdiff_t)stride;
        last_end[i] = size ? (size_t)(stride > 0 ? first + (size - 1) * stride : first) + 1 : 0;
    }
    return true;
}

static Box slice_box(const SlicePlan *p, const ptrdiff_t step[MIL_MAX_RANK], bool is_update) {
    Box b = {.rank = p->x->type.rank};
    ptrdiff_t dense = 1;
    for (int i = b.rank - 1; i >= 0; i--) {
        b.dims[i] = (size_t)p->size[i];
        b.to_step[i] = is_update ? step[i] : dense;
        b.from_step[i] = is_update ? dense : step[i];
        dense *= (ptrdiff_t)p->size[i];
    }
    return b;
}

// With constant begin and end a slice that is one stretch of x is a view.
static bool view_if_stretch(Prepare *p, SlicePlan *plan) {
    const MilType *x = &plan->x->type;
    int64_t begin[MOST_INTS], end[MOST_INTS];
    size_t count;
    uint32_t begin_at = (uint32_t)(plan->args.begin - p->e->tensors);
    uint32_t end_at = plan->args.end ? (uint32_t)(plan->args.end - p->e->tensors) : begin_at;
    if (!p->f->values[begin_at].data || !p->f->values[end_at].data) return true;
    if (!prep_ints(p, "begin", begin, &count)) return false;
    if (plan->args.end && !prep_ints(p, "end", end, &count)) return false;
    size_t strides[MIL_MAX_RANK], at = 0;
    row_major_strides(x, strides);
    bool inner_only = false; // some axis outside has several elements: the rest must be whole
    for (int i = 0; i < x->rank; i++) {
        int64_t first;
        if (!plan->args.end) end[i] = begin[i] + plan->size[i];
        int64_t size = slice_size(&plan->args, i, x->dims[i], begin[i], end[i], &first);
        if (size != plan->size[i] || size == 0) return true; // run time says what is wrong
        bool is_whole = size == x->dims[i] && plan->args.stride[i] == 1;
        if (inner_only && !is_whole) return true;
        if (size > 1 && plan->args.stride[i] != 1) return true;
        inner_only = inner_only || size > 1;
        at += (size_t)first * strides[i];
    }
    prep_view(p, 0, plan->x, at);
    return true;
}

bool prepare_slice(Prepare *p) {
    SlicePlan *plan = prep_new(p, SlicePlan);
    plan->x = prep_in(p, "x");
    plan->out = prep_out(p, 0);
    if (!read_args(p, &plan->args, plan->x->type.rank)) return false;
    if (!sizes_of(p, plan, &plan->out->type)) return false;
    return view_if_stretch(p, plan);
}

bool run_slice(const Engine *e, const Node *n, Err *err) {
    const SlicePlan *p = n->plan;
    size_t at, last_end[MIL_MAX_RANK];
    ptrdiff_t step[MIL_MAX_RANK];
    if (!locate(n, p, &at, step, last_end, err)) return false;
    Box box = slice_box(p, step, false);
    box_copy_threaded(&box, e->pool, tensor_data(p->out), element_at(p->x, at));
    return true;
}

bool prepare_slice_update(Prepare *p) {
    SlicePlan *plan = prep_new(p, SlicePlan);
    plan->x = prep_in(p, "x");
    plan->update = prep_in(p, "update");
    plan->out = prep_out(p, 0);
    if (!read_args(p, &plan->args, plan->x->type.rank)) return false;
    if (!sizes_of(p, plan, &plan->update->type)) return false;
    prep_in_place(p, plan->x);
    return true;
}

// Tells a state that lives in `out` how far it is written.
static void note_state_write(const Engine *e, const EngineTensor *out,
                             const size_t last_end[MIL_MAX_RANK]) {
    const ValueStorage *root = &e->storages[e->storages[out - e->tensors].root];
    if (root->kind != STORED_IN_STATE) return;
    StateBuffer *state = e->states[root->slot].bound;
    state->may_hold_negative_zero = true;
    if (mil_type_eq(&state->tensor.type, &out->type))
        state_buffer_extend(state, last_end);
    else // a view of another shape
        state_buffer_extend_to_all(state);
}

bool run_slice_update(const Engine *e, const Node *n, Err *err) {
    const SlicePlan *p = n->plan;
    size_t at, last_end[MIL_MAX_RANK];
    ptrdiff_t step[MIL_MAX_RANK];
    if (!locate(n, p, &at, step, last_end, err)) return false; // before anything is written
    note_state_write(e, p->out, last_end);
    if (tensor_data(p->out) != tensor_data(p->x))
        memcpy(tensor_data(p->out), tensor_data(p->x), p->x->count * sizeof(float));
    Box box = slice_box(p, step, true);
    box_copy_threaded(&box, e->pool, element_at(p->out, at), tensor_data(p->update));
    return true;
}
