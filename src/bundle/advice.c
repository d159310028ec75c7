#include "bundle/advice.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "bundle/source.h"
#include "decoder/ports.h"

const char *shell_word(Arena *arena, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./+:,@%-";
    StrBuf out = {0};
    if (*text == '-') strbuf_add(&out, STR("./"));
    if (*text && strspn(text, plain) == strlen(text)) {
        strbuf_add(&out, str_of(text));
    } else {
        strbuf_add_char(&out, '\'');
        for (const char *c = text; *c; c++)
            strbuf_add(&out, *c == '\'' ? STR("'\\''") : (Str){c, 1});
        strbuf_add_char(&out, '\'');
    }
    const char *word = arena_cstr(arena, strbuf_str(&out));
    strbuf_free(&out);
    return word;
}

// The source's path where it is found, else the name that it had.
static const char *name_source(Arena *arena, const char *dir, const Chain *chain, bool *is_found) {
    const char *path = source_find(dir, chain, NULL, arena);
    *is_found = path != NULL;
    if (path) return path;
    return chain->source_name.len ? arena_cstr(arena, chain->source_name) : "MODEL.gguf";
}

static void add_option(Arena *arena, StrBuf *out, const char *option, const char *value) {
    // An option's argument is never taken for an option, so no "./" goes before a dash.
    const char *word = shell_word(arena, value);
    strbuf_printf(out, " %s %s", option, *value == '-' ? word + 2 : word);
}

static void add_settings(Arena *arena, StrBuf *out, const GgufSettings *settings) {
    for (size_t i = 0; i < settings->n_set; i++) add_option(arena, out, "--set", settings->set[i]);
    for (size_t i = 0; i < settings->n_ignored; i++)
        add_option(arena, out, "--ignore-key", settings->ignored[i]);
}

// How it is used, as far as an option said so: what the files say is read from them again.
static void add_choices(Arena *arena, StrBuf *out, const Use *use) {
    for (int i = 0; i < USE_COUNT; i++) {
        if (!str_starts(use->from[i].source, STR("option "))) continue;
        StrBuf value = {0};
        use_print(use, (UseId)i, &value);
        add_option(arena, out, use_rows[i].option, arena_cstr(arena, strbuf_str(&value)));
        strbuf_free(&value);
    }
}

static const char *print_convert(Arena *arena, const char *source, const char *dir,
                                 const Chain *chain) {
    StrBuf out = {0};
    strbuf_printf(&out, "lathe convert %s -o %s --force", shell_word(arena, source),
                  shell_word(arena, dir));
    add_settings(arena, &out, &chain->settings);
    if (chain->weights.len && !str_is(chain->weights, "int8"))
        add_option(arena, &out, "--weights", arena_cstr(arena, chain->weights));
    if (chain->norm.len && !str_is(chain->norm, "max"))
        add_option(arena, &out, "--norm", arena_cstr(arena, chain->norm));
    if (chain->sizes.len && !str_is(chain->sizes, "cautious"))
        add_option(arena, &out, "--sizes", arena_cstr(arena, chain->sizes));
    if (chain_decode_rows(chain) > 1) add_option(arena, &out, "--functions", "one");
    if (chain->head_slice_rows)
        add_option(arena, &out, "--head-slice-rows",
                   arena_printf(arena, "%u", chain->head_slice_rows).at);
    if (chain->weight_files)
        add_option(arena, &out, "--weight-files",
                   arena_printf(arena, "%u", chain->weight_files).at);
    if (chain->kv.len && !str_is(chain->kv, "overwrite"))
        add_option(arena, &out, "--kv", arena_cstr(arena, chain->kv));
    if (chain->windows.len && !str_is(chain->windows, "ring"))
        add_option(arena, &out, "--windows", arena_cstr(arena, chain->windows));
    if (chain->target.len && !str_is(chain->target, "macos27"))
        add_option(arena, &out, "--target", arena_cstr(arena, chain->target));
    if (chain->kv.len && chain->prefill_rows == 0)
        add_option(arena, &out, "--functions", "decode");
    else if (chain->kv.len && chain->prefill_rows != DEFAULT_PREFILL_ROWS)
        add_option(arena, &out, "--prefill-rows",
                   arena_printf(arena, "%u", chain->prefill_rows).at);
    add_choices(arena, &out, &chain->use);
    const char *command = arena_cstr(arena, strbuf_str(&out));
    strbuf_free(&out);
    return command;
}

const char *convert_command(Arena *arena, const char *dir, const Chain *chain, const char *source) {
    bool is_found;
    if (!source) source = name_source(arena, dir, chain, &is_found);
    return print_convert(arena, source, dir, chain);
}

const char *verify_command(Arena *arena, const char *dir, const Chain *chain) {
    bool is_found;
    const char *source = name_source(arena, dir, chain, &is_found);
    const char *command = arena_printf(arena, "lathe verify %s", shell_word(arena, dir)).at;
    if (is_found) return command; // verify finds it as well
    return arena_printf(arena, "%s --model %s", command, shell_word(arena, source)).at;
}

const char *first_convert_command(Arena *arena, const char *model_path) {
    Str name = str_of(path_file_name(model_path));
    static const char ending[] = ".gguf";
    if (str_ends(name, STR(ending))) name.len -= sizeof ending - 1;
    const char *out = arena_printf(arena, "%.*s.lathe", STR_ARG(name)).at;
    return arena_printf(arena, "lathe convert %s -o %s", shell_word(arena, model_path),
                        shell_word(arena, out))
        .at;
}

const char *publisher_options(Arena *arena, const ConfigFiles *files) {
    const struct {
        const char *option, *path;
    } given[] = {{"--config", files->config},
                 {"--generation-config", files->generation},
                 {"--tokenizer-config", files->tokenizer},
                 {"--chat-template", files->chat_template}};
    StrBuf out = {0};
    for (size_t i = 0; i < COUNT_OF(given); i++)
        if (given[i].path) add_option(arena, &out, given[i].option, given[i].path);
    const char *options = arena_cstr(arena, strbuf_str(&out));
    strbuf_free(&out);
    return options;
}

const char *vote_command(Arena *arena, const char *model_path, const ConfigFiles *files,
                         const GgufSettings *settings) {
    StrBuf out = {0};
    strbuf_printf(&out, "lathe verify %s%s", shell_word(arena, model_path),
                  publisher_options(arena, files));
    add_settings(arena, &out, settings);
    const char *command = arena_cstr(arena, strbuf_str(&out));
    strbuf_free(&out);
    return command;
}

// ---- commands of tables

CommandWords command_words(Arena *arena, const char *dir, const Chain *chain, const char *source) {
    return (CommandWords){shell_word(arena, dir), shell_word(arena, source),
                          print_convert(arena, source, dir, chain)};
}

// The folder that holds `path`, without links; NULL when the system cannot tell.
static char *real_parent(Arena *arena, const char *path) {
    char *real = realpath(path, NULL), *slash = real ? strrchr(real, '/') : NULL;
    char *parent = slash ? arena_cstr(arena, (Str){real, (size_t)(slash - real)}) : NULL;
    free(real);
    return parent;
}

// `path` as seen from `folder`, which is absolute and has no links: "../models/m.gguf". As it is
// where the two have nothing in common or the system cannot tell.
static const char *path_from(Arena *arena, const char *folder, const char *path) {
    char *real = realpath(path, NULL);
    if (!real) return path;
    size_t common = 0; // bytes of both up to a slash
    for (size_t i = 0; folder[i] == real[i] || (!folder[i] && real[i] == '/'); i++) {
        if (real[i] == '/') common = i + 1;
        if (!folder[i]) break;
    }
    StrBuf out = {0};
    size_t len = strlen(folder);
    if (common > 1 && common <= len)
        for (const char *at = folder + common - 1; at; at = strchr(at + 1, '/'))
            strbuf_add(&out, STR("../"));
    strbuf_add(&out, str_of(common > 1 ? real + common : real));
    const char *relative = arena_cstr(arena, strbuf_str(&out));
    strbuf_free(&out);
    free(real);
    return relative;
}

CommandWords command_words_beside(Arena *arena, const char *dir, const Chain *chain,
                                  const char *source) {
    const char *folder = real_parent(arena, dir);
    return command_words(arena, path_file_name(dir), chain,
                         folder ? path_from(arena, folder, source) : source);
}

const char *command_fill(Arena *arena, const char *command, const CommandWords *words) {
    const struct {
        Str word;
        const char *text;
    } gaps[] = {{STR("BUNDLE"), words->bundle},
                {STR("SOURCE"), words->source},
                {STR("CONVERT"), words->convert}};
    StrBuf out = {0};
    for (const char *at = command; *at;) {
        Str rest = str_of(at);
        size_t i = 0;
        while (i < COUNT_OF(gaps) && !str_starts(rest, gaps[i].word)) i++;
        if (i < COUNT_OF(gaps)) {
            strbuf_add(&out, str_of(gaps[i].text));
            at += gaps[i].word.len;
        } else {
            strbuf_add_char(&out, *at++);
        }
    }
    const char *filled = arena_cstr(arena, strbuf_str(&out));
    strbuf_free(&out);
    return filled;
}
