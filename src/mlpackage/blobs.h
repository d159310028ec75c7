// blobs.h — plans the weight files of a package: the place of each blob, before any byte is
// written. One file, unless the caller begins another.
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
    MilPlace at;           // of the metadata record
} Blob;

// Files a package may have. A program with 17 was refused, through the private interface
// (4rg0naut/silicon-ledger-public: EXP-021).
enum { BLOB_MAX_FILES = 16 };

typedef struct {
    Blob *blobs; // file after file, in the order of offsets
    size_t n_blobs, cap;
    uint32_t file;    // the one that takes the next blob
    uint64_t n_bytes; // of that file so far; 0 while it is empty
} BlobPlan;           // zeroed is empty

// Reserves a blob for a tensor of the fixed shape `type` and returns where its record is, for
// build_const_blob().
MilPlace blob_plan_add(BlobPlan *plan, Arena *arena, const MilType *type);
// Blobs from now on go to another file, unless this one is empty.
void blob_plan_next_file(BlobPlan *plan);
// Files that have a blob.
uint32_t blob_plan_files(const BlobPlan *plan);
// Bytes of one of them.
uint64_t blob_plan_file_bytes(const BlobPlan *plan, uint32_t file);

#endif
