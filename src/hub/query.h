// query.h — questions to the hub's API, asked again where that helps, and its refusals in words.
#ifndef LATHE_HUB_QUERY_H
#define LATHE_HUB_QUERY_H

#include "hub/http.h"
#include "hub/listing.h"

// A session with the hub. All of it is the caller's and must outlive the calls.
typedef struct {
    HubAccess access;
    HubHttp *http;
    const Progress *progress; // may be NULL
} Hub;

bool hub_open(Hub *hub, Arena *arena, const Progress *progress, Err *err);
void hub_close(Hub *hub); // safe on a zeroed Hub

// What to do after `end`, which was not HTTP_DONE: true to ask again, after a wait where one is due;
// `*tries`, 0 at first, counts. False: no more, with `err` set. `repo` is what was asked about.
bool hub_asks_again(const Hub *hub, HttpEnd end, const HttpHead *head, Str repo, unsigned *tries,
                    Err *err);

// Commit and card of the repository at `revision`.
bool hub_ask_repo(Hub *hub, HubRepo *found, Arena *arena, Str repo, Str revision, Err *err);
// All files of a commit.
bool hub_ask_files(Hub *hub, HubListing *found, Arena *arena, Str repo, Str commit, Err *err);
// The bytes of a small file, checked against what the listing says of it.
bool hub_ask_text(Hub *hub, StrBuf *text, Str repo, Str commit, const HubFile *file, Err *err);

// ENDPOINT/USER/REPO/resolve/COMMIT/PATH, in `url`.
void hub_file_url(const Hub *hub, StrBuf *url, Str repo, Str commit, Str path);
// Whether the digest of these bytes is as the listing says.
bool hub_has_digest(const HubFile *file, const void *bytes, size_t n);

#endif
