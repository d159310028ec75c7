#include "hub/query.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/usage.h"

enum {
    // Answers of the API: a page of the tree has 1,000 files of some 300 bytes.
    MAX_ANSWER_BYTES = 32 << 20,
    MAX_PAGES = 1000,
    // tokenizer_config.json of large vocabularies has some MB.
    MAX_TEXT_BYTES = 64 << 20,
    MOST_TRIES = 5, // without a byte in between; the waits add up to half a minute
    // A limit that is renewed within the hub's own window of five minutes is waited for.
    MOST_WAIT_SECONDS = 300,
};

bool hub_open(Hub *hub, Arena *arena, const Progress *progress, Err *err) {
    *hub = (Hub){.progress = progress};
    if (!hub_access_read(&hub->access, arena, err)) return false;
    hub->http = http_open(&hub->access, err);
    return hub->http != NULL;
}

void hub_close(Hub *hub) {
    http_close(hub->http);
    *hub = (Hub){0};
}

// ---- refusals

static bool refuse_access(const Hub *hub, const HttpHead *head, Str repo, Err *err) {
    const char *endpoint = hub->access.endpoint;
    bool has_token = hub->access.token != NULL;
    if (strcmp(head->error_code, "GatedRepo") == 0 || (head->status == 403 && has_token))
        return err_set(
            err, ERR_SYSTEM,
            "hf:%.*s is gated (HTTP %ld): accept its terms at %s/%.*s and set HF_TOKEN to "
            "a token of that account%s",
            STR_ARG(repo), head->status, endpoint, STR_ARG(repo),
            has_token ? "; the token that is set has no access" : "");
    if (has_token && strstr(head->error_message, "redentials"))
        return err_set(err, ERR_SYSTEM,
                       "%s does not accept the token in HF_TOKEN (HTTP %ld): it may have expired; "
                       "make another one, or unset it for what is public",
                       endpoint, head->status);
    return err_set(err, ERR_SYSTEM,
                   "hf:%.*s is not on %s, or not for everyone (HTTP %ld): check the name; %s",
                   STR_ARG(repo), endpoint, head->status,
                   has_token ? "the token in HF_TOKEN gives no access to it"
                             : "for a private repository set HF_TOKEN");
}

static bool refuse(const Hub *hub, const HttpHead *head, Str repo, Err *err) {
    if (head->status == 401 || head->status == 403) return refuse_access(hub, head, repo, err);
    if (head->status == 404 && strcmp(head->error_code, "RevisionNotFound") == 0)
        return err_set(err, ERR_SYSTEM,
                       "hf:%.*s has no such revision (HTTP 404): expected a branch, a tag or a "
                       "commit after '@'",
                       STR_ARG(repo));
    if (head->status == 404)
        return err_set(err, ERR_SYSTEM, "hf:%.*s is not on %s (HTTP 404): check the name%s",
                       STR_ARG(repo), hub->access.endpoint,
                       strcmp(head->error_code, "EntryNotFound") == 0 ? " of the file" : "");
    if (head->status == 429 && head->retry_after >= 0)
        return err_set(err, ERR_SYSTEM,
                       "%s asks to wait %" PRId64
                       " s (HTTP 429): pull again after that, it goes on "
                       "where it was%s",
                       hub->access.endpoint, head->retry_after,
                       hub->access.token ? "" : "; with a token in HF_TOKEN the limit is higher");
    if (head->status == 429 || head->status >= 500)
        return err_set(err, ERR_SYSTEM,
                       "%s answers HTTP %ld%s%s: pull again later, it goes on where it was",
                       hub->access.endpoint, head->status, head->error_message[0] ? ", " : "",
                       head->error_message);
    return err_set(err, ERR_SYSTEM,
                   "%s answers HTTP %ld%s%s where a hub has hf:%.*s; check HF_ENDPOINT",
                   hub->access.endpoint, head->status, head->error_message[0] ? ", " : "",
                   head->error_message, STR_ARG(repo));
}

// ---- another try

static bool wait_seconds(const Hub *hub, double seconds, Err *err) {
    double until = now_seconds() + seconds;
    while (now_seconds() < until) {
        if (!progress_goes_on(hub->progress))
            return err_set(err, ERR_STOPPED,
                           "stopped; what came so far is kept, and the next pull goes on there");
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return true;
}

static void note(const Hub *hub, const char *why, double seconds) {
    StrBuf text = {0};
    strbuf_printf(&text, "%s; again in %.0f s", why, seconds);
    progress_note(hub->progress, text.at);
    strbuf_free(&text);
}

bool hub_asks_again(const Hub *hub, HttpEnd end, const HttpHead *head, Str repo, unsigned *tries,
                    Err *err) {
    Err why = {0};
    if (end == HTTP_FAILED) return false;
    if (end == HTTP_REFUSED)
        refuse(hub, head, repo, &why);
    else
        why = *err;
    bool is_passing = end == HTTP_BROKEN || head->status == 429 || head->status >= 500;
    double seconds = (double)(1u << *tries);
    if (end == HTTP_REFUSED && head->retry_after >= 0) seconds = (double)head->retry_after;
    *tries += 1;
    if (!is_passing || *tries >= MOST_TRIES || seconds > MOST_WAIT_SECONDS) {
        *err = why;
        if (end != HTTP_BROKEN) return false;
        return err_set(err, ERR_SYSTEM,
                       "%.700s: pull again when the connection is better, it goes on where it was",
                       why.text);
    }
    note(hub, why.text, seconds);
    return wait_seconds(hub, seconds, err);
}

// ---- questions

static bool no_connection(Err *err) {
    Err why = *err;
    return err_set(err, ERR_SYSTEM,
                   "%.700s: no connection to the hub; --offline uses what the store has", why.text);
}

static bool ask(Hub *hub, const char *url, size_t most, StrBuf *body, HttpHead *head, Str repo,
                Err *err) {
    unsigned tries = 0;
    size_t before = body->len;
    for (;;) {
        HttpEnd end = http_get_text(hub->http, url, most, body, head, hub->progress, err);
        if (end == HTTP_DONE) return true;
        body->len = before;
        // Where nothing answers at all, there is no network or no hub: that is said at once.
        if (end == HTTP_BROKEN && head->status == 0) return no_connection(err);
        if (!hub_asks_again(hub, end, head, repo, &tries, err)) return false;
    }
}

static void api_url(const Hub *hub, StrBuf *url, Str repo, const char *what, Str revision) {
    url->len = 0;
    strbuf_printf(url, "%s/api/models/", hub->access.endpoint);
    http_add_path(url, repo, true);
    strbuf_printf(url, "/%s/", what);
    http_add_path(url, revision, false);
}

bool hub_ask_repo(Hub *hub, HubRepo *found, Arena *arena, Str repo, Str revision, Err *err) {
    StrBuf url = {0}, body = {0};
    HttpHead head;
    api_url(hub, &url, repo, "revision", revision);
    bool ok = ask(hub, url.at, MAX_ANSWER_BYTES, &body, &head, repo, err) &&
              hub_read_repo(found, arena, strbuf_str(&body), err);
    strbuf_free(&body);
    strbuf_free(&url);
    return ok;
}

bool hub_ask_files(Hub *hub, HubListing *found, Arena *arena, Str repo, Str commit, Err *err) {
    StrBuf url = {0}, body = {0};
    HttpHead head = {0};
    bool ok = true;
    *found = (HubListing){0};
    api_url(hub, &url, repo, "tree", commit);
    strbuf_add(&url, STR("?recursive=true"));
    for (int page = 0; ok && url.len; page++) {
        body.len = 0;
        if (page == MAX_PAGES || !http_same_origin(url.at, hub->access.endpoint))
            ok = err_set(err, ERR_FORMAT, "the hub's list of files: page %d is at another place",
                         page + 1);
        ok = ok && ask(hub, url.at, MAX_ANSWER_BYTES, &body, &head, repo, err) &&
             hub_read_tree(found, arena, strbuf_str(&body), err);
        url.len = 0;
        if (ok) strbuf_add(&url, str_of(head.next));
    }
    strbuf_free(&body);
    strbuf_free(&url);
    return ok;
}

void hub_file_url(const Hub *hub, StrBuf *url, Str repo, Str commit, Str path) {
    strbuf_printf(url, "%s/", hub->access.endpoint);
    http_add_path(url, repo, true);
    strbuf_add(url, STR("/resolve/"));
    http_add_path(url, commit, false);
    strbuf_add_char(url, '/');
    http_add_path(url, path, true);
}

bool hub_has_digest(const HubFile *file, const void *bytes, size_t n) {
    return file->sha256.len ? str_is(file->sha256, sha256_bytes(bytes, n).hex)
                            : str_is(file->git_id, git_blob_id(bytes, n).hex);
}

bool hub_ask_text(Hub *hub, StrBuf *text, Str repo, Str commit, const HubFile *file, Err *err) {
    StrBuf url = {0};
    HttpHead head;
    size_t before = text->len;
    hub_file_url(hub, &url, repo, commit, file->path);
    bool ok = ask(hub, url.at, MAX_TEXT_BYTES, text, &head, repo, err);
    if (ok && !hub_has_digest(file, text->at + before, text->len - before))
        ok = err_set(err, ERR_FORMAT,
                     "hf:%.*s: %.*s is not what the hub lists (%zu bytes, another digest): pull "
                     "again",
                     STR_ARG(repo), STR_ARG(file->path), text->len - before);
    strbuf_free(&url);
    return ok;
}
