// blobs.h — plans the weight file of a package: the offset of each blob, before any byte is
// written.
//
// Blob storage version 2: a 64-byte file header, then for each blob a 64-byte metadata record at a
// multiple of 64, followed by the data. Offsets are those of the records. Source: coremltools 9,
// mlmodel/src/MILBlob/Blob/StorageFormat.hpp.
#ifndef LATHE_MLPACKAGE_BLOBS_H
#define LATHE_MLPACKAGE_BLOBS_H

#include "mil/mil.h"

enum { BLOB_ALIGN = 64, BLOB_HEADER_BYTES = 64, BLOB_RECORD_BYTES = 64 };

typedef struct {
    MilDtype dtype;
    uint64_t n_bytes;      // of data, packed
    uint32_t padding_bits; // unused bits of the last byte (sub-byte types)
    uint64_t offset;       // of the metadata record in the file
} Blob;

typedef struct {
    Blob *blobs;
    size_t n_blobs, cap;
    uint64_t n_bytes; // of the file so far; 0 while empty
} BlobPlan;           // zeroed is empty

// Reserves a blob for a tensor of the fixed shape `type` and returns its record's offset, for
// build_const_blob().
uint64_t blob_plan_add(BlobPlan *plan, Arena *arena, const MilType *type);

#endif
