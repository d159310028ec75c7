#include "hub/choose.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "base/size.h"

// ---- names of files

static bool same_letters(Str a, Str b) {
    return a.len == b.len && (a.len == 0 || strncasecmp(a.at, b.at, a.len) == 0);
}

static bool ends_with(Str s, Str suffix) {
    return s.len >= suffix.len &&
           same_letters((Str){s.at + s.len - suffix.len, suffix.len}, suffix);
}

static bool read_digits(const char *at, size_t n, unsigned *out) {
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)at[i])) return false;
        *out = 10 * *out + (unsigned)(at[i] - '0');
    }
    return true;
}

// Takes "-00001-of-00003" off `stem`: part 1 of 3. llama.cpp: llama_split_path().
static void read_split(Str *stem, unsigned *part, unsigned *n_parts) {
    enum { DIGITS = 5, LENGTH = 2 * DIGITS + 5 };
    *part = *n_parts = 1;
    if (stem->len <= LENGTH) return;
    const char *at = stem->at + stem->len - LENGTH;
    unsigned i, n;
    if (at[0] != '-' || strncmp(at + 1 + DIGITS, "-of-", 4) != 0) return;
    if (!read_digits(at + 1, DIGITS, &i) || !read_digits(at + DIGITS + 5, DIGITS, &n)) return;
    if (i < 1 || i > n || n > HUB_MAX_PARTS) return;
    *part = i, *n_parts = n;
    stem->len -= LENGTH;
}

static Str file_name(Str path) {
    size_t at = path.len;
    while (at > 0 && path.at[at - 1] != '/') at--;
    return (Str){path.at + at, path.len - at};
}

static Str folder(Str path) {
    size_t n = path.len - file_name(path).len;
    return (Str){path.at, n ? n - 1 : 0};
}

static bool is_model_file(Str path) {
    Str name = file_name(path);
    if (!ends_with(name, STR(".gguf")) || !hub_is_file_name(name)) return false;
    for (size_t i = 0; i + 6 <= name.len; i++)
        if (same_letters((Str){name.at + i, 6}, STR("mmproj"))) return false;
    return !ends_with(name, STR("imatrix.gguf"));
}

// Names of quantisations begin so: Q8_0, IQ4_XS, TQ1_0, F16, BF16, fp16, MXFP4.
static bool is_label(Str s) {
    static const char *const heads[] = {"Q", "IQ", "TQ", "F", "BF", "FP", "MXFP"};
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        Str head = str_of(heads[i]);
        if (s.len > head.len && same_letters((Str){s.at, head.len}, head) &&
            isdigit((unsigned char)s.at[head.len]))
            return true;
    }
    return false;
}

// What follows the last '-' or '.', if that is a label.
static Str label_at_end(Str name) {
    size_t at = name.len;
    while (at > 0 && name.at[at - 1] != '-' && name.at[at - 1] != '.') at--;
    Str last = {name.at + at, name.len - at};
    return is_label(last) ? last : (Str){name.at, 0};
}

static Str label_of(Str stem) {
    Str label = label_at_end(file_name(stem));
    return label.len ? label : label_at_end(file_name(folder(stem)));
}

// "16" of "F16" and "fp16"; empty for every other label.
static Str float_bits(Str label) {
    size_t n = label.len && toupper((unsigned char)label.at[0]) == 'F' ? 1 : 0;
    if (n && label.len > 1 && toupper((unsigned char)label.at[1]) == 'P') n = 2;
    return (Str){label.at + n, n ? label.len - n : 0};
}

static bool same_label(Str a, Str b) {
    Str bits = float_bits(a);
    return same_letters(a, b) || (bits.len && same_letters(bits, float_bits(b)));
}

// ---- models

static int compare_models(const void *a, const void *b) {
    const HubModel *left = a, *right = b;
    int by_stem = str_compare(left->stem, right->stem);
    return by_stem ? by_stem : (left->n_parts > right->n_parts) - (left->n_parts < right->n_parts);
}

// NULL: there are too many.
static HubModel *model_of(HubModels *found, Str stem, unsigned n_parts, Arena *arena) {
    for (size_t i = 0; i < found->count; i++)
        if (found->models[i].n_parts == n_parts && str_eq(found->models[i].stem, stem))
            return &found->models[i];
    if (found->count == HUB_MAX_MODELS) return NULL;
    HubModel *m = &found->models[found->count++];
    *m = (HubModel){.stem = stem,
                    .label = label_of(stem),
                    .n_parts = n_parts,
                    .parts = arena_array(arena, n_parts, const HubFile *)};
    return m;
}

bool hub_find_models(HubModels *found, const HubListing *listing, Arena *arena, Err *err) {
    *found = (HubModels){.models = arena_array(arena, HUB_MAX_MODELS, HubModel)};
    for (size_t i = 0; i < listing->count; i++) {
        const HubFile *f = &listing->files[i];
        if (!is_model_file(f->path)) continue;
        Str stem = {f->path.at, f->path.len - 5};
        unsigned part, n_parts;
        read_split(&stem, &part, &n_parts);
        HubModel *m = model_of(found, stem, n_parts, arena);
        if (!m)
            return err_set(err, ERR_FORMAT, "the repository has more than %d models",
                           HUB_MAX_MODELS);
        if (!m->parts[part - 1]) m->n_bytes += f->n_bytes;
        m->parts[part - 1] = f;
    }
    if (found->count) qsort(found->models, found->count, sizeof *found->models, compare_models);
    return true;
}

// ---- the choice

// Whether `which` is the path of one of the model's files, or with `is_bare` its name without folders.
static bool is_file_of(const HubModel *m, Str which, bool is_bare) {
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i] &&
            str_eq(is_bare ? file_name(m->parts[i]->path) : m->parts[i]->path, which))
            return true;
    return false;
}

static bool is_meant(const HubModel *m, Str which) {
    if (is_file_of(m, which, true) || same_label(m->label, which)) return true;
    // "UD-Q4_K_XL" of "Model-UD-Q4_K_XL": whole words at the end.
    Str name = file_name(m->stem);
    if (!ends_with(name, which)) return false;
    char before = name.len > which.len ? name.at[name.len - which.len - 1] : '-';
    return before == '-' || before == '.';
}

// A whole path means one file, whatever others are called.
static const HubModel *only_meant(const HubModels *all, Str which, size_t *n) {
    const HubModel *only = NULL;
    *n = 1;
    for (size_t i = 0; i < all->count; i++)
        if (is_file_of(&all->models[i], which, false)) return &all->models[i];
    *n = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (!is_meant(&all->models[i], which)) continue;
        only = &all->models[i];
        *n += 1;
    }
    return *n == 1 ? only : NULL;
}

Str hub_which(const HubModels *models, const HubModel *model) {
    size_t n;
    if (model->label.len && only_meant(models, model->label, &n) == model) return model->label;
    for (size_t i = 0; i < model->n_parts; i++)
        if (model->parts[i]) return model->parts[i]->path;
    return model->stem;
}

static void list_models(const HubModels *all, StrBuf *out) {
    enum { MOST = 600 }; // bytes: an Err holds 1024
    for (size_t i = 0; i < all->count; i++) {
        if (out->len > MOST) {
            strbuf_printf(out, " and %zu more", all->count - i);
            return;
        }
        Str which = hub_which(all, &all->models[i]);
        strbuf_printf(out, "%s%.*s (%.1f MB)", i ? ", " : "", STR_ARG(str_cut(which, 120)),
                      (double)all->models[i].n_bytes / 1e6);
    }
}

static const HubModel *refuse(const HubModels *all, const HubName *name, const char *why,
                              Err *err) {
    StrBuf there = {0};
    list_models(all, &there);
    err_set(err, ERR_USAGE, "hf:%.*s%s%.*s %s; there are: %.*s", STR_ARG(name->repo),
            name->which.len ? ":" : "", STR_ARG(name->which), why, STR_ARG(strbuf_str(&there)));
    strbuf_free(&there);
    return NULL;
}

static const HubModel *choose_by_preference(const HubModels *all, const HubName *name, Err *err) {
    static const char *const rows[] = {
#define PREFER(label) label,
#include "hub/preference.def"
#undef PREFER
    };
    if (all->count == 1) return &all->models[0];
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        const HubModel *found = NULL;
        size_t n = 0;
        for (size_t i = 0; i < all->count; i++)
            if (same_label(all->models[i].label, str_of(rows[r]))) found = &all->models[i], n++;
        if (n == 1) return found;
        if (n > 1) break;
    }
    return refuse(all, name, "has several models: add which one after a colon", err);
}

static bool is_whole(const HubModel *m, Err *err) {
    for (size_t i = 0; i < m->n_parts; i++)
        if (!m->parts[i])
            return err_set(err, ERR_FORMAT,
                           "%.*s: part %zu of %zu is not in the repository; choose another model",
                           STR_ARG(m->stem), i + 1, m->n_parts);
    return true;
}

const HubModel *hub_choose(const HubModels *all, const HubName *name, Err *err) {
    const HubModel *m = NULL;
    size_t n = 0;
    if (!all->count) {
        err_set(err, ERR_FORMAT,
                "hf:%.*s has no GGUF file; name a repository that has (often USER/MODEL-GGUF)",
                STR_ARG(name->repo));
        return NULL;
    }
    if (!name->which.len)
        m = choose_by_preference(all, name, err);
    else if (!(m = only_meant(all, name->which, &n)))
        refuse(all, name, n ? "fits several models" : "is not there", err);
    return m && is_whole(m, err) ? m : NULL;
}
