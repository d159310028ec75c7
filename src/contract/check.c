// check.c — what must hold between the numbers of a contract that was not read from a model.
#include "base/size.h"
#include "contract/fields.h"

// Counts within the bounds of their rows. Real numbers may lie beyond those of the keys that they
// are computed from; they are finite (contract_from_json).
static bool check_counts(const Contract *c, Err *err) {
    for (int i = 0; i < FIELD_COUNT; i++) {
        const FieldRow *row = &field_rows[i];
        if (row->kind != KIND_U32) continue;
        uint32_t value = *(const uint32_t *)field_at(c, (FieldId)i);
        double most = field_most(c, (FieldId)i);
        if (value < row->least || value > most)
            return err_set(err, ERR_FORMAT, "contract field '%s': %u, expected %.0f to %.0f",
                           row->name, value, row->least, most);
    }
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
