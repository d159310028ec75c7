#include "hub/access.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STALL_SECONDS = 30, MOST_STALL_SECONDS = 86400 };

static const char *variable(const char *name) {
    const char *text = getenv(name);
    return text && *text ? text : NULL;
}

static bool read_endpoint(HubAccess *a, Arena *arena, Err *err) {
    const char *text = variable("HF_ENDPOINT");
    Str url = str_of(text ? text : "https://huggingface.co");
    while (url.len && url.at[url.len - 1] == '/') url.len--;
    a->endpoint = arena_cstr(arena, url);
    bool is_url = str_starts(url, STR("https://")) || str_starts(url, STR("http://"));
    // "https://user:password@host" would be shown in messages.
    if (is_url && !strpbrk(a->endpoint, "@?# \t\r\n")) return true;
    return err_set(
        err, ERR_USAGE,
        "HF_ENDPOINT: expected a URL such as https://huggingface.co, without a password");
}

// A token goes into a header: what could end its line must not be in it.
static bool read_token(HubAccess *a, Arena *arena, Err *err) {
    const char *text = variable("HF_TOKEN");
    if (!text) return true;
    Str token = str_of(text + strspn(text, " \t\r\n"));
    while (token.len && strchr(" \t\r\n", token.at[token.len - 1])) token.len--;
    for (size_t i = 0; i < token.len; i++)
        if (token.at[i] <= ' ' || token.at[i] > '~')
            return err_set(err, ERR_USAGE,
                           "HF_TOKEN: has a space or a character that no token has; copy it again "
                           "from https://huggingface.co/settings/tokens");
    if (token.len) a->token = arena_cstr(arena, token);
    return true;
}

static bool read_stall(HubAccess *a, Err *err) {
    const char *text = variable("HF_HUB_DOWNLOAD_TIMEOUT");
    a->stall_seconds = STALL_SECONDS;
    if (!text) return true;
    char *end;
    errno = 0;
    a->stall_seconds = strtol(text, &end, 10);
    if (!errno && !*end && a->stall_seconds >= 1 && a->stall_seconds <= MOST_STALL_SECONDS)
        return true;
    return err_set(err, ERR_USAGE, "HF_HUB_DOWNLOAD_TIMEOUT=%.40s: expected seconds from 1 to %d",
                   text, MOST_STALL_SECONDS);
}

bool hub_access_read(HubAccess *a, Arena *arena, Err *err) {
    *a = (HubAccess){.certificates = variable("SSL_CERT_FILE")};
    return read_endpoint(a, arena, err) && read_token(a, arena, err) && read_stall(a, err);
}
