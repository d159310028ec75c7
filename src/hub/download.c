#include "hub/download.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"

// A file that is being written.
typedef struct {
    Hub *hub;
    const HubDownload *d;
    Arena arena;
    const char *path, *etag_path;
    int fd;
    uint64_t n_bytes; // written and hashed so far
    Hasher *hasher;   // over them
    char etag[128];   // that the server gave; empty: not known
    bool is_anew;     // the server sends the whole file where the rest was asked for
} Part;

static const char *part_path(Arena *arena, const HubDownload *d, const char *ending) {
    return arena_printf(arena, "%s/%s.%.12s.%s", d->folder, d->name, d->file->sha256.at, ending).at;
}

static bool step(const Part *p, Err *err) {
    return progress_step(p->hub->progress, p->d->stage, p->d->before + p->n_bytes, p->d->total,
                         err);
}

// ---- what is there

static void read_etag(Part *p) {
    FILE *f = fopen(p->etag_path, "re");
    size_t n = f ? fread(p->etag, 1, sizeof p->etag - 1, f) : 0;
    if (f) fclose(f);
    p->etag[n] = 0;
    // It goes into a header.
    for (size_t i = 0; i < n; i++)
        if (p->etag[i] < ' ' || p->etag[i] > '~') p->etag[0] = 0;
}

static void forget_part(Part *p) {
    hasher_end(p->hasher);
    p->hasher = hasher_new();
    p->n_bytes = 0;
    p->etag[0] = 0;
    unlink(p->etag_path);
}

static bool start_anew(Part *p, Err *err) {
    forget_part(p);
    return ftruncate(p->fd, 0) == 0 || err_errno(err, "%s: cannot truncate", p->path);
}

// Adds what the file has from p->n_bytes on.
static bool hash_rest(Part *p, char *bytes, size_t size, Err *err) {
    for (;;) {
        ssize_t n = pread(p->fd, bytes, size, (off_t)p->n_bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(err, "%s: cannot read", p->path);
        if (n == 0) return true;
        hasher_add(p->hasher, bytes, (size_t)n);
        p->n_bytes += (uint64_t)n;
        if (!progress_step(p->hub->progress, "checking what is there", p->n_bytes,
                           p->d->file->n_bytes, err))
            return false;
    }
}

static bool hash_part(Part *p, Err *err) {
    enum { BLOCK = 1 << 20 };
    char *bytes = malloc(BLOCK);
    if (!bytes) die_out_of_memory(BLOCK);
    bool ok = hash_rest(p, bytes, BLOCK, err);
    free(bytes);
    return ok;
}

static bool open_part(Part *p, Err *err) {
    struct stat st;
    p->path = part_path(&p->arena, p->d, "part");
    p->etag_path = part_path(&p->arena, p->d, "etag");
    p->hasher = hasher_new();
    p->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (p->fd < 0 || fstat(p->fd, &st) != 0) return err_errno(err, "%s: cannot open", p->path);
    if ((uint64_t)st.st_size > p->d->file->n_bytes) return start_anew(p, err);
    read_etag(p);
    return hash_part(p, err);
}

static void close_part(Part *p) {
    if (p->hasher) hasher_end(p->hasher);
    if (p->fd >= 0) close(p->fd);
    arena_free(&p->arena);
}

uint64_t hub_download_has(const HubDownload *d) {
    Arena arena = {0};
    struct stat st;
    const char *placed = path_join(&arena, d->folder, d->name);
    bool is_there =
        (stat(placed, &st) == 0 && (uint64_t)st.st_size == d->file->n_bytes) ||
        (stat(part_path(&arena, d, "part"), &st) == 0 && (uint64_t)st.st_size <= d->file->n_bytes);
    arena_free(&arena);
    return is_there ? (uint64_t)st.st_size : 0;
}

// ---- the transfer

// The first bytes of an answer: is this the rest of what is there?
static bool begin(void *context, const HttpHead *head, Err *err) {
    Part *p = context;
    const HubFile *f = p->d->file;
    bool is_rest = head->status == 206;
    if (head->linked_etag[0] && !str_is(f->sha256, head->linked_etag))
        return err_set(err, ERR_SYSTEM,
                       "%.*s changed on the hub meanwhile: pull again for what is there now",
                       STR_ARG(f->path));
    if (is_rest && (head->range_first != (int64_t)p->n_bytes ||
                    (head->range_total >= 0 && head->range_total != (int64_t)f->n_bytes))) {
        p->is_anew = true;
        return err_set(err, ERR_SYSTEM, "%.*s: the server sends another part than was asked for",
                       STR_ARG(f->path));
    }
    if (!is_rest && p->n_bytes && !start_anew(p, err)) return false;
    uint64_t expected = f->n_bytes - p->n_bytes;
    if (head->content_length >= 0 && (uint64_t)head->content_length != expected)
        return err_set(err, ERR_FORMAT,
                       "%.*s: the server sends %" PRId64 " bytes, and the hub lists %" PRIu64
                       ": pull again; if that stays, the repository is damaged",
                       STR_ARG(f->path), head->content_length, expected);
    if (head->etag[0] && strcmp(head->etag, p->etag) != 0) {
        memcpy(p->etag, head->etag, sizeof p->etag);
        file_write(p->etag_path, p->etag, strlen(p->etag),
                   NULL); // without it the next pull asks for all
    }
    return step(p, err);
}

static bool take(void *context, const void *bytes, size_t n, Err *err) {
    Part *p = context;
    if (n > p->d->file->n_bytes - p->n_bytes)
        return err_set(err, ERR_FORMAT,
                       "%.*s: the server sends more than the %" PRIu64 " bytes that the hub lists",
                       STR_ARG(p->d->file->path), p->d->file->n_bytes);
    if (!file_write_at(p->fd, p->n_bytes, bytes, n, p->path, err)) {
        Err why = *err;
        return err_set(err, ERR_SYSTEM,
                       "%.800s; what came so far is kept: make room, or set LATHE_STORE to another "
                       "disk, and pull again",
                       why.text);
    }
    hasher_add(p->hasher, bytes, n);
    p->n_bytes += n;
    return step(p, err);
}

// One request for the rest. True: go on; the part may still lack bytes.
static bool ask_for_rest(Part *p, const char *url, unsigned *tries, bool *was_anew, Err *err) {
    uint64_t before = p->n_bytes;
    HttpHead head;
    HttpRequest request = {.url = url,
                           .from = p->n_bytes,
                           .if_range = p->etag[0] ? p->etag : NULL,
                           .begin = begin,
                           .take = take,
                           .context = p,
                           .progress = p->hub->progress};
    p->is_anew = false;
    HttpEnd end = http_get(p->hub->http, &request, &head, err);
    if (p->n_bytes > before) *tries = 0;
    if (end == HTTP_DONE && p->n_bytes > before) return true;
    // The server has nothing beyond this place, or another part: what is there is of another file.
    if ((p->is_anew || (end == HTTP_REFUSED && head.status == 416)) && before && !*was_anew) {
        *was_anew = true;
        return start_anew(p, err);
    }
    if (end == HTTP_DONE) {
        end = HTTP_BROKEN;
        err_set(err, ERR_SYSTEM, "the server sends nothing");
    }
    return hub_asks_again(p->hub, end, &head, p->d->repo, tries, err);
}

static bool transfer(Part *p, Err *err) {
    StrBuf url = {0};
    unsigned tries = 0;
    bool ok = true, was_anew = false;
    hub_file_url(p->hub, &url, p->d->repo, p->d->commit, p->d->file->path);
    while (ok && p->n_bytes < p->d->file->n_bytes)
        ok = ask_for_rest(p, url.at, &tries, &was_anew, err);
    strbuf_free(&url);
    return ok;
}

// What came is all there; is it what the hub stated?
static bool check_digest(Part *p, Err *err) {
    Sha256 found = hasher_end(p->hasher);
    p->hasher = NULL;
    if (str_is(p->d->file->sha256, found.hex)) return true;
    unlink(p->path);
    unlink(p->etag_path);
    return err_set(
        err, ERR_FORMAT,
        "%.*s: its sha256 is %.16s…, and the hub states %.16s…: damaged on the way, so it "
        "was removed; pull again",
        STR_ARG(p->d->file->path), found.hex, p->d->file->sha256.at);
}

bool hub_download(Hub *hub, const HubDownload *d, Err *err) {
    Part p = {.hub = hub, .d = d, .fd = -1};
    bool ok = open_part(&p, err) && transfer(&p, err);
    if (ok && fsync(p.fd) != 0) ok = err_errno(err, "%s: cannot sync", p.path);
    ok = ok && check_digest(&p, err);
    close_part(&p);
    return ok;
}

bool hub_download_is_placed(Hub *hub, const HubDownload *d) {
    Arena arena = {0};
    FileMap map = {0};
    bool is_right =
        map_file(&map, path_join(&arena, d->folder, d->name), NULL) && map.len == d->file->n_bytes;
    Hasher *hasher = hasher_new();
    enum { BLOCK = 8 << 20 };
    for (size_t at = 0; is_right && at < map.len; at += BLOCK) {
        hasher_add(hasher, map.at + at, map.len - at < BLOCK ? map.len - at : BLOCK);
        progress_report(hub->progress, "checking what is there", at, map.len);
    }
    is_right = str_is(d->file->sha256, hasher_end(hasher).hex) && is_right;
    unmap_file(&map);
    arena_free(&arena);
    return is_right;
}

bool hub_download_place(const HubDownload *d, Err *err) {
    Arena arena = {0};
    const char *place = path_join(&arena, d->folder, d->name);
    bool ok = rename(part_path(&arena, d, "part"), place) == 0 ||
              err_errno(err, "%s: cannot put it in place", place);
    if (ok) unlink(part_path(&arena, d, "etag"));
    arena_free(&arena);
    return ok;
}
