// http.h — one GET at a time, by libcurl: redirects are followed here, not by libcurl, so that the
// token is sent to the endpoint only and the headers of a redirect, in which the hub describes a
// file, are kept.
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

// Values of headers, from all responses of a request; later responses overwrite earlier ones.
// Absent texts are empty, absent numbers -1.
typedef struct {
    long status;             // of the last response; 0: there was none
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
    uint64_t from;        // first byte to request
    const char *if_range; // with `from`: only if the file still has this ETag; NULL: always
    // Called for a response with a 2xx status: begin() once with its headers, then the other with
    // its bytes. False, with `err` set, ends the transfer.
    bool (*begin)(void *context, const HttpHead *head, Err *err);
    bool (*take)(void *context, const void *bytes, size_t n, Err *err);
    void *context;
    const Progress *progress; // only goes_on() is called, at least about once a second; may be NULL
} HttpRequest;

typedef enum {
    HTTP_DONE,    // a 2xx status, and the whole response was received
    HTTP_REFUSED, // another status, which is in `head`; `err` is not set
    HTTP_BROKEN,  // the connection failed, broke or stalled: another try may help
    // another try would not help: cancelled by a callback, bad certificate, bad redirect
    HTTP_FAILED,
} HttpEnd;

HubHttp *http_open(const HubAccess *access, Err *err);
HttpEnd http_get(HubHttp *http, const HttpRequest *request, HttpHead *head, Err *err);
// The whole body, up to `most` bytes, appended to `body`. After a failure `body` keeps what was
// received.
HttpEnd http_get_text(HubHttp *http, const char *url, size_t most, StrBuf *body, HttpHead *head,
                      const Progress *progress, Err *err);
void http_close(HubHttp *http); // safe on NULL

// Whether two URLs have scheme, host and port in common.
bool http_same_origin(const char *a, const char *b);
// `path` as part of a URL: every byte becomes %XX except letters, digits, "-._~" and, if
// `keeps_slashes`, '/'.
void http_add_path(StrBuf *url, Str path, bool keeps_slashes);

#endif
