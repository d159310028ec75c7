// inspect.c — `lathe inspect MODEL.gguf`: the contract, each value with its source, and the
// tensors.
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/settings.h"
#include "contract/evidence.h"
#include "tokenizer/tokenizer.h"

typedef struct {
    const BlockType *type;
    size_t count;
    uint64_t n_weights, n_bytes;
} TypeSum;

static size_t sum_types(const Gguf *g, TypeSum *sums, size_t cap) {
    size_t n = 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        const TensorInfo *t = &g->tensors[i];
        size_t at = 0;
        while (at < n && sums[at].type != t->type) at++;
        if (at == n && n < cap) sums[n++] = (TypeSum){.type = t->type};
        sums[at].count++;
        sums[at].n_weights += t->n_weights;
        sums[at].n_bytes += t->n_bytes;
    }
    return n;
}

static void print_unread(const Harmless *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        StrBuf name = {0};
        strbuf_add(&name, rows[i].name); // of a file's own choice
        str_replace_controls(name.at, 0);
        printf("unread  %-42s %.*s\n", name.at, STR_ARG(rows[i].reason));
        strbuf_free(&name);
    }
}

static void print_text(const Gguf *g, const Model *m) {
    enum { MAX_VALUE = 44 };
    for (int f = 0; f < FIELD_COUNT; f++) {
        StrBuf value = {0};
        contract_print_field(&m->contract, (FieldId)f, &value);
        Str text = value.len ? str_cut(strbuf_str(&value), MAX_VALUE) : STR("-");
        bool is_cut = value.len > MAX_VALUE;
        printf("%-19s %.*s%s %s  <- %s%s%.*s\n", field_name((FieldId)f), STR_ARG(text),
               is_cut ? "…" : "", field_unit((FieldId)f), source_kind_name(m->sources[f].kind),
               m->sources[f].text.len ? ": " : "", STR_ARG(m->sources[f].text));
        strbuf_free(&value);
    }
    printf("\ncontract sha256 %s\n\n", contract_digest(&m->contract).hex);
    print_unread(m->harmless, m->n_harmless);
    TypeSum sums[64];
    size_t n = sum_types(g, sums, 64);
    putchar('\n');
    for (size_t i = 0; i < n; i++)
        printf("tensors %-7s %4zu  %12" PRIu64 " weights  %12" PRIu64 " bytes\n",
               sums[i].type->name, sums[i].count, sums[i].n_weights, sums[i].n_bytes);
}

static void print_cut(Str s, int width) {
    if (s.len > (size_t)width)
        printf("%.*s…", STR_ARG(str_cut(s, (size_t)width - 1)));
    else
        printf("%-*.*s", width, STR_ARG(s));
}

static void print_agreement(const Agreement *a, const char *heading) {
    printf("\n%-19s %-14s %-14s %s\n", "agreement", "GGUF", heading, "verdict");
    for (size_t i = 0; i < a->n_rows; i++) {
        const AgreementRow *row = &a->rows[i];
        if (row->verdict == VERDICT_ONLY_GGUF) continue;
        printf("%-19s ", row->what);
        print_cut(row->ours, 14);
        putchar(' ');
        print_cut(row->theirs, 14);
        printf(" %s%s%s  <- %.*s\n", verdict_name(row->verdict), row->note ? ": " : "",
               row->note ? row->note : "", STR_ARG(row->their_source));
    }
    printf("only the GGUF says:");
    for (size_t i = 0; i < a->n_rows; i++)
        if (a->rows[i].verdict == VERDICT_ONLY_GGUF) printf(" %s", a->rows[i].what);
    printf("\n%zu agree, %zu contradict\n", a->n_agree, a->n_contradict);
}

static void print_evidence(const Evidence *e) {
    if (e->has_files) print_agreement(&e->files, "config");
    print_unread(e->stated.unread, e->stated.n_unread);
    if (!e->known.len) return;
    print_agreement(&e->published, "published");
    printf("published contract %.*s: %.*s\n", STR_ARG(e->known), STR_ARG(e->known_source));
}

// docs/inspect-json.md describes it.
enum { INSPECT_SCHEMA = 1 };

static void print_json(const Gguf *g, const Model *m, const Evidence *e) {
    json_t *sources = json_object(), *unread = json_array(), *tensors = json_array();
    for (int f = 0; f < FIELD_COUNT; f++)
        json_object_set_new(sources, field_name((FieldId)f),
                            json_pack("{s:s, s:o, s:s, s:s}", "kind",
                                      source_kind_name(m->sources[f].kind), "from",
                                      json_of_str(m->sources[f].text), "unit",
                                      field_unit((FieldId)f), "meaning", field_doc((FieldId)f)));
    for (size_t i = 0; i < m->n_harmless; i++)
        json_array_append_new(unread,
                              json_pack("{s:o, s:o}", "name", json_of_str(m->harmless[i].name),
                                        "reason", json_of_str(m->harmless[i].reason)));
    TypeSum sums[64];
    size_t n = sum_types(g, sums, 64);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(tensors, json_pack("{s:s, s:I, s:I, s:I}", "type", sums[i].type->name,
                                                 "count", (json_int_t)sums[i].count, "weights",
                                                 (json_int_t)sums[i].n_weights, "bytes",
                                                 (json_int_t)sums[i].n_bytes));
    json_t *all =
        json_pack("{s:i, s:o, s:o, s:s, s:o, s:o}", "schema", INSPECT_SCHEMA, "contract",
                  contract_to_json(&m->contract), "sources", sources, "contract_sha256",
                  contract_digest(&m->contract).hex, "unread", unread, "tensors", tensors);
    if (e->has_files) json_object_set_new(all, "agreement", agreement_to_json(&e->files));
    if (e->known.len)
        json_object_set_new(all, "published",
                            json_pack("{s:o, s:o, s:o}", "name", json_of_str(e->known), "source",
                                      json_of_str(e->known_source), "agreement",
                                      agreement_to_json(&e->published)));
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(all);
}

// How text becomes tokens is part of what a model means: a vocabulary that lathe cannot use is as
// unknown as an unknown key.
static bool has_tokenizer(const Gguf *g, Err *err) {
    Tokenizer *t = tokenizer_open(g, err);
    tokenizer_close(t);
    return t != NULL;
}

typedef struct {
    const char *path;
    ConfigFiles files;
    SettingOptions settings;
    bool as_json;
} Arguments;

static const Option option_rows[] = {
    {"--config", OPTION_TEXT, offsetof(Arguments, files.config), "config.json",
     "compare with what the model's publisher says"},
    {"--generation-config", OPTION_TEXT, offsetof(Arguments, files.generation), "FILE",
     "likewise, generation_config.json"},
    {"--tokenizer-config", OPTION_TEXT, offsetof(Arguments, files.tokenizer), "FILE",
     "likewise, tokenizer_config.json"},
    {"--chat-template", OPTION_TEXT, offsetof(Arguments, files.chat_template), "FILE.jinja",
     "likewise, chat_template.jinja"},
#define SETTING(name, member, argument, doc)                                                       \
    {name, OPTION_TEXTS, offsetof(Arguments, settings.member), argument, doc},
#include "cli/settings.def"
#undef SETTING
    {"--json", OPTION_FLAG, offsetof(Arguments, as_json), NULL, "the same whole, for programs"},
};

const CommandLine inspect_line = {
    .usage = "lathe inspect MODEL.gguf [--config config.json] [OPTIONS]",
    .doc = "Prints what the model means: every number of its contract with its unit and where "
           "it comes\nfrom (a key, a tensor, a shape, the architecture, or a stated "
           "derivation), the keys left unread\nwith the reason, and the tensors by type.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"MODEL.gguf", offsetof(Arguments, path)}},
    .n_positional = 1,
    .n_required = 1,
};

bool command_inspect(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!options_read(&inspect_line, &a, argc, argv, &is_done, err) || is_done) return is_done;

    Arena arena = {0};
    Gguf g = {0};
    Model m;
    GgufSettings settings = settings_given(&a.settings);
    bool ok = gguf_open(&g, &arena, a.path, err) &&
              ((gguf_apply_settings(&g, &arena, &settings, err) &&
                model_read(&m, &g, &arena, err) && has_tokenizer(&g, err)) ||
               err_prefix(err, "%s", a.path));
    Evidence e;
    ok = ok && evidence_gather(&e, &a.files, &m, &g, 0, &arena, err);
    if (ok && a.as_json) print_json(&g, &m, &e);
    if (ok && !a.as_json) {
        print_text(&g, &m);
        print_evidence(&e);
    }
    if (ok && evidence_contradictions(&e)) {
        evidence_error(&e, err);
        ok = err_prefix(err, "%s", a.path);
    }
    gguf_close(&g);
    arena_free(&arena);
    return ok;
}
