// download.h — one file of a repository to a folder, whole and as the hub states it.
//
//     FOLDER/NAME.DIGEST.part    what has come so far; DIGEST begins the SHA-256 that the whole must have
//     FOLDER/NAME.DIGEST.etag    the ETag that the server gave it: a later pull asks for the rest of this
//                                very file (If-Range), and starts anew where that is another
//     FOLDER/NAME                once hub_download_place() has renamed it
//
// A part is never trusted: what is there is read and hashed before more is asked for.
#ifndef LATHE_HUB_DOWNLOAD_H
#define LATHE_HUB_DOWNLOAD_H

#include "hub/query.h"

typedef struct {
    Str repo, commit;
    const HubFile *file;    // in LFS: its SHA-256 is stated
    const char *folder;     // exists
    const char *name;       // in it: hub_is_file_name() holds
    const char *stage;      // for progress
    uint64_t before, total; // bytes of the stage: of files before this one, and of all
} HubDownload;

// Bytes that are there of it: all, where the file is in place.
uint64_t hub_download_has(const HubDownload *d);
// Whether the file is in place with the right size and digest (which reads it whole).
bool hub_download_is_placed(Hub *hub, const HubDownload *d);
// Brings the part to its full length. False: some way there, or not the file that the hub states.
bool hub_download(Hub *hub, const HubDownload *d, Err *err);
// Gives the whole part its name.
bool hub_download_place(const HubDownload *d, Err *err);

#endif
