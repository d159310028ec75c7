// model.h — converts between model.mlmodel, the message CoreML.Specification.Model, and a
// MilProgram. Internal to mlpackage/. Field numbers: coremltools, mlmodel/format/Model.proto,
// FeatureTypes.proto, MIL.proto.
#ifndef LATHE_MLPACKAGE_MODEL_H
#define LATHE_MLPACKAGE_MODEL_H

#include "base/reader.h"
#include "mlpackage/package.h"

// Field numbers used by both directions.
enum {
    MODEL_SPEC_VERSION = 1,
    MODEL_DESCRIPTION = 2,
    MODEL_PROGRAM = 502,

    DESCRIPTION_INPUT = 1,
    DESCRIPTION_OUTPUT = 10,
    DESCRIPTION_STATE = 13,
    DESCRIPTION_FUNCTIONS = 20,
    DESCRIPTION_DEFAULT_FUNCTION = 21,
    DESCRIPTION_METADATA = 100,
    FUNCTION_DESC_NAME = 1,
    FUNCTION_DESC_INPUT = 2,
    FUNCTION_DESC_OUTPUT = 3,
    FUNCTION_DESC_STATE = 6,
    FEATURE_NAME = 1,
    FEATURE_TYPE = 3,
    FEATURE_TYPE_ARRAY = 5,
    FEATURE_TYPE_STATE = 8,
    STATE_ARRAY = 1,
    ARRAY_SHAPE = 1,
    ARRAY_DTYPE = 2,
    ARRAY_ENUMERATED = 21,
    ARRAY_RANGE = 31,
    METADATA_DESCRIPTION = 1,
    METADATA_AUTHOR = 3,
    METADATA_LICENCE = 4,
    METADATA_USER = 100,
    MAP_KEY = 1,
    MAP_VALUE = 2,

    PROGRAM_VERSION = 1,
    PROGRAM_FUNCTIONS = 2,
    FUNCTION_INPUTS = 1,
    FUNCTION_OPSET = 2,
    FUNCTION_BLOCKS = 3,
    BLOCK_OUTPUTS = 2,
    BLOCK_OPERATIONS = 3,
    OPERATION_TYPE = 1,
    OPERATION_INPUTS = 2,
    OPERATION_OUTPUTS = 3,
    OPERATION_BLOCKS = 4,
    OPERATION_ATTRIBUTES = 5,
    ARGUMENT_BINDINGS = 1,
    BINDING_NAME = 1,
    BINDING_VALUE = 2,
    NAMED_TYPE_NAME = 1,
    NAMED_TYPE_TYPE = 2,
    VALUE_TYPE_TENSOR = 1,
    VALUE_TYPE_STATE = 5,
    STATE_WRAPPED = 1,
    TENSOR_DTYPE = 1,
    TENSOR_RANK = 2,
    TENSOR_DIMENSIONS = 3,
    DIMENSION_CONSTANT = 1,
    DIMENSION_UNKNOWN = 2,
    CONSTANT_SIZE = 1,
    VALUE_TYPE = 2,
    VALUE_IMMEDIATE = 3,
    VALUE_BLOB = 5,
    IMMEDIATE_TENSOR = 1,
    BLOB_FILE = 1,
    BLOB_OFFSET = 2,
    TENSOR_FLOATS = 1,
    TENSOR_INTS = 2,
    TENSOR_BOOLS = 3,
    TENSOR_STRINGS = 4,
    TENSOR_LONG_INTS = 5,
    TENSOR_DOUBLES = 6,
    TENSOR_BYTES = 7,
    ELEMENTS = 1,
};

// Blob storage (mlmodel/src/MILBlob/Blob/StorageFormat.hpp).
enum { BLOB_VERSION = 2 };
#define BLOB_SENTINEL UINT32_C(0xDEADBEEF)

// ArrayDataType of a feature: 0x10000 | bits for floats, 0x20000 | bits for integers.
enum { ARRAY_F16 = 65552, ARRAY_F32 = 65568, ARRAY_I8 = 131080, ARRAY_I32 = 131104 };

// Which member of TensorValue holds elements of `dtype`.
uint32_t tensor_member(MilDtype dtype);

// Appends the message. The program has passed mil_validate().
void model_encode(const PackageSource *source, StrBuf *out);

// Reads the message into p->program and p->notes. Checks the structure only; the caller validates
// the program.
bool model_decode(Package *p, Arena *arena, const void *bytes, size_t n, Err *err);
// The part of it that reads the message ModelDescription: notes, the default function, and every
// function's ports, which must be those of p->program in name, type and number.
bool description_decode(Package *p, Arena *arena, Reader description, Err *err);

// Maps the weight file called `file->name`, or fails when there is none.
typedef bool OpenWeights(void *context, WeightFile *file, Err *err);

// What package_open() does once the model is in memory: reads p->model into p->program, validates
// it, opens the weight files that it names and checks every blob reference.
bool package_decode(Package *p, Arena *arena, OpenWeights *open, void *context, Err *err);

#endif
