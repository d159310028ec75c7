// write.c — writes a package: its folders, the model, the manifest, then the weights, which the
// caller streams to the planned offsets.
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/size.h"
#include "mlpackage/manifest.h"
#include "mlpackage/model.h"

// A weight file being written.
typedef struct {
    int fd; // -1: not open
    const char *path;
} SinkFile;

struct BlobSink {
    SinkFile files[BLOB_MAX_FILES];
    uint32_t n_files;
    const BlobPlan *plan;
    uint64_t put_bytes;
};

static int compare_places(MilPlace a, MilPlace b) {
    if (a.file != b.file) return a.file < b.file ? -1 : 1;
    return (a.offset > b.offset) - (a.offset < b.offset);
}

static const Blob *blob_at(const BlobPlan *plan, MilPlace place) {
    size_t low = 0, high = plan->n_blobs;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_places(plan->blobs[middle].at, place);
        if (order == 0) return &plan->blobs[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool put_at(BlobSink *sink, MilPlace place, const void *bytes, size_t n, Err *err) {
    const SinkFile *file = &sink->files[place.file];
    return file_write_at(file->fd, place.offset, bytes, n, file->path, err);
}

bool blob_sink_put(BlobSink *sink, MilPlace place, uint64_t at, const void *bytes, size_t n,
                   Err *err) {
    const Blob *blob = blob_at(sink->plan, place);
    assert(blob && at <= blob->n_bytes && n <= blob->n_bytes - at);
    sink->put_bytes += n;
    place.offset += BLOB_RECORD_BYTES + at;
    return put_at(sink, place, bytes, n, err);
}

static void store_le(uint8_t *at, uint64_t value, unsigned n) {
    for (unsigned i = 0; i < n; i++) at[i] = (uint8_t)(value >> (8 * i));
}

static bool write_header(BlobSink *sink, uint32_t file, Err *err) {
    uint8_t header[BLOB_HEADER_BYTES] = {0};
    uint64_t n_blobs = 0;
    for (size_t i = 0; i < sink->plan->n_blobs; i++)
        n_blobs += sink->plan->blobs[i].at.file == file;
    store_le(header, n_blobs, 4);
    store_le(header + 4, BLOB_VERSION, 4);
    return put_at(sink, (MilPlace){file, 0}, header, sizeof header, err);
}

static bool write_records(BlobSink *sink, Err *err) {
    for (uint32_t file = 0; file < sink->n_files; file++)
        if (!write_header(sink, file, err)) return false;
    for (size_t i = 0; i < sink->plan->n_blobs; i++) {
        const Blob *b = &sink->plan->blobs[i];
        uint8_t record[BLOB_RECORD_BYTES] = {0};
        store_le(record, BLOB_SENTINEL, 4);
        store_le(record + 4, mil_dtypes[b->dtype].blob_id, 4);
        store_le(record + 8, b->n_bytes, 8);
        store_le(record + 16, b->at.offset + BLOB_RECORD_BYTES, 8);
        store_le(record + 24, b->padding_bits, 8);
        if (!put_at(sink, b->at, record, sizeof record, err)) return false;
    }
    return true;
}

static bool sink_open(BlobSink *sink, const char *path, uint64_t n_bytes, Err *err) {
    SinkFile *file = &sink->files[sink->n_files++];
    *file = (SinkFile){open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), path};
    if (file->fd < 0) return err_errno(err, "%s: cannot write", path);
    return ftruncate(file->fd, (off_t)n_bytes) == 0 ||
           err_errno(err, "%s: cannot reserve %" PRIu64 " bytes", path, n_bytes);
}

static bool sink_close(BlobSink *sink, bool is_good, Err *err) {
    for (uint32_t i = 0; i < sink->n_files; i++) {
        SinkFile *file = &sink->files[i];
        if (is_good && fsync(file->fd) != 0)
            is_good = err_errno(err, "%s: cannot sync", file->path);
        if (file->fd >= 0 && close(file->fd) != 0 && is_good)
            is_good = err_errno(err, "%s: cannot write", file->path);
    }
    return is_good;
}

static bool write_weights(const char *folder, const PackageSource *source, Arena *scratch,
                          Err *err) {
    BlobSink sink = {.plan = source->blobs};
    uint32_t n_files = blob_plan_files(source->blobs);
    assert(n_files <= BLOB_MAX_FILES);
    bool ok = true;
    for (uint32_t i = 0; ok && i < n_files; i++)
        ok = sink_open(&sink, path_join(scratch, folder, mil_weight_name(i, scratch)),
                       blob_plan_file_bytes(source->blobs, i), err);
    ok = ok && write_records(&sink, err) && source->fill(source->context, &sink, err);
    ok = sink_close(&sink, ok, err);
    uint64_t planned = 0;
    for (size_t i = 0; i < source->blobs->n_blobs; i++) planned += source->blobs->blobs[i].n_bytes;
    assert(!ok || sink.put_bytes == planned);
    return ok;
}

static bool write_all(const char *path, const PackageSource *source, Arena *scratch, Err *err) {
    const char *data = path_join(scratch, path, "Data");
    const char *coreml = path_join(scratch, data, "com.apple.CoreML");
    const char *weights = path_join(scratch, coreml, "weights");
    if (mkdir(path, 0777) != 0) return err_errno(err, "%s: cannot create", path);
    if (!dir_make(data, err) || !dir_make(coreml, err) || !dir_make(weights, err)) return false;

    StrBuf model = {0}, manifest = {0};
    model_encode(source, &model);
    manifest_print(&manifest);
    bool ok = file_write(path_join(scratch, coreml, "model.mlmodel"), model.at, model.len, err) &&
              file_write(path_join(scratch, path, "Manifest.json"), manifest.at, manifest.len, err);
    strbuf_free(&model);
    strbuf_free(&manifest);
    if (ok && source->blobs && source->blobs->n_blobs)
        ok = write_weights(weights, source, scratch, err);
    return ok && dir_sync(weights, err) && dir_sync(coreml, err) && dir_sync(data, err) &&
           dir_sync(path, err);
}

bool package_write(const char *path, const PackageSource *source, Err *err) {
    if (path_exists(path)) return err_set(err, ERR_SYSTEM, "%s: already exists", path);
    Arena scratch = {0};
    bool ok = write_all(path, source, &scratch, err);
    if (!ok) dir_remove_tree(path, NULL);
    arena_free(&scratch);
    return ok;
}
