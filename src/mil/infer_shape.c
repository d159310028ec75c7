// infer_shape.c — ops that move elements: reshape, slices, joins, gathers.
#include "mil/infer.h"

static bool need_ints(Infer *in, const char *param, int64_t *out, size_t *count) {
    return infer_ints(in, param, out, MIL_MAX_RANK, count) ||
           infer_refuse(in, "%s is no constant list of at most %d integers", param, MIL_MAX_RANK);
}

bool infer_reshape(Infer *in) {
    const MilType *x = infer_type(in, "x");
    int64_t shape[MIL_MAX_RANK];
    size_t rank;
    if (!need_ints(in, "shape", shape, &rank)) return false;
    MilType out = {.dtype = x->dtype, .rank = (int)rank};
    int64_t known = 1;
    int free_axis = -1;
    for (size_t i = 0; i < rank; i++) {
        // From CoreML7 on a 0 stands for x's dimension, counted from the last.
        int from = x->rank - (int)(rank - i);
        int64_t dim = shape[i] == 0 ? (from >= 0 ? x->dims[from] : 1) : shape[i];
        if (dim < -1 || (dim == -1 && free_axis >= 0))
            return infer_refuse(in, "shape entry %zu is %lld", i, (long long)dim);
        if (dim == -1) free_axis = (int)i;
        out.dims[i] = dim;
        if (dim != -1 && __builtin_mul_overflow(known, dim, &known))
            return infer_refuse(in, "the shape overflows");
    }
    size_t count;
    if (!mil_type_count(x, &count)) return infer_refuse(in, "x has an open shape");
    if (free_axis >= 0) {
        if (known == 0 || (int64_t)count % known)
            return infer_refuse(in, "%zu elements do not fill the shape", count);
        out.dims[free_axis] = (int64_t)count / known;
    } else if ((int64_t)count != known) {
        return infer_refuse(in, "%zu elements into a shape of %lld", count, (long long)known);
    }
    in->out[0] = out;
    return true;
}

bool infer_transpose(Infer *in) {
    const MilType *x = infer_type(in, "x");
    int64_t perm[MIL_MAX_RANK];
    size_t n;
    bool is_seen[MIL_MAX_RANK] = {false};
    if (!need_ints(in, "perm", perm, &n)) return false;
    if ((int)n != x->rank) return infer_refuse(in, "perm has %zu entries for rank %d", n, x->rank);
    in->out[0] = *x;
    for (size_t i = 0; i < n; i++) {
        int axis;
        if (!infer_axis(in, perm[i], x->rank, &axis)) return false;
        if (is_seen[axis]) return infer_refuse(in, "perm names axis %d twice", axis);
        is_seen[axis] = true;
        in->out[0].dims[i] = x->dims[axis];
    }
    return true;
}

bool infer_expand_dims(Infer *in) {
    const MilType *x = infer_type(in, "x");
    int64_t axes[MIL_MAX_RANK];
    size_t n;
    if (!need_ints(in, "axes", axes, &n)) return false;
    int rank = x->rank + (int)n;
    bool is_new[2 * MIL_MAX_RANK] = {false};
    if (rank > MIL_MAX_RANK) return infer_refuse(in, "a result of rank %d", rank);
    for (size_t i = 0; i < n; i++) {
        int axis;
        if (!infer_axis(in, axes[i], rank, &axis)) return false;
        if (is_new[axis]) return infer_refuse(in, "axes names %d twice", axis);
        is_new[axis] = true;
    }
    MilType out = {.dtype = x->dtype, .rank = rank};
    for (int i = 0, from = 0; i < rank; i++) out.dims[i] = is_new[i] ? 1 : x->dims[from++];
    in->out[0] = out;
    return true;
}

bool infer_squeeze(Infer *in) {
    const MilType *x = infer_type(in, "x");
    int64_t axes[MIL_MAX_RANK];
    size_t n = 0;
    bool is_gone[MIL_MAX_RANK] = {false};
    if (infer_ints(in, "axes", axes, MIL_MAX_RANK, &n)) {
        for (size_t i = 0; i < n; i++) {
            int axis;
            if (!infer_axis(in, axes[i], x->rank, &axis)) return false;
            is_gone[axis] = x->dims[axis] == 1;
        }
    } else {
        for (int i = 0; i < x->rank; i++) is_gone[i] = x->dims[i] == 1;
    }
    MilType out = {.dtype = x->dtype};
    for (int i = 0; i < x->rank; i++)
        if (!is_gone[i]) out.dims[out.rank++] = x->dims[i];
    in->out[0] = out;
    return true;
}

bool infer_concat(Infer *in) {
    const MilArg *values = &in->op->args[mil_param(in->op->info, "values")];
    const MilType *first = infer_type(in, "values");
    int axis;
    if (infer_bool(in, "interleave", false)) return infer_refuse(in, "interleave is not supported");
    MilType out = *first;
    if (out.rank == 0) { // scalars join to a vector
        out.rank = 1;
        out.dims[0] = 1;
    }
    if (!infer_axis(in, infer_int(in, "axis", 0), out.rank, &axis)) return false;
    int64_t total = 0;
    for (uint32_t i = 0; i < values->count; i++) {
        MilType t = mil_value(in->f, in->f->operands[values->first + i])->type;
        if (t.rank == 0) {
            t.rank = 1;
            t.dims[0] = 1;
        }
        if (t.rank != out.rank)
            return infer_refuse(in, "operands of rank %d and %d", out.rank, t.rank);
        for (int d = 0; d < t.rank; d++)
            if (d != axis && t.dims[d] != out.dims[d])
                return infer_refuse(in, "operand %u differs from the first in dimension %d", i, d);
        if (__builtin_add_overflow(total, t.dims[axis], &total))
            return infer_refuse(in, "the shape overflows");
    }
    out.dims[axis] = total;
    in->out[0] = out;
    return true;
}

bool infer_stack(Infer *in) {
    const MilArg *values = &in->op->args[mil_param(in->op->info, "values")];
    const MilType *first = infer_type(in, "values");
    int axis;
    if (first->rank >= MIL_MAX_RANK) return infer_refuse(in, "operands of rank %d", first->rank);
    if (!infer_axis(in, infer_int(in, "axis", 0), first->rank + 1, &axis)) return false;
    for (uint32_t i = 1; i < values->count; i++)
        if (!mil_type_eq(first, &mil_value(in->f, in->f->operands[values->first + i])->type))
            return infer_refuse(in, "operand %u has another type than the first", i);
    MilType out = {.dtype = first->dtype, .rank = first->rank + 1};
    for (int i = 0, from = 0; i < out.rank; i++)
        out.dims[i] = i == axis ? values->count : first->dims[from++];
    in->out[0] = out;
    return true;
}

bool infer_split(Infer *in) {
    const MilType *x = infer_type(in, "x");
    int axis;
    if (!infer_axis(in, infer_int(in, "axis", 0), x->rank, &axis)) return false;
    int64_t sizes[MIL_MAX_RESULTS], total = 0;
    size_t n;
    if (!infer_ints(in, "split_sizes", sizes, MIL_MAX_RESULTS, &n)) {
        int64_t parts = infer_int(in, "num_splits", 0);
        if (parts < 1 || parts > MIL_MAX_RESULTS || x->dims[axis] % parts)
            return infer_refuse(in, "%lld elements in %lld equal parts", (long long)x->dims[axis],
                                (long long)parts);
        n = (size_t)parts;
        for (size_t i = 0; i < n; i++) sizes[i] = x->dims[axis] / parts;
    }
    for (size_t i = 0; i < n; i++) {
        if (sizes[i] < 0 || sizes[i] > x->dims[axis])
            return infer_refuse(in, "a part of %lld", (long long)sizes[i]);
        total += sizes[i];
        in->out[i] = *x;
        in->out[i].dims[axis] = sizes[i];
    }
    if (total != x->dims[axis])
        return infer_refuse(in, "parts of %lld in all, the axis has %lld", (long long)total,
                            (long long)x->dims[axis]);
    in->n_out = (uint32_t)n;
    return true;
}

typedef struct {
    int64_t begin[MIL_MAX_RANK], end[MIL_MAX_RANK], stride[MIL_MAX_RANK];
    bool begin_mask[MIL_MAX_RANK], end_mask[MIL_MAX_RANK], squeeze_mask[MIL_MAX_RANK];
    bool is_begin_known, is_end_known;
} Slice;

static bool read_slice(Infer *in, const MilType *x, Slice *s) {
    *s = (Slice){0};
    static const char *const vectors[] = {"begin", "end"};
    for (int i = 0; i < 2; i++) {
        const MilType *t = infer_type(in, vectors[i]);
        if (t->rank != 1 || t->dims[0] != x->rank)
            return infer_refuse(in, "%s is not a vector of %d", vectors[i], x->rank);
    }
    size_t n, rank = (size_t)x->rank;
    s->is_begin_known = infer_ints(in, "begin", s->begin, MIL_MAX_RANK, &n);
    s->is_end_known = infer_ints(in, "end", s->end, MIL_MAX_RANK, &n);
    for (size_t i = 0; i < rank; i++) s->stride[i] = 1;
    if (infer_ints(in, "stride", s->stride, MIL_MAX_RANK, &n) && n != rank)
        return infer_refuse(in, "stride has %zu entries for rank %zu", n, rank);
    for (size_t i = 0; i < rank; i++)
        if (s->stride[i] == 0) return infer_refuse(in, "a stride of 0");
    struct {
        const char *name;
        bool *at;
    } masks[] = {{"begin_mask", s->begin_mask},
                 {"end_mask", s->end_mask},
                 {"squeeze_mask", s->squeeze_mask}};
    for (int i = 0; i < 3; i++)
        if (infer_bools(in, masks[i].name, masks[i].at, MIL_MAX_RANK, &n) && n != rank)
            return infer_refuse(in, "%s has %zu entries for rank %zu", masks[i].name, n, rank);
    return true;
}

// Elements of axis i that the slice takes; MIL_UNKNOWN_DIM when run-time values decide.
static int64_t slice_count(const Slice *s, const MilType *x, int i) {
    int64_t size = x->dims[i], stride = s->stride[i];
    if (s->squeeze_mask[i]) return 1;
    if ((!s->begin_mask[i] && !s->is_begin_known) || (!s->end_mask[i] && !s->is_end_known))
        return MIL_UNKNOWN_DIM;
    int64_t begin = s->begin_mask[i] ? (stride > 0 ? 0 : size - 1) : s->begin[i];
    int64_t end = s->end_mask[i] ? (stride > 0 ? size : -1) : s->end[i];
    if (!s->begin_mask[i] && begin < 0) begin += size;
    if (!s->end_mask[i] && end < 0) end += size;
    if (end > size) end = size;
    if (begin < 0) begin = 0;
    int64_t span = stride > 0 ? end - begin : begin - end, step = stride > 0 ? stride : -stride;
    return span <= 0 ? 0 : (span + step - 1) / step;
}

static bool slice_type(Infer *in, const MilType *x, MilType *out) {
    Slice s;
    if (!read_slice(in, x, &s)) return false;
    *out = (MilType){.dtype = x->dtype};
    for (int i = 0; i < x->rank; i++)
        if (!s.squeeze_mask[i]) out->dims[out->rank++] = slice_count(&s, x, i);
    return true;
}

bool infer_slice_by_index(Infer *in) {
    return slice_type(in, infer_type(in, "x"), &in->out[0]);
}

bool infer_slice_by_size(Infer *in) {
    const MilType *x = infer_type(in, "x");
    int64_t begin[MIL_MAX_RANK], size[MIL_MAX_RANK];
    size_t n;
    if (!need_ints(in, "size", size, &n) || (int)n != x->rank)
        return infer_refuse(in, "size is no constant vector of %d", x->rank);
    bool is_known = infer_ints(in, "begin", begin, MIL_MAX_RANK, &n);
    in->out[0] = *x;
    for (int i = 0; i < x->rank; i++) {
        if (size[i] == -1 && !is_known) return infer_refuse(in, "size -1 needs a constant begin");
        int64_t length = size[i] == -1 ? x->dims[i] - begin[i] : size[i];
        if (length < 0 || length > x->dims[i] || (is_known && begin[i] + length > x->dims[i]))
            return infer_refuse(in, "dimension %d: a slice of %lld of %lld", i, (long long)length,
                                (long long)x->dims[i]);
        in->out[0].dims[i] = length;
    }
    return true;
}

bool infer_slice_update(Infer *in) {
    const MilType *x = infer_type(in, "x"), *update = infer_type(in, "update");
    MilType slice;
    if (!slice_type(in, x, &slice)) return false;
    bool fits = slice.rank == update->rank && update->rank > 0;
    for (int i = 0; fits && i < slice.rank; i++)
        fits = slice.dims[i] == update->dims[i] ||
               (slice.dims[i] == MIL_UNKNOWN_DIM && update->dims[i] <= x->dims[i]);
    if (!fits) return infer_refuse(in, "update has not the shape of the slice it replaces");
    in->out[0] = *x;
    return true;
}

bool infer_tile(Infer *in) {
    const MilType *x = infer_type(in, "x");
    int64_t reps[MIL_MAX_RANK];
    size_t n;
    if (!need_ints(in, "reps", reps, &n)) return false;
    if ((int)n != x->rank) return infer_refuse(in, "reps has %zu entries for rank %d", n, x->rank);
    in->out[0] = *x;
    for (size_t i = 0; i < n; i++)
        if (reps[i] < 1 || __builtin_mul_overflow(x->dims[i], reps[i], &in->out[0].dims[i]))
            return infer_refuse(in, "reps entry of %lld", (long long)reps[i]);
    return true;
}

bool infer_pad(Infer *in) {
    const MilType *x = infer_type(in, "x");
    int64_t pads[2 * MIL_MAX_RANK];
    size_t n;
    if (!infer_ints(in, "pad", pads, 2 * MIL_MAX_RANK, &n) || n % 2 || n / 2 > (size_t)x->rank)
        return infer_refuse(in, "pad is no constant list of pairs, at most one an axis");
    in->out[0] = *x;
    for (size_t i = 0; i < n / 2; i++) {
        int64_t *dim = &in->out[0].dims[x->rank - (int)(n / 2) + (int)i];
        if (pads[2 * i] < 0 || pads[2 * i + 1] < 0 || pads[2 * i] > INT32_MAX ||
            pads[2 * i + 1] > INT32_MAX)
            return infer_refuse(in, "a negative or huge pad");
        *dim += pads[2 * i] + pads[2 * i + 1];
    }
    return true;
}

bool infer_gather(Infer *in) {
    const MilType *x = infer_type(in, "x"), *indices = infer_type(in, "indices");
    int axis;
    if (!infer_axis(in, infer_int(in, "axis", 0), x->rank, &axis)) return false;
    if (infer_int(in, "batch_dims", 0) != 0) return infer_refuse(in, "batch_dims is not supported");
    if (x->rank - 1 + indices->rank > MIL_MAX_RANK)
        return infer_refuse(in, "a result of too high rank");
    MilType out = {.dtype = x->dtype};
    for (int i = 0; i < axis; i++) out.dims[out.rank++] = x->dims[i];
    for (int i = 0; i < indices->rank; i++) out.dims[out.rank++] = indices->dims[i];
    for (int i = axis + 1; i < x->rank; i++) out.dims[out.rank++] = x->dims[i];
    in->out[0] = out;
    return true;
}

bool infer_fill(Infer *in) {
    const MilType *value = infer_type(in, "value");
    size_t n;
    MilType out = {.dtype = value ? value->dtype : MIL_F32};
    if (!need_ints(in, "shape", out.dims, &n)) return false;
    out.rank = (int)n;
    in->out[0] = out;
    return true;
}

bool infer_range_1d(Infer *in) {
    int64_t start, end, step;
    in->out[0] = (MilType){.dtype = infer_type(in, "end")->dtype, .rank = 1};
    if (!mil_const_int(in->f, infer_operand(in, "start"), &start) ||
        !mil_const_int(in->f, infer_operand(in, "end"), &end) ||
        !mil_const_int(in->f, infer_operand(in, "step"), &step) || step == 0)
        return infer_refuse(in, "lathe takes constant int32 start, end and step only");
    int64_t span = step > 0 ? end - start : start - end, size = step > 0 ? step : -step;
    in->out[0].dims[0] = span <= 0 ? 0 : (span + size - 1) / size;
    return true;
}
