// http.h — one GET at a time, by libcurl: redirects followed by hand, so that the token goes to the
// endpoint and to nobody else, and what the hub says of a file in the headers of a redirect is kept.
//
//     GET ENDPOINT/USER/REPO/resolve/COMMIT/FILE     with Authorization
//         302, Location: https://cdn…, X-Linked-Size, X-Linked-Etag, X-Repo-Commit
//     GET https://cdn…                               without
//         200 or 206, Content-Length, Content-Range, ETag, the bytes
#ifndef LATHE_HUB_HTTP_H
#define LATHE_HUB_HTTP_H

#include <stdint.h>

#include "base/progress.h"
#include "hub/access.h"

typedef struct HubHttp HubHttp;

// What the headers said, of all answers on the way; later ones count where both say it. Texts are
// empty and numbers -1 where nothing was said.
typedef struct {
    long status;             // of the last answer; 0: none came
    int64_t content_length;  // of the last answer
    int64_t range_first;     // Content-Range: bytes FIRST-…/TOTAL
    int64_t range_total;     //
    int64_t retry_after;     // seconds
    char etag[128];          // of the last answer, with its quotes
    char linked_etag[128];   // X-Linked-Etag: the SHA-256 of a file in LFS; without quotes
    char error_code[64];     // X-Error-Code: "GatedRepo"
    char error_message[256]; // X-Error-Message
    char next[2048];         // Link: <…>; rel="next"
} HttpHead;

typedef struct {
    const char *url;
    uint64_t from;        // first byte that is asked for
    const char *if_range; // with `from`: only if this is still the file's ETag. NULL: in any case
    // The answer, when its status is 2xx: its head once, then its bytes. False ends the transfer,
    // with `err` set.
    bool (*begin)(void *context, const HttpHead *head, Err *err);
    bool (*take)(void *context, const void *bytes, size_t n, Err *err);
    void *context;
    const Progress *progress; // only goes_on() is asked, about once a second at least; may be NULL
} HttpRequest;

typedef enum {
    HTTP_DONE,    // 2xx, and all of the answer was taken
    HTTP_REFUSED, // another status, in the head; `err` is not set
    HTTP_BROKEN,  // the connection did not come about, broke or stalled: another try may help
    HTTP_FAILED,  // another try would not: callbacks that ended it, certificates, redirects
} HttpEnd;

HubHttp *http_open(const HubAccess *access, Err *err);
HttpEnd http_get(HubHttp *http, const HttpRequest *request, HttpHead *head, Err *err);
// The whole body, up to `most` bytes, appended to `body`. What `body` had before a failure stays.
HttpEnd http_get_text(HubHttp *http, const char *url, size_t most, StrBuf *body, HttpHead *head,
                      const Progress *progress, Err *err);
void http_close(HubHttp *http); // safe on NULL

// Whether two URLs have scheme, host and port in common.
bool http_same_origin(const char *a, const char *b);
// `path` as part of a URL: every byte but letters, digits, "-._~" and, where `keeps_slashes`, '/'
// becomes %XX.
void http_add_path(StrBuf *url, Str path, bool keeps_slashes);

#endif
