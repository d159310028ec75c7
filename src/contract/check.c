// check.c — what must hold between the numbers of a contract that was not read from a model.
#include "base/size.h"
#include "contract/read.h"

static bool check_counts(const Contract *c, Err *err) {
    const struct {
        FieldId field;
        uint32_t value, least, most;
    } rows[] = {
        {FIELD_n_layers, c->n_layers, 1, MAX_LAYERS},
        {FIELD_d_model, c->d_model, 1, MAX_DIM},
        {FIELD_n_heads, c->n_heads, 1, MAX_HEADS},
        {FIELD_n_kv_heads, c->n_kv_heads, 1, c->n_heads},
        {FIELD_head_dim, c->head_dim, 2, MAX_HEAD_DIM},
        {FIELD_head_dim_v, c->head_dim_v, 1, MAX_HEAD_DIM},
        {FIELD_d_ff, c->d_ff, 1, MAX_DIM},
        {FIELD_n_vocab, c->n_vocab, 1, UINT32_MAX},
        {FIELD_rope_dim, c->rope_dim, 2, c->head_dim},
        {FIELD_context, c->context, 1, MAX_CONTEXT},
        {FIELD_original_context, c->original_context, 1, c->context},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].value < rows[i].least || rows[i].value > rows[i].most)
            return err_set(err, ERR_FORMAT, "contract field '%s': %u, expected %u to %u",
                           field_name(rows[i].field), rows[i].value, rows[i].least, rows[i].most);
    return true;
}

bool contract_check(const Contract *c, Err *err) {
    if (!check_counts(c, err)) return false;
    if (c->n_heads % c->n_kv_heads)
        return err_set(err, ERR_FORMAT, "contract: %u query heads cannot share %u kv heads evenly",
                       c->n_heads, c->n_kv_heads);
    if (c->rope_dim % 2)
        return err_set(err, ERR_FORMAT, "contract field 'rope_dim': %u, expected an even number",
                       c->rope_dim);
    bool is_long = c->rope_scaling == ROPE_SCALING_LONGROPE;
    const struct {
        FieldId field;
        size_t count;
        bool is_used;
    } lists[] = {
        {FIELD_rope_factors_short, c->rope_factors_short.count, is_long},
        {FIELD_rope_factors_long, c->rope_factors_long.count, is_long},
        {FIELD_rope_freq_factors, c->rope_freq_factors.count,
         c->rope_scaling == ROPE_SCALING_LLAMA3},
    };
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        if (lists[i].is_used && lists[i].count != c->rope_dim / 2)
            return err_set(err, ERR_FORMAT, "contract field '%s': %zu factors, expected %u",
                           field_name(lists[i].field), lists[i].count, c->rope_dim / 2);
    return true;
}
