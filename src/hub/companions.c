#include "hub/companions.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/map.h"
#include "base/size.h"
#include "gguf/gguf.h"

// ---- what the file says

static Str text_of_key(const Gguf *g, const char *name) {
    const GgufKey *key = gguf_find_key(g, str_of(name));
    Str text = {0};
    return key && gguf_str(key, 0, &text) ? text : (Str){0};
}

// "USER/REPO" of "https://huggingface.co/USER/REPO"; empty for an address elsewhere.
static Str repo_of_url(Str url, const char *endpoint) {
    const char *places[] = {"https://huggingface.co", "http://huggingface.co", "https://hf.co",
                            endpoint};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        Str place = str_of(places[i]);
        if (!str_starts(url, place) || url.len <= place.len || url.at[place.len] != '/') continue;
        Str repo = {url.at + place.len + 1, url.len - place.len - 1};
        while (repo.len && repo.at[repo.len - 1] == '/') repo.len--;
        if (hub_is_repo(repo)) return repo;
    }
    return (Str){0};
}

// The next letter or digit of `s` from `*at` on, in lower case; 0 at its end.
static int next_letter(Str s, size_t *at) {
    while (*at < s.len && !isalnum((unsigned char)s.at[*at])) ++*at;
    return *at < s.len ? tolower((unsigned char)s.at[(*at)++]) : 0;
}

// "SmolLM2 135M Instruct" and "HuggingFaceTB/SmolLM2-135M-Instruct" are one.
static bool is_same_name(Str name, Str repo) {
    const char *slash = repo.len ? memchr(repo.at, '/', repo.len) : NULL;
    if (slash) repo = (Str){slash + 1, repo.len - (size_t)(slash + 1 - repo.at)};
    size_t a = 0, b = 0;
    for (;;) {
        int of_name = next_letter(name, &a), of_repo = next_letter(repo, &b);
        if (of_name != of_repo) return false;
        if (!of_name) return name.len > 0;
    }
}

Str companion_base_of_file(Str *from, const char *path, const char *endpoint, Arena *arena) {
    static const char source[] = "general.source.repo_url",
                      base[] = "general.base_model.0.repo_url";
    Gguf g;
    Str repo = {0};
    *from = (Str){"", 0};
    if (!gguf_open(&g, arena, path, NULL)) return (Str){"", 0};
    if ((repo = repo_of_url(text_of_key(&g, source), endpoint)).len) {
        *from = STR(source);
    } else if ((repo = repo_of_url(text_of_key(&g, base), endpoint)).len) {
        *from = STR(base);
        if (!is_same_name(text_of_key(&g, "general.name"), repo)) repo = (Str){0};
    }
    repo = arena_str(arena, repo); // the mapping goes
    gguf_close(&g);
    if (!repo.len) *from = (Str){"", 0};
    return repo;
}

// ---- the files of one repository

// What the publisher's repository has, before anything is written.
typedef struct {
    Str repo, commit, from;
    StrBuf texts[COMPANION_COUNT];
    bool has[COMPANION_COUNT];
} Publisher;

static void free_texts(Publisher *p) {
    for (int c = 0; c < COMPANION_COUNT; c++) strbuf_free(&p->texts[c]);
}

// The file as it is in the folder, when it is the one that the hub lists.
static bool read_placed(StrBuf *text, const StoredModel *m, CompanionId id, const HubFile *file,
                        Arena *arena) {
    FileMap map;
    if (!map_file(&map, path_join(arena, m->dir, companion_name(id)), NULL)) return false;
    bool is_same = map.len == file->n_bytes && hub_has_digest(file, map.at, map.len);
    if (is_same) strbuf_add(text, (Str){(const char *)map.at, map.len});
    unmap_file(&map);
    return is_same;
}

// A file that cannot be parsed would stop every later command.
static bool is_usable(const char *name, Str text, Err *err) {
    if (!str_ends(str_of(name), STR(".json"))) return true;
    json_t *value = json_parse(text, name, err);
    if (!value) return false;
    bool ok = json_is_object(value) || err_set(err, ERR_FORMAT, "%s: expected a JSON object", name);
    json_decref(value);
    return ok;
}

static bool fetch_texts(Hub *hub, Publisher *p, const StoredModel *m, const HubListing *files,
                        Arena *arena, Err *err) {
    for (CompanionId c = 0; c < COMPANION_COUNT; c++) {
        const HubFile *file = hub_find_file(files, str_of(companion_name(c)));
        if (!file) continue;
        p->has[c] = true;
        if (read_placed(&p->texts[c], m, c, file, arena)) continue;
        if (!hub_ask_text(hub, &p->texts[c], p->repo, p->commit, file, err) ||
            !is_usable(companion_name(c), strbuf_str(&p->texts[c]), err))
            return false;
    }
    return p->has[COMPANION_config] || err_set(err, ERR_FORMAT, "hf:%.*s has no %s",
                                               STR_ARG(p->repo), companion_name(COMPANION_config));
}

static bool fetch(Hub *hub, Publisher *p, const StoredModel *m, const CompanionSources *s,
                  Arena *arena, Err *err) {
    HubRepo repo = {.commit = m->commit};
    HubListing files = *s->files;
    progress_report(hub->progress, "files of the publisher", 0, 0);
    if (!str_eq(p->repo, m->repo) &&
        (!hub_ask_repo(hub, &repo, arena, p->repo, STR("main"), err) ||
         !hub_ask_files(hub, &files, arena, p->repo, repo.commit, err)))
        return false;
    p->commit = repo.commit;
    return fetch_texts(hub, p, m, &files, arena, err);
}

// Puts them beside the model, and takes away those of another publisher.
static bool place(const Publisher *p, StoredModel *m, Arena *arena, Err *err) {
    for (CompanionId c = 0; c < COMPANION_COUNT; c++) {
        const char *path = path_join(arena, m->dir, companion_name(c));
        Str text = strbuf_str(&p->texts[c]);
        m->has[c] = p->has[c];
        if (!p->has[c]) {
            unlink(path);
            continue;
        }
        Sha256 digest = sha256_bytes(text.at, text.len);
        m->companion_sha256[c] = arena_str(arena, str_of(digest.hex));
        if (!file_replace(path, text.at, text.len, err)) return false;
    }
    m->base = p->repo, m->base_commit = p->commit, m->base_from = p->from;
    return true;
}

// ---- whose files

static bool is_none(const CompanionSources *s) {
    return s->asked && strcmp(s->asked, "none") == 0;
}

// The first that is named; empty for nobody.
static void name_publisher(const Hub *hub, Publisher *p, const StoredModel *m,
                           const CompanionSources *s, Arena *arena) {
    *p = (Publisher){.repo = (Str){"", 0}};
    if (s->asked) {
        p->repo = str_of(s->asked), p->from = STR("--base");
    } else if (s->card->base.len) {
        p->repo = s->card->base, p->from = STR("the model's card");
    } else {
        Str key;
        p->repo = companion_base_of_file(&key, store_path(arena, m), hub->access.endpoint, arena);
        p->from = key;
    }
}

static void note_refusal(const Hub *hub, const Publisher *p, const Err *why, Arena *arena) {
    progress_note(hub->progress,
                  arena_printf(arena, "no files of the publisher %.*s (named by %.*s): %s",
                               STR_ARG(p->repo), STR_ARG(p->from), why->text)
                      .at);
}

bool companions_pull(Hub *hub, StoredModel *m, const CompanionSources *s, Arena *arena, Err *err) {
    Publisher p = {0};
    Err why = {0};
    bool ok = !is_none(s);
    if (ok) {
        name_publisher(hub, &p, m, s, arena);
        ok = p.repo.len && fetch(hub, &p, m, s, arena, &why);
        if (!ok && p.repo.len && why.kind != ERR_STOPPED && !s->asked)
            note_refusal(hub, &p, &why, arena);
    }
    bool may_be_own = !ok && !s->asked && why.kind != ERR_STOPPED && !str_eq(p.repo, m->repo) &&
                      hub_find_file(s->files, str_of(companion_name(COMPANION_config)));
    if (may_be_own) {
        free_texts(&p);
        why = (Err){0};
        p = (Publisher){.repo = m->repo, .from = STR("the model's own repository")};
        ok = fetch(hub, &p, m, s, arena, &why);
        if (!ok && why.kind != ERR_STOPPED) note_refusal(hub, &p, &why, arena);
    }
    bool is_over = why.kind == ERR_STOPPED || (why.kind && s->asked);
    if (is_over) *err = why;
    if (!ok) free_texts(&p), p = (Publisher){0};
    ok = !is_over && place(&p, m, arena, err);
    free_texts(&p);
    return ok;
}
