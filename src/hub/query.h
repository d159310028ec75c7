// query.h — requests to the hub's API, repeated where that helps, with messages for its refusals.
#ifndef LATHE_HUB_QUERY_H
#define LATHE_HUB_QUERY_H

#include "hub/http.h"
#include "hub/listing.h"

// A session with the hub. The caller owns all members, which must outlive the calls.
typedef struct {
    HubAccess access;
    HubHttp *http;
    const Progress *progress; // may be NULL
} Hub;

bool hub_open(Hub *hub, Arena *arena, const Progress *progress, Err *err);
void hub_close(Hub *hub); // safe on a zeroed Hub

// Decides what to do after `end`, which was not HTTP_DONE. True: try again (it has waited if
// necessary); `*tries`, 0 at first, counts. False, with `err` set: give up. `repo` is named in the
// message.
bool hub_asks_again(const Hub *hub, HttpEnd end, const HttpHead *head, Str repo, unsigned *tries,
                    Err *err);

// Asks for commit and card of the repository at `revision`.
bool hub_ask_repo(Hub *hub, HubRepo *found, Arena *arena, Str repo, Str revision, Err *err);
// Asks for all files of a commit.
bool hub_ask_files(Hub *hub, HubListing *found, Arena *arena, Str repo, Str commit, Err *err);
// The bytes of a small file, checked against what the listing says of it.
bool hub_ask_text(Hub *hub, StrBuf *text, Str repo, Str commit, const HubFile *file, Err *err);

// ENDPOINT/USER/REPO/resolve/COMMIT/PATH, in `url`.
void hub_file_url(const Hub *hub, StrBuf *url, Str repo, Str commit, Str path);
// Whether these bytes have the digest that the listing states.
bool hub_has_digest(const HubFile *file, const void *bytes, size_t n);

#endif
