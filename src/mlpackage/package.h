// package.h — Core ML packages: an ML Program and its weights as the `.mlpackage` directory,
// written and read back.
//
//     Model.mlpackage/Manifest.json
//                     Data/com.apple.CoreML/model.mlmodel        CoreML.Specification.Model, protobuf
//                     Data/com.apple.CoreML/weights/weight.bin   blob storage version 2, and where the
//                                                                plan says so weight_1.bin, …
//
// Writing streams: the plan gives the offsets of all blobs before any weight is encoded, so no
// weight is ever held whole. Reading trusts nothing: lengths, counts, depths, offsets, names and
// types are checked before use, and the program that comes out has passed mil_validate(). Checked
// against coremltools 9 (mlmodel/format/*.proto, mlmodel/src/MILBlob/Blob/StorageFormat.hpp,
// modelpackage/src/ModelPackage.cpp), also by tests/oracle.
#ifndef LATHE_MLPACKAGE_PACKAGE_H
#define LATHE_MLPACKAGE_PACKAGE_H

#include "base/map.h"
#include "mil/mil.h"
#include "mlpackage/blobs.h"

// ---- writing

typedef struct BlobSink BlobSink;
// Writes `n` bytes of the blob whose record is at `place`, starting `at` bytes into its data.
// Calls may come in any order, from one thread at a time; every byte must be written once.
bool blob_sink_put(BlobSink *sink, MilPlace place, uint64_t at, const void *bytes, size_t n,
                   Err *err);

typedef struct {
    const char *key, *value;
} PackageNote;

typedef struct {
    const MilProgram *program;
    const BlobPlan *blobs;
    const char *description;      // Metadata.shortDescription
    const char *author, *licence; // NULL: left out
    const PackageNote *notes;     // Metadata.userDefined
    size_t n_notes;
    // Streams the data of all blobs. NULL when the plan is empty.
    bool (*fill)(void *context, BlobSink *sink, Err *err);
    void *context;
} PackageSource;

// Writes the package directory `path` (which must not exist), synced. The same source gives the
// same bytes: item identifiers in the manifest are derived from names, not drawn. A failed write
// leaves no directory.
bool package_write(const char *path, const PackageSource *source, Err *err);

// ---- reading

// A file of the weights folder that the program names.
typedef struct {
    Str name; // "weight.bin"
    FileMap map;
} WeightFile;

typedef struct {
    char *path;
    MilProgram *program;
    FileMap model;
    WeightFile *weights; // in the order in which constants name them
    size_t n_weights;    // 0 for a program without
    PackageNote *notes;  // userDefined metadata
    size_t n_notes;
} Package;

// Reads the package at `path` and validates its program, the agreement of its description with its
// functions, and every blob reference. Everything lives in `arena` and the mappings until
// package_close().
bool package_open(Package *p, Arena *arena, const char *path, Err *err);
void package_close(Package *p); // safe on a zeroed or half-opened Package

// Bytes of its weight files, and of those and the model.
uint64_t package_weight_bytes(const Package *p);
uint64_t package_bytes(const Package *p);

// The packed bytes of a constant: immediate or in a mapped weight file. After package_open() it
// cannot fail.
const void *package_data(const Package *p, const MilValue *v, size_t *n_bytes);
const char *package_note(const Package *p, const char *key); // NULL when absent

#endif
