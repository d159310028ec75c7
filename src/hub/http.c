#include "hub/http.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/size.h"

// Seconds until a connection must be established: enough for one or two lost packets.
enum { CONNECT_SECONDS = 20, MOST_REDIRECTS = 5, BUFFER_BYTES = 256 * 1024 };

struct HubHttp {
    const HubAccess *access;
    CURL *curl;
    char why[CURL_ERROR_SIZE];
};

// A request as it goes on.
typedef struct {
    HubHttp *http;
    const HttpRequest *request;
    HttpHead *head;
    bool has_begun, has_failed; // the request's callbacks: called; one returned false
    Err *err;
} Transfer;

// ---- URLs

static char *url_part(CURLU *url, CURLUPart part) {
    char *text = NULL;
    return curl_url_get(url, part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) ==
                   CURLUE_OK
               ? text
               : NULL;
}

bool http_same_origin(const char *a, const char *b) {
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    CURLU *left = curl_url(), *right = curl_url();
    bool is_same = left && right && curl_url_set(left, CURLUPART_URL, a, 0) == CURLUE_OK &&
                   curl_url_set(right, CURLUPART_URL, b, 0) == CURLUE_OK;
    for (size_t i = 0; is_same && i < COUNT_OF(parts); i++) {
        char *of_a = url_part(left, parts[i]), *of_b = url_part(right, parts[i]);
        is_same = of_a && of_b && strcasecmp(of_a, of_b) == 0;
        curl_free(of_a);
        curl_free(of_b);
    }
    curl_url_cleanup(left);
    curl_url_cleanup(right);
    return is_same;
}

void http_add_path(StrBuf *url, Str path, bool keeps_slashes) {
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.at[i];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                        (c >= 'a' && c <= 'z') || strchr("-._~", c) || (keeps_slashes && c == '/');
        if (is_plain && c)
            strbuf_add_char(url, (char)c);
        else
            strbuf_printf(url, "%%%02X", c);
    }
}

// "https://host" of a URL, for messages: its query may hold a signature.
static Str shown(const char *url) {
    const char *host = strstr(url, "://");
    return (Str){url,
                 host ? (size_t)(host - url) + 3 + strcspn(host + 3, "/?#") : strcspn(url, "?")};
}

// ---- headers

// A header's value when the line is of `name`.
static bool is_header(Str line, const char *name, Str *value) {
    size_t n = strlen(name);
    if (line.len <= n || line.at[n] != ':' || strncasecmp(line.at, name, n) != 0) return false;
    *value = (Str){line.at + n + 1, line.len - n - 1};
    while (value->len && strchr(" \t", value->at[0])) value->at++, value->len--;
    while (value->len && strchr(" \t\r\n", value->at[value->len - 1])) value->len--;
    return true;
}

// Longer values are left out: cut, they would be others.
static void keep(char *place, size_t size, Str value) {
    if (value.len >= size) value.len = 0;
    memcpy(place, value.at, value.len);
    place[value.len] = 0;
}

// Digits alone, below 2^53; -1 for all else.
static int64_t number_of(Str text) {
    int64_t n = 0;
    if (!text.len) return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || n > INT64_C(900719925474099)) return -1;
        n = 10 * n + (text.at[i] - '0');
    }
    return n;
}

// "bytes 100-199/200"
static void keep_range(HttpHead *head, Str value) {
    if (!str_starts(value, STR("bytes "))) return;
    Str rest = {value.at + 6, value.len - 6};
    const char *dash = memchr(rest.at, '-', rest.len), *slash = memchr(rest.at, '/', rest.len);
    if (!dash || !slash || slash < dash) return;
    head->range_first = number_of((Str){rest.at, (size_t)(dash - rest.at)});
    head->range_total = number_of((Str){slash + 1, rest.len - (size_t)(slash + 1 - rest.at)});
}

static size_t find_text(Str s, Str part) {
    size_t at = 0;
    while (at + part.len <= s.len && memcmp(s.at + at, part.at, part.len) != 0) at++;
    return at + part.len <= s.len ? at : s.len;
}

// RateLimit: "api";r=0;t=55 — seconds until the limit is renewed (draft-ietf-httpapi-ratelimit-headers,
// as huggingface_hub reads it). Retry-After counts where both are there.
static void keep_limit(HttpHead *head, Str value) {
    Str key = STR(";t=");
    size_t at = find_text(value, key);
    if (at == value.len || head->retry_after >= 0) return;
    Str digits = {value.at + at + key.len, 0};
    while (at + key.len + digits.len < value.len && digits.at[digits.len] >= '0' &&
           digits.at[digits.len] <= '9')
        digits.len++;
    head->retry_after = number_of(digits);
}

// Link: <https://…>; rel="prev", <https://…>; rel="next"
static void keep_next(HttpHead *head, Str value) {
    while (value.len) {
        size_t open = find_text(value, STR("<"));
        Str rest = {value.at + open, value.len - open};
        size_t close = find_text(rest, STR(">"));
        if (close == rest.len) return;
        Str url = {rest.at + 1, close - 1}, after = {rest.at + close, rest.len - close};
        size_t end = find_text(after, STR("<"));
        if (find_text((Str){after.at, end}, STR("rel=\"next\"")) < end)
            keep(head->next, sizeof head->next, url);
        value = (Str){after.at + end, after.len - end};
    }
}

// What is said of one answer alone.
static void forget_answer(HttpHead *head) {
    head->content_length = head->range_first = head->range_total = head->retry_after = -1;
    head->etag[0] = head->next[0] = 0;
}

static Str unquoted(Str etag) {
    if (str_starts(etag, STR("W/"))) etag.at += 2, etag.len -= 2;
    if (etag.len >= 2 && etag.at[0] == '"' && etag.at[etag.len - 1] == '"')
        etag.at++, etag.len -= 2;
    return etag;
}

static size_t on_header(char *at, size_t size, size_t n, void *context) {
    HttpHead *head = ((Transfer *)context)->head;
    Str line = {at, size * n}, value;
    if (str_starts(line, STR("HTTP/"))) forget_answer(head);
    if (is_header(line, "Content-Length", &value)) head->content_length = number_of(value);
    if (is_header(line, "Content-Range", &value)) keep_range(head, value);
    if (is_header(line, "Retry-After", &value) && number_of(value) >= 0)
        head->retry_after = number_of(value);
    if (is_header(line, "RateLimit", &value)) keep_limit(head, value);
    if (is_header(line, "ETag", &value)) keep(head->etag, sizeof head->etag, value);
    if (is_header(line, "X-Linked-Etag", &value))
        keep(head->linked_etag, sizeof head->linked_etag, unquoted(value));
    if (is_header(line, "X-Error-Code", &value))
        keep(head->error_code, sizeof head->error_code, value);
    if (is_header(line, "X-Error-Message", &value))
        keep(head->error_message, sizeof head->error_message, value);
    if (is_header(line, "Link", &value)) keep_next(head, value);
    return size * n;
}

// ---- the body

static bool is_success(long status) {
    return status >= 200 && status < 300;
}

static bool begin(Transfer *t) {
    const HttpRequest *r = t->request;
    if (t->has_begun) return true;
    t->has_begun = true;
    t->has_failed = r->begin && !r->begin(r->context, t->head, t->err);
    return !t->has_failed;
}

// Bodies of redirects and refusals are dropped.
static size_t on_body(char *at, size_t size, size_t n, void *context) {
    Transfer *t = context;
    curl_easy_getinfo(t->http->curl, CURLINFO_RESPONSE_CODE, &t->head->status);
    if (!is_success(t->head->status)) return size * n;
    if (!begin(t)) return 0;
    t->has_failed = !t->request->take(t->request->context, at, size * n, t->err);
    return t->has_failed ? 0 : size * n;
}

// About once a second when nothing comes.
static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up) {
    Transfer *t = context;
    (void)down_total, (void)down, (void)up_total, (void)up;
    if (progress_goes_on(t->request->progress)) return 0;
    t->has_failed = true;
    err_set(t->err, ERR_STOPPED,
            "stopped; what came so far is kept, and the next pull goes on there");
    return 1;
}

// ---- one hop

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value) {
    StrBuf line = {0};
    strbuf_printf(&line, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(list, line.at);
    if (!longer) die_out_of_memory(line.len);
    strbuf_free(&line);
    return longer;
}

static struct curl_slist *headers_of(const Transfer *t, const char *url) {
    const HubAccess *access = t->http->access;
    struct curl_slist *list = add_header(NULL, "Accept", "*/*");
    if (access->token && http_same_origin(url, access->endpoint)) {
        StrBuf bearer = {0};
        strbuf_printf(&bearer, "Bearer %s", access->token);
        list = add_header(list, "Authorization", bearer.at);
        strbuf_free(&bearer);
    }
    if (t->request->from && t->request->if_range)
        list = add_header(list, "If-Range", t->request->if_range);
    return list;
}

static void prepare(Transfer *t, const char *url, struct curl_slist *headers) {
    CURL *curl = t->http->curl;
    const HubAccess *access = t->http->access;
    char range[32];
    snprintf(range, sizeof range, "%" PRIu64 "-", t->request->from);
    curl_easy_reset(curl); // connections are kept
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR,
                     strncasecmp(access->endpoint, "https:", 6) == 0 ? "https" : "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "lathe/" LATHE_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (t->request->from) curl_easy_setopt(curl, CURLOPT_RANGE, range);
    if (access->certificates) curl_easy_setopt(curl, CURLOPT_CAINFO, access->certificates);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, access->stall_seconds);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->http->why);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
}

static bool may_help_again(CURLcode code) {
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR: return true;
    default: return false;
    }
}

static HttpEnd end_of(Transfer *t, const char *url, CURLcode code, Err *err) {
    if (t->has_failed) return HTTP_FAILED;
    if (code != CURLE_OK) {
        const char *why = t->http->why[0] ? t->http->why : curl_easy_strerror(code);
        err_set(err, ERR_SYSTEM, "%.*s: %s", STR_ARG(shown(url)), why);
        return may_help_again(code) ? HTTP_BROKEN : HTTP_FAILED;
    }
    if (!is_success(t->head->status)) return HTTP_REFUSED;
    return begin(t) ? HTTP_DONE : HTTP_FAILED; // an empty body
}

static char *copy_of(const char *text) {
    char *copy = strdup(text);
    if (!copy) die_out_of_memory(strlen(text));
    return copy;
}

// ---- what others call

HttpEnd http_get(HubHttp *http, const HttpRequest *request, HttpHead *head, Err *err) {
    Transfer t = {.http = http, .request = request, .head = head, .err = err};
    *head = (HttpHead){0};
    forget_answer(head);
    char *next = copy_of(request->url);
    HttpEnd end = HTTP_FAILED;
    for (int hop = 0; next; hop++) {
        char *url = next, *location = NULL;
        struct curl_slist *headers = headers_of(&t, url);
        http->why[0] = 0;
        head->status = 0;
        next = NULL;
        prepare(&t, url, headers);
        CURLcode code = curl_easy_perform(http->curl);
        curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &head->status);
        curl_easy_getinfo(http->curl, CURLINFO_REDIRECT_URL, &location);
        end = end_of(&t, url, code, err);
        if (end == HTTP_REFUSED && location && hop < MOST_REDIRECTS) {
            next = copy_of(location);
        } else if (end == HTTP_REFUSED && location) {
            end = HTTP_FAILED;
            err_set(err, ERR_SYSTEM, "%.*s: more than %d redirects", STR_ARG(shown(url)),
                    MOST_REDIRECTS);
        }
        curl_slist_free_all(headers);
        free(url);
    }
    return end;
}

typedef struct {
    StrBuf *body;
    size_t most, before;
    const char *url;
} TextSink;

static bool take_text(void *context, const void *bytes, size_t n, Err *err) {
    TextSink *sink = context;
    if (n > sink->most - (sink->body->len - sink->before))
        return err_set(err, ERR_FORMAT, "%.*s: the answer is longer than %zu bytes",
                       STR_ARG(shown(sink->url)), sink->most);
    strbuf_add(sink->body, (Str){bytes, n});
    return true;
}

HttpEnd http_get_text(HubHttp *http, const char *url, size_t most, StrBuf *body, HttpHead *head,
                      const Progress *progress, Err *err) {
    TextSink sink = {.body = body, .most = most, .before = body->len, .url = url};
    HttpRequest request = {.url = url, .take = take_text, .context = &sink, .progress = progress};
    return http_get(http, &request, head, err);
}

HubHttp *http_open(const HubAccess *access, Err *err) {
    HubHttp *http = calloc(1, sizeof *http);
    if (!http) die_out_of_memory(sizeof *http);
    *http = (HubHttp){.access = access};
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) http->curl = curl_easy_init();
    if (http->curl) return http;
    err_set(err, ERR_SYSTEM, "libcurl does not start");
    http_close(http);
    return NULL;
}

void http_close(HubHttp *http) {
    if (!http) return;
    if (http->curl) curl_easy_cleanup(http->curl);
    curl_global_cleanup();
    free(http);
}
