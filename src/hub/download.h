// download.h — downloads one file of a repository into a folder and checks it against what the hub
// states.
//
//     FOLDER/NAME.DIGEST.part    what has come so far; DIGEST begins the SHA-256 that the whole must have
//     FOLDER/NAME.DIGEST.etag    the ETag that the server gave it: a later pull asks for the rest of this
//                                very file (If-Range), and starts anew where that is another
//     FOLDER/NAME                once hub_download_place() has renamed it
//
// A partial file is not trusted: it is read and hashed before the rest is requested.
#ifndef LATHE_HUB_DOWNLOAD_H
#define LATHE_HUB_DOWNLOAD_H

#include "hub/query.h"

typedef struct {
    Str repo, commit;
    const HubFile *file;    // a file in LFS, of which the hub states the SHA-256
    const char *folder;     // exists
    const char *name;       // in it: hub_is_file_name() holds
    const char *stage;      // for progress
    uint64_t before, total; // bytes of the stage: of files before this one, and of all
} HubDownload;

// Bytes already downloaded; all of them if the file is in place.
uint64_t hub_download_has(const HubDownload *d);
// Whether the file is in place with the right size and digest (which reads it whole).
bool hub_download_is_placed(Hub *hub, const HubDownload *d);
// Downloads the rest of the file. False: the download stopped on the way (what came is kept), or
// the file is not the one that the hub states.
bool hub_download(Hub *hub, const HubDownload *d, Err *err);
// Renames the complete partial file to its final name.
bool hub_download_place(const HubDownload *d, Err *err);

#endif
