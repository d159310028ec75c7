// pull.c — `lathe pull hf:USER/REPO[:QUANT]`: downloads a model from the hub into the store.
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "base/json.h"
#include "base/size.h"
#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/output.h"

typedef struct {
    const char *name, *base;
    bool is_offline, as_json;
} Arguments;

static const Option option_rows[] = {
    {"--base", OPTION_TEXT, offsetof(Arguments, base), "USER/REPO|none",
     "whose config.json and other files come along (default: of the model that card or file name)"},
    {"--offline", OPTION_FLAG, offsetof(Arguments, is_offline), NULL,
     "ask nobody: only find the model in the store"},
    {"--json", OPTION_FLAG, offsetof(Arguments, as_json), NULL, "say what is there for programs"},
};

const CommandLine pull_line = {
    .usage = "lathe pull hf:USER/REPO[:QUANT] [OPTIONS]",
    .doc =
        "Brings a model from Hugging Face's hub into the store, checked against the size and the "
        "SHA-256\nthat the hub states, and prints its path. QUANT is a quantisation (Q8_0) or the "
        "name of a file; without it\nQ8_0 is taken, then what is finer, then coarser. "
        "A pull that was stopped goes on where it was.\nHF_TOKEN opens gated repositories, "
        "HF_ENDPOINT names another hub, LATHE_STORE another store.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"hf:USER/REPO[:QUANT]", offsetof(Arguments, name)}},
    .n_positional = 1,
    .n_required = 1,
};

static void print_result(const Pulled *p, Arena *arena) {
    const StoredModel *m = &p->model;
    printf("%.*s: %.1f MB in %zu file%s, commit %.12s, sha256 as the hub states%s\n%s\n",
           STR_ARG(m->name), (double)store_bytes(m) / 1e6, m->n_parts, m->n_parts == 1 ? "" : "s",
           m->commit.at, p->n_fetched ? "" : "; all was there", store_path(arena, m));
    if (!m->base.len) return;
    printf("of the publisher %.*s (named by %.*s), commit %.12s:", STR_ARG(m->base),
           STR_ARG(m->base_from), m->base_commit.at);
    for (CompanionId c = 0; c < COMPANION_COUNT; c++)
        if (m->has[c]) printf(" %s", companion_name(c));
    printf("\n");
}

// docs/json.md
static void print_json(const Pulled *p, Arena *arena) {
    const StoredModel *m = &p->model;
    json_t *files = json_array(), *publisher = json_object();
    for (CompanionId c = 0; c < COMPANION_COUNT; c++)
        if (m->has[c])
            json_object_set_new(publisher, companion_name(c),
                                json_string(store_companion_path(arena, m, c)));
    for (size_t i = 0; i < m->n_parts; i++)
        json_array_append_new(files,
                              json_pack("{s:o, s:I, s:o}", "path", json_of_str(m->parts[i].path),
                                        "bytes", (json_int_t)m->parts[i].n_bytes, "sha256",
                                        json_of_str(m->parts[i].sha256)));
    json_t *all =
        json_pack("{s:o, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "name",
                  json_of_str(m->name), "path", store_path(arena, m), "repo", json_of_str(m->repo),
                  "revision", json_of_str(m->revision), "commit", json_of_str(m->commit), "bytes",
                  (json_int_t)store_bytes(m), "fetched", (json_int_t)p->n_fetched, "files", files,
                  "base", m->base.len ? json_of_str(m->base) : json_null(), "publisher", publisher);
    if (!all) die_out_of_memory(0);
    output_json(all, JSON_INDENT(1));
}

static bool pull(Pulled *p, const Arguments *a, Arena *arena, Err *err) {
    if (!a->is_offline) return hub_model_pull(p, a->name, a->base, arena, err);
    *p = (Pulled){0};
    return hub_model_find(&p->model, a->name, arena, err);
}

bool command_pull(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!options_read(&pull_line, &a, argc, argv, &is_done, err) || is_done) return is_done;
    Arena arena = {0};
    Pulled pulled;
    bool ok = pull(&pulled, &a, &arena, err);
    if (ok && a.as_json)
        print_json(&pulled, &arena);
    else if (ok)
        print_result(&pulled, &arena);
    arena_free(&arena);
    return ok;
}
