// check.c — what must hold between the numbers of a contract that was not read from a model.
#include "base/size.h"
#include "contract/fields.h"

// Counts within the bounds of their rows. Real numbers may lie beyond those of the keys that they
// are computed from; they are finite (contract_from_json).
static bool check_counts(const Contract *c, Err *err) {
    for (int i = 0; i < FIELD_COUNT; i++) {
        const FieldRow *row = &field_rows[i];
        if (row->kind != KIND_U32) continue;
        double most = field_most(c, (FieldId)i);
        for (uint32_t k = 0; k < field_n_values(c, (FieldId)i); k++) {
            uint32_t value = *(const uint32_t *)field_at_kind(c, (FieldId)i, k);
            if (value < row->least || value > most)
                return err_set(err, ERR_FORMAT, "contract field '%s': %u, expected %.0f to %.0f",
                               row->name, value, row->least, most);
        }
    }
    return true;
}

static bool check_rope(const LayerKind *k, Err *err) {
    if (k->rope_dim % 2)
        return err_set(err, ERR_FORMAT, "contract field 'rope_dim': %u, expected an even number",
                       k->rope_dim);
    bool is_long = k->rope_scaling == ROPE_SCALING_LONGROPE;
    const struct {
        FieldId field;
        size_t count;
        bool is_used;
    } lists[] = {
        {FIELD_rope_factors_short, k->rope_factors_short.count, is_long},
        {FIELD_rope_factors_long, k->rope_factors_long.count, is_long},
        {FIELD_rope_freq_factors, k->rope_freq_factors.count,
         k->rope_scaling == ROPE_SCALING_LLAMA3},
    };
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        if (lists[i].is_used && lists[i].count != k->rope_dim / 2)
            return err_set(err, ERR_FORMAT, "contract field '%s': %zu factors, expected %u",
                           field_name(lists[i].field), lists[i].count, k->rope_dim / 2);
    return true;
}

// A number for each layer where an activation has some.
static bool check_activation(const Contract *c, Err *err) {
    static const FieldId fields[] = {FIELD_xielu_alpha_p, FIELD_xielu_alpha_n, FIELD_xielu_beta,
                                     FIELD_xielu_eps};
    bool is_used = false;
    for (uint32_t i = 0; i < contract_n_kinds(c); i++)
        is_used |= c->kinds[i].activation == ACTIVATION_XIELU;
    for (size_t i = 0; is_used && i < COUNT_OF(fields); i++) {
        const FieldRow *row = &field_rows[fields[i]];
        const F32List *list = field_at(c, fields[i]);
        if (list->count != c->n_layers)
            return err_set(err, ERR_FORMAT, "contract field '%s': %zu numbers, expected %u",
                           row->name, list->count, c->n_layers);
    }
    return true;
}

bool contract_check(const Contract *c, Err *err) {
    if (!check_counts(c, err)) return false;
    if (c->kind_of_layer.count && c->kind_of_layer.count != c->n_layers)
        return err_set(err, ERR_FORMAT,
                       "contract field 'kind_of_layer': %zu kinds, expected one for each of %u "
                       "layers, or none",
                       c->kind_of_layer.count, c->n_layers);
    if (c->kind_of_layer.count && contract_n_kinds(c) == 1)
        return err_set(
            err, ERR_FORMAT,
            "contract field 'kind_of_layer': every layer is of kind 0, expected no list");
    if (c->n_heads % c->n_kv_heads)
        return err_set(err, ERR_FORMAT, "contract: %u query heads cannot share %u kv heads evenly",
                       c->n_heads, c->n_kv_heads);
    for (uint32_t i = 0; i < contract_n_kinds(c); i++)
        if (!check_rope(&c->kinds[i], err)) return false;
    return check_activation(c, err);
}
