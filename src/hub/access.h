// access.h — the hub's address and the user's token, from the environment variables that
// huggingface_hub reads:
//
//     HF_ENDPOINT               in place of https://huggingface.co
//     HF_TOKEN                  a token of the user's account, for gated and private repositories
//     HF_HUB_DOWNLOAD_TIMEOUT   seconds without a byte until a transfer counts as broken
//     SSL_CERT_FILE             certificates to trust, in place of the system's
#ifndef LATHE_HUB_ACCESS_H
#define LATHE_HUB_ACCESS_H

#include "base/arena.h"
#include "base/err.h"

typedef struct {
    const char *endpoint;     // without a slash at the end
    const char *token;        // NULL: none. Sent to the endpoint alone, and never shown
    const char *certificates; // a file; NULL: the system's
    long stall_seconds;
} HubAccess;

// Strings are in the arena or the environment. False for a variable with a wrong value.
bool hub_access_read(HubAccess *access, Arena *arena, Err *err);

#endif
