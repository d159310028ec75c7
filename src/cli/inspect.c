// inspect.c — `lathe inspect MODEL.gguf`: the contract, each value with its source, and the
// tensors.
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "bundle/advice.h"
#include "bundle/source.h"
#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "contract/evidence.h"
#include "huggingface/folder.h"
#include "tokenizer/tokenizer.h"

enum { MAX_KEY_VALUE = 44 };

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

// A name that a file chose, in a column.
static void print_name(const char *kind, Str text) {
    StrBuf name = {0};
    strbuf_printf(&name, "%.*s", STR_ARG(text));
    str_replace_controls(name.at, 0);
    printf("%-7s %-42s ", kind, name.at);
    strbuf_free(&name);
}

static void print_unread(const Harmless *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        print_name("unread", rows[i].name);
        printf("%.*s\n", STR_ARG(rows[i].reason));
    }
}

static void print_types(const Gguf *g) {
    TypeSum sums[64];
    size_t n = sum_types(g, sums, 64);
    putchar('\n');
    for (size_t i = 0; i < n; i++)
        printf("tensors %-7s %4zu  %12" PRIu64 " weights  %12" PRIu64 " bytes\n",
               sums[i].type->name, sums[i].count, sums[i].n_weights, sums[i].n_bytes);
}

static void print_text(const Gguf *g, const Model *m) {
    enum { MAX_VALUE = 44 };
    for (int f = 0; f < FIELD_COUNT; f++) {
        StrBuf value = {0};
        contract_show_field(&m->contract, (FieldId)f, MAX_VALUE, &value);
        printf("%-19s %.*s  <- %s%s%.*s\n", field_name((FieldId)f), STR_ARG(strbuf_str(&value)),
               source_kind_name(m->sources[f].kind), m->sources[f].text.len ? ": " : "",
               STR_ARG(m->sources[f].text));
        strbuf_free(&value);
    }
    printf("\ncontract sha256 %s\n\n", contract_digest(&m->contract).hex);
    print_unread(m->harmless, m->n_harmless);
    print_types(g);
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

static json_t *types_json(const Gguf *g) {
    json_t *types = json_array();
    TypeSum sums[64];
    size_t n = sum_types(g, sums, 64);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(types, json_pack("{s:s, s:I, s:I, s:I}", "type", sums[i].type->name,
                                               "count", (json_int_t)sums[i].count, "weights",
                                               (json_int_t)sums[i].n_weights, "bytes",
                                               (json_int_t)sums[i].n_bytes));
    return types;
}

static void print_json(const Gguf *g, const Model *m, const Evidence *e) {
    json_t *sources = json_object(), *unread = json_array();
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
    json_t *all =
        json_pack("{s:i, s:o, s:o, s:s, s:o, s:o}", "schema", INSPECT_SCHEMA, "contract",
                  contract_to_json(&m->contract), "sources", sources, "contract_sha256",
                  contract_digest(&m->contract).hex, "unread", unread, "tensors", types_json(g));
    if (e->has_files) json_object_set_new(all, "agreement", agreement_to_json(&e->files));
    if (e->known.len)
        json_object_set_new(all, "published",
                            json_pack("{s:o, s:o, s:o}", "name", json_of_str(e->known), "source",
                                      json_of_str(e->known_source), "agreement",
                                      agreement_to_json(&e->published)));
    output_json(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
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
    bool is_offline, as_json;
} Arguments;

static const Option option_rows[] = {
    {"--config", OPTION_TEXT, offsetof(Arguments, files.config), "config.json",
     "compare the contract with the publisher's file"},
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
    OFFLINE_OPTION(Arguments, is_offline),
    {"--json", OPTION_FLAG, offsetof(Arguments, as_json), NULL,
     "print all of it as JSON, for programs"},
};

const CommandLine inspect_line = {
    .usage = "lathe inspect MODEL.gguf|BUNDLE [--config config.json] [OPTIONS]",
    .doc = "Prints what the model means: every number of its contract with its unit and its source "
           "(a key, a\ntensor, a shape, the architecture, or a stated derivation), the keys left "
           "unread with the reason,\nand the tensors by type. For a bundle it reads the bundle's "
           "source. For a file that lathe cannot\nread as a model it prints the keys and tensors, "
           "and what is missing.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"MODEL.gguf|BUNDLE", offsetof(Arguments, path)}},
    .n_positional = 1,
    .n_required = 1,
};

// A file that lathe cannot read as a model still shows what stands in it; the refusal, which says
// what is missing or not known, follows as the error.
static void print_unsupported(const Gguf *g) {
    for (size_t i = 0; i < g->n_keys; i++) {
        StrBuf value = {0};
        gguf_print_value(&g->keys[i], &value);
        if (value.at) str_replace_controls(value.at, 0);
        print_name("key", g->keys[i].name);
        print_cut(strbuf_str(&value), MAX_KEY_VALUE);
        printf("  %s%s\n", gguf_type_name(g->keys[i].item_type),
               g->keys[i].type == GGUF_ARRAY ? " list" : "");
        strbuf_free(&value);
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        const TensorInfo *t = &g->tensors[i];
        print_name("tensor", t->name);
        printf("%-7s", t->type->name);
        for (unsigned d = 0; d < t->n_dims; d++) printf("%s%zu", d ? " x " : " ", t->dims[d]);
        putchar('\n');
    }
    print_types(g);
}

static json_t *key_json(const GgufKey *k) {
    StrBuf value = {0};
    gguf_print_value(k, &value);
    json_t *key = json_pack("{s:o, s:s, s:o}", "name", json_of_str(k->name), "type",
                            gguf_type_name(k->item_type), "value", json_of_str(strbuf_str(&value)));
    if (k->type == GGUF_ARRAY)
        json_object_set_new(key, "items", json_integer((json_int_t)k->n_items));
    strbuf_free(&value);
    return key;
}

static json_t *tensor_json(const TensorInfo *t) {
    json_t *dims = json_array();
    for (unsigned d = 0; d < t->n_dims; d++)
        json_array_append_new(dims, json_integer((json_int_t)t->dims[d]));
    return json_pack("{s:o, s:s, s:o}", "name", json_of_str(t->name), "type", t->type->name, "dims",
                     dims);
}

// The same for programs, with the refusal as every command gives it.
static void print_unsupported_json(const Gguf *g, const Err *err) {
    json_t *keys = json_array(), *tensors = json_array();
    for (size_t i = 0; i < g->n_keys; i++) json_array_append_new(keys, key_json(&g->keys[i]));
    for (size_t i = 0; i < g->n_tensors; i++)
        json_array_append_new(tensors, tensor_json(&g->tensors[i]));
    output_json(json_pack("{s:i, s:o, s:i, s:o, s:o, s:o}", "schema", INSPECT_SCHEMA, "error",
                          json_of_str(str_of(err->text)), "code", exit_code(err->kind), "keys",
                          keys, "tensor_list", tensors, "tensors", types_json(g)),
                JSON_INDENT(1));
}

// The model file of what was named: of a bundle its source, read with the bundle's settings.
static const char *find_model(const Arguments *a, Chain *chain, GgufSettings *settings,
                              Arena *arena, Err *err) {
    if (!path_is_bundle(a->path)) return a->path;
    if (!chain_read(chain, arena, a->path, err)) return NULL;
    if (has_settings(settings)) {
        err_set(err, ERR_USAGE, "--set and --ignore-key apply to a model file; %s keeps its own",
                a->path);
        return NULL;
    }
    *settings = chain->settings;
    const char *model = source_find(a->path, chain, NULL, arena);
    if (!model)
        err_set(err, ERR_USAGE,
                "%s: its source %.*s was not found in the bundle's folder, in the current one, or "
                "where it was last; inspect the model file itself",
                a->path, STR_ARG(chain->source_name));
    return model;
}

// The file beside a bundle may have been replaced by another of its name.
static bool is_source(const Arguments *a, const Chain *chain, const Model *m, const char *model,
                      Err *err) {
    if (!path_is_bundle(a->path) ||
        str_is(chain->contract_digest, contract_digest(&m->contract).hex))
        return true;
    return err_set(err, ERR_FORMAT, "%s has another contract than %s, so it is not its source",
                   model, a->path);
}

bool command_inspect(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!options_read(&inspect_line, &a, argc, argv, &is_done, err) || is_done) return is_done;

    Arena arena = {0};
    Gguf g = {0};
    Model m;
    Chain chain = {0};
    GgufSettings settings = settings_given(&a.settings);
    const char *path = hub_model_path(&a.path, a.is_offline, &arena, err)
                           ? find_model(&a, &chain, &settings, &arena, err)
                           : NULL;
    if (path) hub_model_files(&a.files, path, &arena);
    bool is_open = path && model_open(&g, &arena, path, err);
    bool ok = is_open && gguf_apply_settings(&g, &arena, &settings, err);
    bool is_known = ok && model_read(&m, &g, &arena, err) && has_tokenizer(&g, err);
    if (is_open && !is_known) err_prefix(err, "%s", path);
    if (ok && !is_known && a.as_json) print_unsupported_json(&g, err);
    if (ok && !is_known && !a.as_json) print_unsupported(&g);
    ok = is_known && is_source(&a, &chain, &m, path, err);
    Evidence e;
    ok = ok && evidence_gather(&e, &a.files, &m, &g, 0, &arena, err);
    if (ok && a.as_json) print_json(&g, &m, &e);
    if (ok && !a.as_json) {
        print_text(&g, &m);
        print_evidence(&e);
    }
    if (ok && evidence_contradictions(&e)) {
        evidence_error(&e, vote_command(&arena, path, &a.files, &settings), err);
        ok = err_prefix(err, "%s", path);
    }
    gguf_close(&g);
    arena_free(&arena);
    return ok;
}
