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

struct BlobSink {
    int fd;
    const char *path;
    const BlobPlan *plan;
    uint64_t put_bytes;
};

static const Blob *blob_at(const BlobPlan *plan, uint64_t offset) {
    size_t low = 0, high = plan->n_blobs;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (plan->blobs[middle].offset == offset) return &plan->blobs[middle];
        if (plan->blobs[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool blob_sink_put(BlobSink *sink, uint64_t offset, uint64_t at, const void *bytes, size_t n,
                   Err *err) {
    const Blob *blob = blob_at(sink->plan, offset);
    assert(blob && at <= blob->n_bytes && n <= blob->n_bytes - at);
    sink->put_bytes += n;
    return file_write_at(sink->fd, blob->offset + BLOB_RECORD_BYTES + at, bytes, n, sink->path,
                         err);
}

static void store_le(uint8_t *at, uint64_t value, unsigned n) {
    for (unsigned i = 0; i < n; i++) at[i] = (uint8_t)(value >> (8 * i));
}

static bool write_records(BlobSink *sink, Err *err) {
    uint8_t header[BLOB_HEADER_BYTES] = {0};
    store_le(header, sink->plan->n_blobs, 4);
    store_le(header + 4, BLOB_VERSION, 4);
    if (!file_write_at(sink->fd, 0, header, sizeof header, sink->path, err)) return false;
    for (size_t i = 0; i < sink->plan->n_blobs; i++) {
        const Blob *b = &sink->plan->blobs[i];
        uint8_t record[BLOB_RECORD_BYTES] = {0};
        store_le(record, BLOB_SENTINEL, 4);
        store_le(record + 4, mil_dtypes[b->dtype].blob_id, 4);
        store_le(record + 8, b->n_bytes, 8);
        store_le(record + 16, b->offset + BLOB_RECORD_BYTES, 8);
        store_le(record + 24, b->padding_bits, 8);
        if (!file_write_at(sink->fd, b->offset, record, sizeof record, sink->path, err))
            return false;
    }
    return true;
}

static bool write_weights(const char *path, const PackageSource *source, Err *err) {
    BlobSink sink = {.path = path, .plan = source->blobs};
    sink.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (sink.fd < 0) return err_errno(err, "%s: cannot write", path);
    bool ok =
        (ftruncate(sink.fd, (off_t)source->blobs->n_bytes) == 0 ||
         err_errno(err, "%s: cannot reserve %" PRIu64 " bytes", path, source->blobs->n_bytes)) &&
        write_records(&sink, err) && source->fill(source->context, &sink, err) &&
        (fsync(sink.fd) == 0 || err_errno(err, "%s: cannot sync", path));
    if (close(sink.fd) != 0 && ok) ok = err_errno(err, "%s: cannot write", path);
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
        ok = write_weights(path_join(scratch, weights, "weight.bin"), source, err);
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
