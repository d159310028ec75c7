// filter_list.c — filters of sequences.
#include <stdlib.h>
#include <string.h>

#include "jinja/jinja.h"

// An attribute of an item by a dotted path ("function.name"; digits are an index), or an index.
// Where a part is missing and `otherwise` is not None, the result is `otherwise`.
static JValue path_of(Render *r, JValue v, JValue path, JValue otherwise) {
    if (path.kind == J_NONE) return v;
    if (path.kind != J_STR) return jinja_item(r, v, path);
    for (Str left = path.text; !r->failed;) {
        size_t dot = text_find(left, STR("."), 0);
        Str part = {left.at, dot == SIZE_MAX ? left.len : dot};
        bool is_place = part.len > 0 && part.len < 10;
        int64_t place = 0;
        for (size_t i = 0; i < part.len && is_place; i++) {
            is_place = part.at[i] >= '0' && part.at[i] <= '9';
            place = place * 10 + (part.at[i] - '0');
        }
        v = jinja_item(r, v, is_place ? J_NUMBER(place) : J_TEXT(part));
        if (v.kind == J_UNDEFINED && otherwise.kind != J_NONE) v = otherwise;
        if (dot == SIZE_MAX) break;
        left = (Str){left.at + dot + 1, left.len - dot - 1};
    }
    return v;
}

static JValue fold(Render *r, JValue v, bool is_exact) {
    if (v.kind != J_STR || is_exact || r->failed) return v;
    return jinja_call_method(r, v, STR("lower"), &(JArgs){0});
}

static bool flag(JValue v) {
    return v.kind != J_MISSING && jinja_truth(v);
}

// ---- picking and counting

static JValue filter_length(Render *r, JValue v, const JValue *in) {
    (void)in;
    if (v.kind == J_STR) return J_NUMBER((int64_t)text_length(v.text));
    if (v.kind == J_LIST && v.form != FORM_GENERATOR) return J_NUMBER((int64_t)v.list->count);
    if (v.kind == J_DICT) return J_NUMBER((int64_t)v.dict->count);
    if (v.kind == J_LOOP) return J_NUMBER((int64_t)v.loop->items->count);
    if (v.kind == J_UNDEFINED) return J_NUMBER(0);
    return jinja_fail(r, "length: %s has no length", jinja_type_name(v));
}

static JValue filter_first(Render *r, JValue v, const JValue *in) {
    (void)in;
    JValue items = jinja_items(r, v);
    if (r->failed || items.list->count == 0)
        return jinja_undefined(STR("the first item of an empty list"));
    return items.list->at[0];
}

static JValue filter_last(Render *r, JValue v, const JValue *in) {
    (void)in;
    if (v.kind == J_LIST && v.form == FORM_GENERATOR)
        return jinja_fail(r, "last: a generator has no last item");
    JValue items = jinja_items(r, v);
    if (r->failed || items.list->count == 0)
        return jinja_undefined(STR("the last item of an empty list"));
    return items.list->at[items.list->count - 1];
}

static JValue filter_list(Render *r, JValue v, const JValue *in) {
    (void)in;
    JValue items = jinja_items(r, v);
    return r->failed ? items : jinja_share(r, items, 0, items.list->count, FORM_LIST);
}

static JValue filter_reverse(Render *r, JValue v, const JValue *in) {
    (void)in;
    bool is_generator = v.kind == J_LIST && v.form == FORM_GENERATOR;
    JValue items = jinja_items(r, v);
    JValue copy = jinja_sequence(r, is_generator ? FORM_LIST : FORM_GENERATOR);
    for (size_t i = r->failed ? 0 : items.list->count; i-- > 0;)
        jinja_push(r, copy.list, items.list->at[i]);
    if (v.kind != J_STR) return copy;
    StrBuf out = {0};
    for (size_t i = 0; i < copy.list->count; i++) strbuf_add(&out, copy.list->at[i].text);
    return jinja_keep(r, &out);
}

static JValue filter_sum(Render *r, JValue v, const JValue *in) {
    JValue items = jinja_items(r, v), path = jinja_or(in[0], J_NOTHING);
    JValue total = jinja_or(in[1], J_NUMBER(0));
    for (size_t i = 0; !r->failed && i < items.list->count; i++)
        total = jinja_binary(r, OP_ADD, total, path_of(r, items.list->at[i], path, J_NOTHING));
    return total;
}

static JValue extreme(Render *r, JValue v, const JValue *in, int sign) {
    JValue items = jinja_items(r, v), path = jinja_or(in[1], J_NOTHING), best_key = {0};
    if (r->failed || items.list->count == 0)
        return jinja_undefined(STR("the least or greatest item of an empty list"));
    size_t best = 0;
    for (size_t i = 0; i < items.list->count && !r->failed; i++) {
        JValue key = fold(r, path_of(r, items.list->at[i], path, J_NOTHING), flag(in[0]));
        if (i && jinja_order(r, key, best_key) * sign <= 0) continue;
        best = i;
        best_key = key;
    }
    return items.list->at[best];
}
static JValue filter_max(Render *r, JValue v, const JValue *in) {
    return extreme(r, v, in, 1);
}
static JValue filter_min(Render *r, JValue v, const JValue *in) {
    return extreme(r, v, in, -1);
}

// ---- joining and mapping

static JValue filter_join(Render *r, JValue v, const JValue *in) {
    JValue items = jinja_items(r, v);
    JValue gap = jinja_to_text(r, jinja_or(in[0], J_TEXT(STR(""))));
    JValue path = jinja_or(in[1], J_NOTHING);
    StrBuf out = {0};
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        if (i) strbuf_add(&out, gap.text);
        jinja_print(path_of(r, items.list->at[i], path, J_NOTHING), &out);
        if (out.len > TEMPLATE_MAX_OUTPUT || !jinja_charge(r, 1)) break;
    }
    return jinja_keep(r, &out);
}

// By attribute= (and default=), or by a filter and its arguments.
static JValue filter_map(Render *r, JValue v, const JArgs *args) {
    JValue list = jinja_sequence(r, FORM_GENERATOR), in[2];
    if (!jinja_truth(v)) return list; // an empty list needs no filter
    JValue items = jinja_items(r, v);
    bool is_plain = args->count == args->n_keywords;
    Str name = {0};
    JArgs rest = {0};
    if (is_plain) {
        if (!jinja_bind(r, STR("map"), "attribute default?", args, in)) return list;
    } else {
        if (!jinja_need_text(r, args->at[0], &name)) return list;
        rest = (JArgs){args->at + 1, args->count - 1, args->keywords, args->n_keywords};
    }
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        JValue item = items.list->at[i];
        item = is_plain ? path_of(r, item, in[0], jinja_or(in[1], J_NOTHING))
                        : jinja_filter(r, item, name, &rest);
        jinja_push(r, list.list, item);
    }
    return list;
}

// select, reject, selectattr, rejectattr: items whose (attribute's) test holds, or does not.
static JValue choose(Render *r, JValue v, const JArgs *args, bool by_attribute, bool wanted) {
    JValue list = jinja_sequence(r, FORM_GENERATOR);
    JValue items = jinja_truth(v) ? jinja_items(r, v) : list;
    size_t skip = by_attribute ? 1 : 0;
    if (args->count - args->n_keywords < skip)
        return jinja_fail(r, "the name of an attribute is missing");
    bool has_test = args->count - args->n_keywords > skip;
    Str name;
    if (has_test && !jinja_need_text(r, args->at[skip], &name)) return list;
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        JValue item = items.list->at[i];
        JValue of = by_attribute ? path_of(r, item, args->at[0], J_NOTHING) : item;
        if (has_test && !r->failed) {
            JArgs rest = {args->at + skip + 1, args->count - skip - 1, args->keywords,
                          args->n_keywords};
            of = jinja_test(r, of, name, &rest);
        }
        if (jinja_truth(of) == wanted && jinja_charge(r, 1)) jinja_push(r, list.list, item);
    }
    return list;
}
static JValue filter_select(Render *r, JValue v, const JArgs *args) {
    return choose(r, v, args, false, true);
}
static JValue filter_reject(Render *r, JValue v, const JArgs *args) {
    return choose(r, v, args, false, false);
}
static JValue filter_selectattr(Render *r, JValue v, const JArgs *args) {
    return choose(r, v, args, true, true);
}
static JValue filter_rejectattr(Render *r, JValue v, const JArgs *args) {
    return choose(r, v, args, true, false);
}

// ---- order

typedef struct {
    JValue key, item;
} Keyed;

static bool stands_after(Render *r, JValue a, JValue b, bool reverse) {
    int order = jinja_order(r, a, b);
    return reverse ? order < 0 : order > 0;
}

// Merge sort: stable, also backwards. `spare` has room for `n`.
static void sort_keyed(Render *r, Keyed *at, size_t n, Keyed *spare, bool reverse) {
    if (n < 2 || !jinja_charge(r, n)) return;
    size_t half = n / 2, i = 0, k = half;
    sort_keyed(r, at, half, spare, reverse);
    sort_keyed(r, at + half, n - half, spare, reverse);
    for (size_t to = 0; to < n; to++) {
        bool takes_right = i == half || (k < n && stands_after(r, at[i].key, at[k].key, reverse));
        spare[to] = takes_right ? at[k++] : at[i++];
    }
    memcpy(at, spare, n * sizeof *at);
}

// By several attributes with commas between, each compared in turn. Lists of keys, even of one,
// are compared as lists: equal keys need no order.
static JValue sort_key(Render *r, JValue item, JValue path, JValue otherwise, bool is_exact) {
    JValue key = jinja_list(r);
    if (path.kind != J_STR) {
        jinja_push(r, key.list, fold(r, path_of(r, item, path, otherwise), is_exact));
        return key;
    }
    for (Str left = path.text; !r->failed;) {
        size_t comma = text_find(left, STR(","), 0);
        Str part = {left.at, comma == SIZE_MAX ? left.len : comma};
        JValue found = path_of(r, item, J_TEXT(part), otherwise);
        jinja_push(r, key.list, fold(r, found, is_exact));
        if (comma == SIZE_MAX) break;
        left = (Str){left.at + comma + 1, left.len - comma - 1};
    }
    return key;
}

typedef JValue SortKey(Render *r, JValue item, JValue path, JValue otherwise, bool is_exact);

static JValue sorted(Render *r, JValue items, SortKey *key, JValue path, JValue otherwise,
                     bool is_exact, bool reverse) {
    JValue list = jinja_list(r);
    if (r->failed) return list;
    size_t n = items.list->count;
    Keyed *at = arena_array(r->arena, 2 * n + 1, Keyed);
    for (size_t i = 0; i < n && !r->failed; i++)
        at[i] = (Keyed){key(r, items.list->at[i], path, otherwise, is_exact), items.list->at[i]};
    if (!r->failed) sort_keyed(r, at, n, at + n, reverse);
    for (size_t i = 0; i < n && !r->failed; i++) jinja_push(r, list.list, at[i].item);
    return list;
}

static JValue filter_sort(Render *r, JValue v, const JValue *in) {
    JValue items = jinja_items(r, v), path = jinja_or(in[2], J_NOTHING);
    return sorted(r, items, sort_key, path, J_NOTHING, flag(in[1]), flag(in[0]));
}

// One key, compared by itself.
static JValue plain_key(Render *r, JValue item, JValue path, JValue otherwise, bool is_exact) {
    return fold(r, path_of(r, item, path, otherwise), is_exact);
}

static JValue pairs_of(Render *r, JValue v) {
    if (v.kind == J_UNDEFINED) return jinja_list(r);
    if (v.kind != J_DICT)
        return jinja_fail(r, "items: expected a dict, found %s", jinja_type_name(v));
    return jinja_call_method(r, v, STR("items"), &(JArgs){0});
}

static JValue filter_items(Render *r, JValue v, const JValue *in) {
    (void)in;
    JValue pairs = pairs_of(r, v);
    pairs.form = FORM_GENERATOR;
    return pairs;
}

static JValue filter_dictsort(Render *r, JValue v, const JValue *in) {
    JValue by = jinja_or(in[1], J_TEXT(STR("key")));
    bool by_value = by.kind == J_STR && str_is(by.text, "value");
    if (v.kind == J_UNDEFINED) return jinja_refuse_undefined(r, v);
    if (!by_value && !(by.kind == J_STR && str_is(by.text, "key")))
        return jinja_fail(r, "dictsort: expected by='key' or by='value'");
    return sorted(r, pairs_of(r, v), plain_key, J_NUMBER(by_value), J_NOTHING, flag(in[0]),
                  flag(in[2]));
}

static JValue filter_unique(Render *r, JValue v, const JValue *in) {
    JValue items = jinja_items(r, v), list = jinja_sequence(r, FORM_GENERATOR);
    JValue seen = jinja_list(r), path = jinja_or(in[1], J_NOTHING);
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        JValue key = fold(r, path_of(r, items.list->at[i], path, J_NOTHING), flag(in[0]));
        if (!jinja_need_hashable(r, key) || jinja_contains(r, seen, key)) continue;
        jinja_push(r, seen.list, key);
        jinja_push(r, list.list, items.list->at[i]);
    }
    return list;
}

// ---- groups

// [(key, [items]), …] in the order of the keys; g.grouper and g.list are the parts of one.
static JValue filter_groupby(Render *r, JValue v, const JValue *in) {
    JValue otherwise = jinja_or(in[1], J_NOTHING), groups = jinja_list(r), last = {0};
    JValue items = sorted(r, jinja_items(r, v), plain_key, in[0], otherwise, flag(in[2]), false);
    JValue group = {0};
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        JValue raw = path_of(r, items.list->at[i], in[0], otherwise);
        JValue key = fold(r, raw, flag(in[2]));
        if (i == 0 || !jinja_equal(r, key, last)) {
            group = jinja_list(r);
            JValue both = jinja_pair(r, raw, group);
            both.list->is_group = true;
            jinja_push(r, groups.list, both);
        }
        jinja_push(r, group.list, items.list->at[i]);
        last = key;
    }
    return groups;
}

// Lists of in[0] items; the last filled up with in[1].
static JValue filter_batch(Render *r, JValue v, const JValue *in) {
    JValue items = jinja_items(r, v), groups = jinja_sequence(r, FORM_GENERATOR), group = {0};
    int64_t size;
    if (!jinja_need_number(r, in[0], &size)) return v;
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        if (i == 0 || (int64_t)group.list->count == size)
            jinja_push(r, groups.list, group = jinja_list(r));
        jinja_push(r, group.list, items.list->at[i]);
    }
    bool fills = !r->failed && in[1].kind != J_MISSING && in[1].kind != J_NONE && group.list;
    while (fills && (int64_t)group.list->count < size && jinja_charge(r, 1))
        jinja_push(r, group.list, in[1]);
    return groups;
}

// in[0] lists, as even as can be; in[1] makes them even.
static JValue filter_slice(Render *r, JValue v, const JValue *in) {
    JValue items = jinja_items(r, v), groups = jinja_sequence(r, FORM_GENERATOR);
    int64_t n;
    if (!jinja_need_number(r, in[0], &n)) return v;
    if (n <= 0) return jinja_fail(r, "slice: expected 1 or more slices, found %lld", (long long)n);
    bool fills = in[1].kind != J_MISSING && in[1].kind != J_NONE;
    size_t at = 0, each = items.list->count / (size_t)n, n_longer = items.list->count % (size_t)n;
    for (size_t i = 0; i < (size_t)n && jinja_charge(r, 1); i++) {
        JValue group = jinja_list(r);
        size_t size = each + (i < n_longer);
        for (size_t k = 0; k < size; k++) jinja_push(r, group.list, items.list->at[at++]);
        if (fills && i >= n_longer) jinja_push(r, group.list, in[1]);
        jinja_push(r, groups.list, group);
    }
    return groups;
}

const JFilterRow jinja_list_filters[] = {
    {"batch", filter_batch, "linecount fill_with?", NULL},
    {"count", filter_length, "", NULL},
    {"dictsort", filter_dictsort, "case_sensitive? by? reverse?", NULL},
    {"first", filter_first, "", NULL},
    {"groupby", filter_groupby, "attribute default? case_sensitive?", NULL},
    {"items", filter_items, "", NULL},
    {"join", filter_join, "d? attribute?", NULL},
    {"last", filter_last, "", NULL},
    {"length", filter_length, "", NULL},
    {"list", filter_list, "", NULL},
    {"map", NULL, NULL, filter_map},
    {"max", filter_max, "case_sensitive? attribute?", NULL},
    {"min", filter_min, "case_sensitive? attribute?", NULL},
    {"reject", NULL, NULL, filter_reject},
    {"rejectattr", NULL, NULL, filter_rejectattr},
    {"reverse", filter_reverse, "", NULL},
    {"select", NULL, NULL, filter_select},
    {"selectattr", NULL, NULL, filter_selectattr},
    {"slice", filter_slice, "slices fill_with?", NULL},
    {"sort", filter_sort, "reverse? case_sensitive? attribute?", NULL},
    {"sum", filter_sum, "attribute? start?", NULL},
    {"unique", filter_unique, "case_sensitive? attribute?", NULL},
    {0},
};
