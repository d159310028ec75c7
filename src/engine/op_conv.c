// conv. A product over channels (every kernel axis 1, stride 1, no padding) is computed in blocks
// of output channels; every other conv by a plain loop over kernel positions.
#include <string.h>

#include "engine/sums.h"

enum { MOST_SPATIAL = 3 };

// A block of weights is ROWS x DEPTH floats (24 KiB), decoded once for all columns. ROWS is a
// multiple of the tallest kernel tile.
enum { ROWS = 24, DEPTH = 256 };

typedef struct {
    size_t in, out, kernel, stride, dilation;
    ptrdiff_t pad_before;
} ConvAxis;

typedef struct {
    const EngineTensor *x, *bias;
    const Weight *weight;
    EngineTensor *out;
    size_t batch, groups, in_channels, out_channels; // channels of one group
    int n_axes;
    ConvAxis axes[MOST_SPATIAL]; // outermost first; leading ones of size 1 where there are fewer
    size_t in_area, out_area, kernel_area;
    bool is_product;
} ConvPlan;

static bool conv_geometry(Prepare *p, ConvPlan *plan, const MilType *weight) {
    const MilType *x = &plan->x->type, *out = &plan->out->type;
    int n_axes = x->rank - 2;
    int64_t strides[MOST_INTS], dilations[MOST_INTS], pads[MOST_INTS];
    size_t n_strides, n_dilations, n_pads;
    Str pad_type;
    if (!prep_ints(p, "strides", strides, &n_strides)) return false;
    if (!prep_ints(p, "dilations", dilations, &n_dilations)) return false;
    if (!prep_ints(p, "pad", pads, &n_pads)) return false;
    if (!prep_str(p, "pad_type", "valid", &pad_type)) return false;
    bool is_custom = str_is(pad_type, "custom"), is_lower = str_is(pad_type, "same_lower");
    bool is_same = str_is(pad_type, "same") || is_lower;
    if (!is_custom && !is_same && !str_is(pad_type, "valid"))
        return prep_fail(p, "pad_type '%.*s': expected valid, custom, same or same_lower",
                         STR_ARG(pad_type));
    size_t wanted = (size_t)n_axes;
    if (n_axes < 1 || n_axes > MOST_SPATIAL || (n_strides && n_strides != wanted) ||
        (n_dilations && n_dilations != wanted) || (is_custom && n_pads && n_pads != 2 * wanted))
        return prep_fail(
            p,
            "x has %d spatial axes, expected 1 to 3, each with one entry in strides and "
            "dilations and two in pad",
            n_axes);
    plan->in_area = plan->out_area = plan->kernel_area = 1;
    plan->is_product = true;
    for (int i = 0; i < MOST_SPATIAL; i++) plan->axes[i] = (ConvAxis){1, 1, 1, 1, 1, 0};
    for (int i = 0; i < n_axes; i++) {
        ConvAxis a = {
            .in = (size_t)x->dims[2 + i],
            .out = (size_t)out->dims[2 + i],
            .kernel = (size_t)weight->dims[2 + i],
            .stride = n_strides ? (size_t)strides[i] : 1,
            .dilation = n_dilations ? (size_t)dilations[i] : 1,
        };
        if (is_custom && n_pads) a.pad_before = (ptrdiff_t)pads[2 * i];
        if (is_same) {
            ptrdiff_t reach = (ptrdiff_t)((a.out - 1) * a.stride + (a.kernel - 1) * a.dilation + 1);
            ptrdiff_t total = reach - (ptrdiff_t)a.in;
            a.pad_before = total <= 0 ? 0 : is_lower ? (total + 1) / 2 : total / 2;
        }
        plan->is_product = plan->is_product && a.kernel == 1 && a.stride == 1 && a.in == a.out &&
                           a.pad_before == 0;
        plan->axes[MOST_SPATIAL - n_axes + i] = a;
        plan->in_area *= a.in;
        plan->out_area *= a.out;
        plan->kernel_area *= a.kernel;
    }
    return true;
}

bool prepare_conv(Prepare *p) {
    ConvPlan *plan = prep_new(p, ConvPlan);
    plan->x = prep_in(p, "x");
    plan->weight = prep_weight(p, "weight");
    plan->bias = prep_in(p, "bias");
    plan->out = prep_out(p, 0);
    if (!plan->weight) return false;
    int64_t groups;
    if (!prep_int(p, "groups", 1, &groups)) return false;
    const MilType *weight =
        &mil_value(p->f, mil_operand(p->f, p->op, mil_param(p->op->info, "weight")))->type;
    if (!conv_geometry(p, plan, weight)) return false;
    plan->batch = (size_t)plan->x->type.dims[0];
    plan->groups = (size_t)groups;
    plan->in_channels = (size_t)weight->dims[1];
    plan->out_channels = (size_t)weight->dims[0] / plan->groups;
    if (p->node->rules->sum_products)
        prep_scratch(p, conv_sums_scratch(p->node));
    else
        prep_scratch(p, plan->is_product ? ROWS * DEPTH : plan->in_channels * plan->kernel_area);
    return true;
}

static float bias_of(const ConvPlan *p, size_t channel) {
    return p->bias ? p->bias->f32[channel] : 0;
}

// ---- product over channels, one column: y = W x, rows are (batch, group, channel)

static void column_task(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    const NodeTask *task = context;
    const ConvPlan *p = task->n->plan;
    size_t all = p->groups * p->out_channels;
    for (size_t i = first; i < end; i++) {
        size_t channel = i % all, group = i / p->out_channels; // group counts batches too
        const float *x = p->x->f32 + group * p->in_channels;
        p->out->f32[i] = bias_of(p, channel) +
                         weight_dot(p->weight, channel * p->in_channels, p->in_channels, x);
    }
    node_round(task->e, task->n, p->out->f32 + first, end - first);
}

// ---- product over channels, many columns: rows are blocks of ROWS channels

static void block_task(void *context, size_t first, size_t end, unsigned worker) {
    const NodeTask *task = context;
    const ConvPlan *p = task->n->plan;
    float *weights = engine_scratch(task->e, worker);
    size_t area = p->out_area, blocks = (p->out_channels + ROWS - 1) / ROWS;
    for (size_t i = first; i < end; i++) {
        size_t group = i / blocks, row0 = i % blocks * ROWS;
        size_t rows = min_size(ROWS, p->out_channels - row0);
        size_t channel0 = group % p->groups * p->out_channels + row0;
        const float *x = p->x->f32 + group * p->in_channels * area;
        float *out = p->out->f32 + (group * p->out_channels + row0) * area;
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < area; c++) out[r * area + c] = bias_of(p, channel0 + r);
        for (size_t k0 = 0; k0 < p->in_channels; k0 += DEPTH) {
            size_t depth = min_size(DEPTH, p->in_channels - k0);
            weight_block(p->weight, channel0 * p->in_channels + k0, p->in_channels, rows, depth,
                         false, weights, DEPTH, NULL);
            task->e->k->gemm_f32(out, area, weights, DEPTH, x + k0 * area, area, rows, depth, area);
        }
        node_round(task->e, task->n, out, rows * area);
    }
}

// ---- the general form, one output channel at a time

// Outputs o of an axis whose input o stride + offset lies inside [0, in): [*low, *high).
static void valid_range(const ConvAxis *a, ptrdiff_t offset, size_t *low, size_t *high) {
    ptrdiff_t stride = (ptrdiff_t)a->stride, in = (ptrdiff_t)a->in;
    *low = offset >= 0 ? 0 : (size_t)((-offset + stride - 1) / stride);
    *high = offset >= in ? 0 : min_size(a->out, (size_t)((in - 1 - offset) / stride + 1));
    if (*low > *high) *low = *high;
}

// Adds weight times the plane of x shifted to kernel position (kd, kh, kw).
static void add_shifted(const Kernels *k, const ConvPlan *p, const size_t at[MOST_SPATIAL],
                        float weight, const float *x, float *out) {
    size_t low[MOST_SPATIAL], high[MOST_SPATIAL];
    ptrdiff_t offset[MOST_SPATIAL];
    for (int i = 0; i < MOST_SPATIAL; i++) {
        offset[i] = (ptrdiff_t)(at[i] * p->axes[i].dilation) - p->axes[i].pad_before;
        valid_range(&p->axes[i], offset[i], &low[i], &high[i]);
    }
    const ConvAxis *a = p->axes;
    size_t n = high[2] - low[2];
    for (size_t d = low[0]; n && d < high[0]; d++)
        for (size_t h = low[1]; h < high[1]; h++) {
            ptrdiff_t in_d = (ptrdiff_t)(d * a[0].stride) + offset[0];
            ptrdiff_t in_h = (ptrdiff_t)(h * a[1].stride) + offset[1];
            ptrdiff_t in_w = (ptrdiff_t)(low[2] * a[2].stride) + offset[2];
            const float *from = x + (in_d * (ptrdiff_t)a[1].in + in_h) * (ptrdiff_t)a[2].in + in_w;
            float *to = out + (d * a[1].out + h) * a[2].out + low[2];
            if (a[2].stride == 1)
                k->axpy_f32(to, weight, from, n);
            else
                for (size_t i = 0; i < n; i++) to[i] += weight * from[i * a[2].stride];
        }
}

static void channel_task(void *context, size_t first, size_t end, unsigned worker) {
    const NodeTask *task = context;
    const ConvPlan *p = task->n->plan;
    float *weights = engine_scratch(task->e, worker);
    size_t all = p->groups * p->out_channels, n_weights = p->in_channels * p->kernel_area;
    for (size_t i = first; i < end; i++) {
        size_t channel = i % all, group = i / p->out_channels;
        float *out = p->out->f32 + i * p->out_area;
        for (size_t c = 0; c < p->out_area; c++) out[c] = bias_of(p, channel);
        weight_decode(p->weight, channel * n_weights, n_weights, weights);
        for (size_t w = 0; w < n_weights; w++) {
            size_t in_channel = w / p->kernel_area, rest = w % p->kernel_area;
            size_t at[MOST_SPATIAL];
            for (int axis = MOST_SPATIAL - 1; axis >= 0; axis--) {
                at[axis] = rest % p->axes[axis].kernel;
                rest /= p->axes[axis].kernel;
            }
            add_shifted(task->e->k, p, at, weights[w],
                        p->x->f32 + (group * p->in_channels + in_channel) * p->in_area, out);
        }
        node_round(task->e, task->n, out, p->out_area);
    }
}

// ---- whole sums, bias first

typedef struct {
    const Engine *e;
    const ConvPlan *p;
    SumKernel *kernel;
    void *context;
    float *out;
} ConvSumTask;

static const float *bias_at(const ConvPlan *p, size_t channel) {
    return p->bias ? p->bias->f32 + channel : NULL;
}

// One column: the input against strips of output channels.
static void sum_column_task(void *context, size_t first, size_t end, unsigned worker) {
    const ConvSumTask *task = context;
    const ConvPlan *p = task->p;
    size_t depth = p->in_channels, strips = (p->out_channels + ANE_STRIP - 1) / ANE_STRIP;
    float *weights = engine_scratch(task->e, worker), *line = weights + depth * ANE_STRIP;
    for (size_t i = first; i < end; i++) {
        size_t group = i / strips, row0 = i % strips * ANE_STRIP;
        size_t rows = min_size(ANE_STRIP, p->out_channels - row0);
        size_t channel0 = group % p->groups * p->out_channels + row0;
        weight_block(p->weight, channel0 * depth, depth, rows, depth, true, weights, ANE_STRIP,
                     line);
        task->kernel(task->context, task->e->k, task->out + group * p->out_channels + row0,
                     p->x->f32 + group * depth, weights, ANE_STRIP, depth, rows,
                     bias_at(p, channel0), 1);
    }
}

// Many columns: one output channel against all of them.
static void sum_block_task(void *context, size_t first, size_t end, unsigned worker) {
    const ConvSumTask *task = context;
    const ConvPlan *p = task->p;
    float *weights = engine_scratch(task->e, worker);
    size_t all = p->groups * p->out_channels, depth = p->in_channels;
    for (size_t i = first; i < end; i++) {
        size_t channel = i % all, group = i / p->out_channels;
        weight_decode(p->weight, channel * depth, depth, weights);
        task->kernel(task->context, task->e->k, task->out + i * p->out_area, weights,
                     p->x->f32 + group * depth * p->in_area, p->in_area, depth, p->out_area,
                     bias_at(p, channel), 0);
    }
}

// What kernel and padding put under output `at` of the channels from `x` on; zeros outside.
static void gather_patch(const ConvPlan *p, const float *x, size_t at, float *patch) {
    const ConvAxis *a = p->axes;
    size_t out[MOST_SPATIAL] = {at / (a[2].out * a[1].out), at / a[2].out % a[1].out,
                                at % a[2].out};
    for (size_t w = 0; w < p->in_channels * p->kernel_area; w++) {
        size_t rest = w % p->kernel_area, step = 1, from = 0;
        bool is_inside = true;
        for (int i = MOST_SPATIAL - 1; i >= 0; i--) {
            ptrdiff_t in = (ptrdiff_t)(out[i] * a[i].stride + rest % a[i].kernel * a[i].dilation) -
                           a[i].pad_before;
            is_inside = is_inside && in >= 0 && in < (ptrdiff_t)a[i].in;
            from += is_inside ? (size_t)in * step : 0;
            step *= a[i].in;
            rest /= a[i].kernel;
        }
        patch[w] = is_inside ? x[w / p->kernel_area * p->in_area + from] : 0;
    }
}

static void sum_channel_task(void *context, size_t first, size_t end, unsigned worker) {
    const ConvSumTask *task = context;
    const ConvPlan *p = task->p;
    size_t all = p->groups * p->out_channels, n_weights = p->in_channels * p->kernel_area;
    float *weights = engine_scratch(task->e, worker), *patch = weights + n_weights;
    for (size_t i = first; i < end; i++) {
        size_t channel = i % all, group = i / p->out_channels;
        const float *x = p->x->f32 + group * p->in_channels * p->in_area;
        weight_decode(p->weight, channel * n_weights, n_weights, weights);
        for (size_t at = 0; at < p->out_area; at++) {
            gather_patch(p, x, at, patch);
            task->kernel(task->context, task->e->k, task->out + i * p->out_area + at, weights,
                         patch, 1, n_weights, 1, bias_at(p, channel), 0);
        }
    }
}

size_t conv_sums_scratch(const Node *n) {
    const ConvPlan *p = n->plan;
    return p->in_channels * p->kernel_area * (ANE_STRIP + 1);
}

void conv_sums(const Engine *e, const Node *n, SumKernel *kernel, void *context, float *out) {
    const ConvPlan *p = n->plan;
    ConvSumTask task = {e, p, kernel, context, out};
    size_t groups = p->batch * p->groups, strips = (p->out_channels + ANE_STRIP - 1) / ANE_STRIP;
    if (p->is_product && p->out_area == 1)
        pool_run(e->pool, groups * strips, 1, sum_column_task, &task);
    else
        pool_run(e->pool, groups * p->out_channels, 1,
                 p->is_product ? sum_block_task : sum_channel_task, &task);
}

bool run_conv(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const ConvPlan *p = n->plan;
    NodeTask task = {e, n};
    if (n->rules->sum_products) {
        conv_sums(e, n, n->rules->sum_products, NULL, p->out->f32);
        return true;
    }
    size_t groups = p->batch * p->groups, rows = groups * p->out_channels;
    size_t row_work = max_size(1, p->in_channels * p->kernel_area * p->out_area);
    if (p->is_product && p->out_area == 1)
        pool_run(e->pool, rows, 1 + 65536 / row_work, column_task, &task);
    else if (p->is_product)
        pool_run(e->pool, groups * ((p->out_channels + ROWS - 1) / ROWS), 1, block_task, &task);
    else
        pool_run(e->pool, rows, 1 + 65536 / row_work, channel_task, &task);
    return true;
}
