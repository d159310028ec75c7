// Tensors made from numbers: shape, fill, range_1d, one_hot, band_part, non_zero; quantize and
// dequantize.
#include <math.h>
#include <string.h>

#include "engine/prepare.h"

typedef struct {
    const EngineTensor *x;
    EngineTensor *out;
    const EngineTensor *start, *end, *step; // range_1d
    const EngineTensor *on, *off;           // one_hot; on: fill's value
    int64_t lower, upper;                   // band_part
    AxisSplit split;                        // one_hot: of the result
} MakePlan;

static MakePlan *make_plan(Prepare *p, const char *x) {
    MakePlan *plan = prep_new(p, MakePlan);
    plan->x = x ? prep_in(p, x) : NULL;
    plan->out = prep_out(p, 0);
    return plan;
}

static void set_number(EngineTensor *t, size_t i, const EngineTensor *number, double fallback) {
    double value = !number ? fallback : number->f32 ? (double)number->f32[0] : number->i32[0];
    if (t->f32)
        t->f32[i] = (float)value;
    else
        t->i32[i] = (int32_t)value;
}

bool prepare_shape(Prepare *p) {
    make_plan(p, "x");
    return true;
}

bool run_shape(const Engine *e, const Node *n, Err *err) {
    (void)e, (void)err;
    const MakePlan *p = n->plan;
    for (int i = 0; i < p->x->type.rank; i++) p->out->i32[i] = (int32_t)p->x->type.dims[i];
    return true;
}

// fill and fill_like: the shape is in the type.
bool prepare_fill(Prepare *p) {
    make_plan(p, NULL)->on = prep_in(p, "value");
    return true;
}

bool run_fill(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const MakePlan *p = n->plan;
    for (size_t i = 0; i < p->out->count; i++) set_number(p->out, i, p->on, 0);
    if (p->out->f32) node_round(e, n, p->out->f32, p->out->count);
    return true;
}

bool prepare_range_1d(Prepare *p) {
    MakePlan *plan = make_plan(p, NULL);
    plan->start = prep_in(p, "start");
    plan->end = prep_in(p, "end");
    plan->step = prep_in(p, "step");
    return true;
}

bool run_range_1d(const Engine *e, const Node *n, Err *err) {
    const MakePlan *p = n->plan;
    const EngineTensor *s = p->start;
    double start = s->f32 ? (double)s->f32[0] : s->i32[0];
    double end = p->end->f32 ? (double)p->end->f32[0] : p->end->i32[0];
    double step = p->step->f32 ? (double)p->step->f32[0] : p->step->i32[0];
    double count = step == 0 ? -1 : fmax(0, ceil((end - start) / step));
    if (count != (double)p->out->count)
        return run_fail(n, err, "start %g, end %g and step %g give %g numbers, expected %zu", start,
                        end, step, count, p->out->count);
    for (size_t i = 0; i < p->out->count; i++) {
        double value = start + (double)i * step;
        if (p->out->f32)
            p->out->f32[i] = (float)value;
        else
            p->out->i32[i] = (int32_t)value;
    }
    if (p->out->f32) node_round(e, n, p->out->f32, p->out->count);
    return true;
}

bool prepare_one_hot(Prepare *p) {
    MakePlan *plan = make_plan(p, "indices");
    plan->on = prep_in(p, "on_value");
    plan->off = prep_in(p, "off_value");
    int axis;
    if (!prep_axis(p, "axis", -1, plan->out->type.rank, &axis)) return false;
    plan->split = axis_split(&plan->out->type, axis);
    return true;
}

bool run_one_hot(const Engine *e, const Node *n, Err *err) {
    (void)e;
    const MakePlan *p = n->plan;
    size_t size = p->split.size, inner = p->split.inner;
    for (size_t i = 0; i < p->out->count; i++) set_number(p->out, i, p->off, 0);
    for (size_t i = 0; i < p->x->count; i++) {
        int64_t index = p->x->i32[i];
        if (index < 0) index += (int64_t)size;
        if (index < 0 || index >= (int64_t)size)
            return run_fail(n, err, "indices[%zu] is %d, outside of %zu", i, p->x->i32[i], size);
        set_number(p->out, (i / inner * size + (size_t)index) * inner + i % inner, p->on, 1);
    }
    return true;
}

bool prepare_band_part(Prepare *p) {
    MakePlan *plan = make_plan(p, "x");
    prep_in_place(p, plan->x);
    if (plan->x->type.rank < 2)
        return prep_fail(p, "x has rank %d, expected 2 or more", plan->x->type.rank);
    return prep_int(p, "lower", -1, &plan->lower) && prep_int(p, "upper", -1, &plan->upper);
}

bool run_band_part(const Engine *e, const Node *n, Err *err) {
    (void)e, (void)err;
    const MakePlan *p = n->plan;
    const MilType *t = &p->x->type;
    int64_t rows = t->dims[t->rank - 2], cols = t->dims[t->rank - 1];
    for (size_t i = 0; i < p->out->count; i++) {
        int64_t row = (int64_t)i / cols % rows, col = (int64_t)i % cols;
        bool keeps =
            (p->lower < 0 || row - col <= p->lower) && (p->upper < 0 || col - row <= p->upper);
        if (p->out->f32)
            p->out->f32[i] = keeps ? p->x->f32[i] : 0;
        else
            p->out->i32[i] = keeps ? p->x->i32[i] : 0;
    }
    return true;
}

bool prepare_non_zero(Prepare *p) {
    make_plan(p, "x");
    return true;
}

bool run_non_zero(const Engine *e, const Node *n, Err *err) {
    (void)e;
    const MakePlan *p = n->plan;
    const MilType *x = &p->x->type;
    size_t rows = (size_t)p->out->type.dims[0], row = 0, rank = (size_t)x->rank;
    for (size_t i = 0; i < p->x->count; i++) {
        if (p->x->f32 ? p->x->f32[i] == 0 : p->x->i32[i] == 0) continue;
        size_t rest = i;
        for (size_t axis = rank; axis-- > 0 && row < rows;) {
            p->out->i32[row * rank + axis] = (int32_t)(rest % (size_t)x->dims[axis]);
            rest /= (size_t)x->dims[axis];
        }
        row++;
    }
    return row == rows || run_fail(n, err, "%zu elements are not zero, expected %zu", row, rows);
}

// ---- quantize: clip(round(x / scale) + zero_point); dequantize: scale (x - zero_point)

typedef struct {
    const EngineTensor *x, *scale, *zero; // of one, or of the axis; zero may be NULL
    EngineTensor *out;
    AxisSplit split; // size 1 when there is no axis
} QuantizePlan;

bool prepare_quantize(Prepare *p) {
    QuantizePlan *plan = prep_new(p, QuantizePlan);
    plan->x = prep_in(p, "input");
    plan->scale = prep_in(p, "scale");
    plan->zero = prep_in(p, "zero_point");
    plan->out = prep_out(p, 0);
    plan->split = (AxisSplit){1, 1, plan->x->count};
    if (!prep_given(p, "axis")) return true;
    int axis;
    if (!prep_axis(p, "axis", 0, plan->x->type.rank, &axis)) return false;
    plan->split = axis_split(&plan->x->type, axis);
    return true;
}

bool run_quantize(const Engine *e, const Node *n, Err *err) {
    (void)e, (void)err;
    const QuantizePlan *p = n->plan;
    bool is_signed = p->out->type.dtype == MIL_I8;
    double low = is_signed ? -128 : 0, high = is_signed ? 127 : 255;
    for (size_t i = 0; i < p->out->count; i++) {
        size_t at = i / p->split.inner % p->split.size;
        double code = rint((double)(p->x->f32[i] / p->scale->f32[p->scale->count > 1 ? at : 0]));
        if (p->zero) code += p->zero->i32[p->zero->count > 1 ? at : 0];
        p->out->i32[i] = (int32_t)(code < low || code != code ? low : code > high ? high : code);
    }
    return true;
}

bool run_dequantize(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const QuantizePlan *p = n->plan;
    for (size_t i = 0; i < p->out->count; i++) {
        size_t at = i / p->split.inner % p->split.size;
        int32_t code = p->x->i32[i];
        if (p->zero) code -= p->zero->i32[p->zero->count > 1 ? at : 0];
        p->out->f32[i] = p->scale->f32[p->scale->count > 1 ? at : 0] * (float)code;
    }
    node_round(e, n, p->out->f32, p->out->count);
    return true;
}
