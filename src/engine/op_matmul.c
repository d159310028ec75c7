// linear, matmul, and einsum's two patterns.
#include <string.h>

#include "engine/product.h"
#include "engine/strided_copy.h"

// Integer products read dense tensors; others leave weights packed.
static const Weight *factor(Prepare *p, const char *param) {
    const EngineTensor *out = prep_out(p, 0);
    if (is_float(out->type.dtype)) return prep_weight(p, param);
    Weight *w = arena_new(&p->e->arena, Weight);
    *w = (Weight){.storage = WEIGHT_TENSOR, .k = p->e->k, .tensor = prep_in(p, param)};
    return w;
}

static const MilType *operand_type(const Prepare *p, const char *param) {
    return &mil_value(p->f, mil_operand(p->f, p->op, mil_param(p->op->info, param)))->type;
}

static const MilType one_matrix = {.dtype = MIL_F32, .rank = 0};

bool prepare_linear(Prepare *p) {
    Product *plan = prep_new(p, Product);
    plan->out = prep_out(p, 0);
    plan->x = factor(p, "x");
    plan->y = factor(p, "weight");
    if (!plan->x || !plan->y) return false;
    plan->transpose_y = true;
    plan->bias = prep_in(p, "bias");
    const MilType *x = operand_type(p, "x"), *weight = operand_type(p, "weight");
    plan->k = (size_t)weight->dims[1];
    plan->n = (size_t)weight->dims[0];
    plan->m = 1;
    for (int i = 0; i + 1 < x->rank; i++) plan->m *= (size_t)x->dims[i];
    const MilType *operands[] = {&one_matrix, &one_matrix};
    plan->batches = broadcast_of(&one_matrix, operands, 2);
    prep_scratch(p, product_scratch(p->node));
    return true;
}

// The leading axes of an operand, in whole matrices.
static MilType batches_of(const MilType *t, int matrix_rank) {
    MilType batches = *t;
    batches.rank = t->rank > matrix_rank ? t->rank - matrix_rank : 0;
    return batches;
}

bool prepare_matmul(Prepare *p) {
    Product *plan = prep_new(p, Product);
    plan->out = prep_out(p, 0);
    plan->x = factor(p, "x");
    plan->y = factor(p, "y");
    if (!plan->x || !plan->y) return false;
    if (!prep_bool(p, "transpose_x", false, &plan->transpose_x)) return false;
    if (!prep_bool(p, "transpose_y", false, &plan->transpose_y)) return false;
    const MilType *x = operand_type(p, "x"), *y = operand_type(p, "y");
    // A vector on the left is one row, on the right one column; its axis is not in the result.
    size_t x_rows = x->rank > 1 ? (size_t)x->dims[x->rank - 2] : 1;
    size_t x_cols = (size_t)x->dims[x->rank - 1];
    plan->m = plan->transpose_x ? x_cols : x_rows;
    plan->k = plan->transpose_x ? x_rows : x_cols;
    if (y->rank == 1) {
        plan->n = 1;
    } else {
        size_t y_rows = (size_t)y->dims[y->rank - 2], y_cols = (size_t)y->dims[y->rank - 1];
        plan->n = plan->transpose_y ? y_rows : y_cols;
    }
    MilType x_batches = batches_of(x, 2), y_batches = batches_of(y, 2);
    MilType out_batches = batches_of(&plan->out->type, (x->rank > 1) + (y->rank > 1));
    const MilType *operands[] = {&x_batches, &y_batches};
    plan->batches = broadcast_of(&out_batches, operands, 2);
    prep_scratch(p, product_scratch(p->node));
    return true;
}

bool run_product(const Engine *e, const Node *n, Err *err) {
    (void)err;
    product_run(e, n, n->plan);
    return true;
}

// ---- einsum: nchw,nwhu->nchu and chw,whr->chr, by letters of any name

typedef struct {
    const EngineTensor *a, *b;
    EngineTensor *out;
    size_t n, c, h, w, u;      // of the result and the sum
    size_t a_n, a_h, b_n, b_h; // steps between them in the operands; 0 where broadcast
} EinsumPlan;

static bool einsum_fits(Str equation, const char *pattern) {
    char letter_for[128] = {0};
    size_t at = 0;
    for (const char *p = pattern; *p; p++) {
        while (at < equation.len && equation.at[at] == ' ') at++;
        if (at >= equation.len) return false;
        char c = equation.at[at++];
        bool is_letter = *p >= 'a' && *p <= 'z';
        if (!is_letter && c != *p) return false;
        if (!is_letter) continue;
        char *known = &letter_for[(unsigned char)*p];
        if (*known && *known != c) return false;
        *known = c;
    }
    while (at < equation.len && equation.at[at] == ' ') at++;
    return at == equation.len;
}

bool prepare_einsum(Prepare *p) {
    EinsumPlan *plan = prep_new(p, EinsumPlan);
    Str equation;
    if (!prep_str(p, "equation", NULL, &equation)) return false;
    if (prep_count(p, "values") != 2) return prep_fail(p, "expected two operands");
    plan->a = prep_in_at(p, "values", 0);
    plan->b = prep_in_at(p, "values", 1);
    plan->out = prep_out(p, 0);
    const MilType *a = &plan->a->type, *b = &plan->b->type, *out = &plan->out->type;
    bool fits = (a->rank == 4 && einsum_fits(equation, "nchw,nwhu->nchu")) ||
                (a->rank == 3 && einsum_fits(equation, "chw,whr->chr"));
    if (!fits || a->rank != b->rank)
        return prep_fail(p, "equation '%.*s': expected nchw,nwhu->nchu or chw,whr->chr",
                         STR_ARG(equation));
    int last = a->rank - 1;
    size_t a_h = (size_t)a->dims[last - 1], b_h = (size_t)b->dims[last - 1];
    plan->n = a->rank == 4 ? (size_t)out->dims[0] : 1;
    plan->c = (size_t)a->dims[last - 2];
    plan->h = (size_t)out->dims[last - 1];
    plan->w = (size_t)a->dims[last];
    plan->u = (size_t)b->dims[last];
    plan->a_h = a_h == 1 ? 0 : plan->w;
    plan->b_h = b_h == 1 ? 0 : plan->u;
    plan->a_n = a->rank == 4 && a->dims[0] > 1 ? plan->c * a_h * plan->w : 0;
    plan->b_n = a->rank == 4 && b->dims[0] > 1 ? plan->w * b_h * plan->u : 0;
    if (plan->out->type.dtype == MIL_I32)
        return prep_fail(p, "values are integers, expected fp16 or fp32");
    return true;
}

static void einsum_task(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    const NodeTask *task = context;
    const EinsumPlan *p = task->n->plan;
    size_t a_rows = p->a_h ? p->h * p->w : p->w, b_rows = p->b_h ? p->h * p->u : p->u;
    for (size_t i = first; i < end; i++) {
        size_t n = i / p->h, h = i % p->h;
        float *out = p->out->f32 + n * p->c * p->h * p->u + h * p->u;
        const float *a = p->a->f32 + n * p->a_n + h * p->a_h;
        const float *b = p->b->f32 + n * p->b_n + h * p->b_h;
        SumKernel *sum = task->n->rules->sum_products;
        if (sum) {
            for (size_t c = 0; c < p->c; c++)
                sum(NULL, task->e->k, out + c * p->h * p->u, a + c * a_rows, b, b_rows, p->w, p->u,
                    NULL, 0);
            continue;
        }
        for (size_t c = 0; c < p->c; c++) memset(out + c * p->h * p->u, 0, p->u * sizeof *out);
        task->e->k->gemm_f32(out, p->h * p->u, a, a_rows, b, b_rows, p->c, p->w, p->u);
        for (size_t c = 0; c < p->c; c++) node_round(task->e, task->n, out + c * p->h * p->u, p->u);
    }
}

bool run_einsum(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const EinsumPlan *p = n->plan;
    NodeTask task = {e, n};
    pool_run(e->pool, p->n * p->h, 1, einsum_task, &task);
    return true;
}
