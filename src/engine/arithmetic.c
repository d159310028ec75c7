// The table of arithmetics.
#include "engine/arithmetic.h"

#include <string.h>

#include "base/size.h"

static void round_to_nearest(const Kernels *k, float *x, size_t n) {
    k->round_half(x, n);
}

static void round_away_from_0(const Kernels *k, float *x, size_t n) {
    (void)k;
    ane_round(x, n);
}

static void sum_in_fixed_point(void *context, const Kernels *k, float *out, const float *w,
                               const float *x, size_t x_stride, size_t depth, size_t cols,
                               const float *bias, size_t bias_step) {
    (void)context;
    ane_products(k, out, w, x, x_stride, depth, cols, bias, bias_step);
}

static const ArithmeticRules rows[ARITHMETIC_COUNT] = {
#define ARITHMETIC_ROW(id, name, label, round, decode_operands, curve_of, sum_products, drops_eps, \
                       spans)                                                                      \
    [ARITHMETIC_##                                                                                 \
        id] = {name, label, round, decode_operands, curve_of, sum_products, drops_eps, spans},
#include "engine/arithmetics.def"
};

const ArithmeticRules *arithmetic_rules(Arithmetic arithmetic) {
    return &rows[arithmetic];
}

const char *arithmetic_name(Arithmetic arithmetic) {
    return rows[arithmetic].name;
}

const char *arithmetic_label(Arithmetic arithmetic) {
    return rows[arithmetic].label;
}

bool arithmetic_rounds(Arithmetic arithmetic) {
    return rows[arithmetic].round != NULL;
}

bool arithmetic_named(const char *name, Arithmetic *out, Err *err) {
    StrBuf known = {0};
    for (int i = 0; i < ARITHMETIC_COUNT; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *out = (Arithmetic)i;
            strbuf_free(&known);
            return true;
        }
        bool is_last = i + 1 == ARITHMETIC_COUNT;
        strbuf_printf(&known, "%s%s", i == 0 ? "" : is_last ? " or " : ", ", rows[i].name);
    }
    err_set(err, ERR_USAGE, "arithmetic '%s': expected %s", name, known.at);
    strbuf_free(&known);
    return false;
}
