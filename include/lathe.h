// lathe.h — the public API of liblathe: open, run, tokenize, convert and verify models.
//
// Build with `pkg-config --cflags --libs lathe`. Every type is opaque; strings are UTF-8.
//
// Errors. A function that can fail returns false or NULL and fills `*err` (which may be NULL): a kind
// for the program, a sentence for the user. A NULL argument where a value is required is a mistake of
// the caller and not checked. The library prints nothing and never exits, with one exception: when a
// small allocation fails, it writes a line to stderr and exits with code 4. Large buffers (KV cache,
// workspace) report failure as LATHE_ERROR_SYSTEM.
//
// Ownership. What `…_open` returns is closed by the caller with `…_close`, which takes NULL. Pointers
// that other functions return belong to the object they were asked of and live as long as it does,
// unless their comment says otherwise.
//
// Threads. Different objects may be used by different threads at the same time. One object is used by
// one thread at a time, and so are all objects opened from the same LathePackage; exceptions are
// stated. Callbacks are called on the calling thread.
#ifndef LATHE_H
#define LATHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LATHE_API __attribute__((visibility("default")))

// ---- errors

typedef enum {
    LATHE_OK,
    LATHE_ERROR_GATE,    // a proof failed
    LATHE_ERROR_USAGE,   // an argument is wrong
    LATHE_ERROR_FORMAT,  // a file is broken, contradictory or unsupported
    LATHE_ERROR_SYSTEM,  // disk, memory, device
    LATHE_ERROR_STOPPED, // a callback ended the work
} LatheErrorKind;

typedef struct {
    LatheErrorKind kind;
    char text[1024]; // one sentence, NUL-terminated, no final newline
} LatheError;

LATHE_API const char *lathe_version(void); // "0.1.0"

// ---- Core ML packages, executed on the CPU

// How results are rounded.
typedef enum {
    LATHE_ARITHMETIC_FP16, // as the program declares it: what Core ML promises
    LATHE_ARITHMETIC_FP32, // nothing is rounded beyond float
    LATHE_ARITHMETIC_ANE,  // a model of the Neural Engine, made from published measurements; slow
} LatheArithmetic;

typedef enum {
    LATHE_FP16,  // IEEE binary16, two bytes an element
    LATHE_FP32,  // float
    LATHE_INT8,  // int8_t
    LATHE_INT32, // int32_t
} LatheDtype;
LATHE_API const char *lathe_dtype_name(LatheDtype dtype); // "fp16"
LATHE_API size_t lathe_dtype_bytes(LatheDtype dtype);     // of an element

// An input, an output or a state (KV cache) of a function.
typedef enum { LATHE_INPUT, LATHE_OUTPUT, LATHE_STATE } LathePortKind;

typedef struct {
    const char *name;
    LatheDtype dtype;
    size_t rank;
    const size_t *shape; // [rank], outermost first
    size_t n_elements;   // product of the shape
    size_t n_bytes;      // n_elements, packed
} LathePort;

// A package, with the states that its functions share.
typedef struct LathePackage LathePackage;

// Opens the directory `path` (an .mlpackage that holds an ML Program) and validates it. Its functions
// run on `n_threads` threads; 0: one a processor.
LATHE_API LathePackage *lathe_package_open(const char *path, unsigned n_threads, LatheError *err);
LATHE_API void lathe_package_close(LathePackage *package); // after its functions

// The name of function `i`, in the package's order; NULL after the last.
LATHE_API const char *lathe_package_function(const LathePackage *package, size_t i);
// The name of the function that runs when none is named.
LATHE_API const char *lathe_package_default(const LathePackage *package);
// Port `i` of that kind of the function `function`, in its order; NULL after the last, and when there
// is no such function. Also for functions that the engine cannot run.
LATHE_API const LathePort *lathe_package_port(const LathePackage *package, const char *function,
                                              LathePortKind kind, size_t i);

// Fills every state with zeros, as after opening.
LATHE_API void lathe_package_reset(LathePackage *package);

// A function of a package, ready to run.
typedef struct LatheFunction LatheFunction;

// `name` NULL: the default function. Fails with LATHE_ERROR_FORMAT when the package has no such
// function, or the engine lacks one of its ops; the text names it.
LATHE_API LatheFunction *lathe_function_open(LathePackage *package, const char *name,
                                             LatheArithmetic arithmetic, LatheError *err);
LATHE_API void lathe_function_close(LatheFunction *f);

// As lathe_package_port().
LATHE_API const LathePort *lathe_function_port(const LatheFunction *f, LathePortKind kind,
                                               size_t i);

// Copies all elements of input `i`: packed, little-endian, row-major, in the port's dtype; `n_bytes`
// must be the port's. An input keeps its values until they are written again; at first they are 0.
LATHE_API bool lathe_function_write(LatheFunction *f, size_t i, const void *elements,
                                    size_t n_bytes, LatheError *err);

// Executes the function once: reads inputs and states, computes outputs, changes states. Fails only
// for values (an index out of range); then outputs and states are undefined.
LATHE_API bool lathe_function_run(LatheFunction *f, LatheError *err);

// Copies all elements of output `i` of the last run, as for lathe_function_write().
LATHE_API bool lathe_function_read(const LatheFunction *f, size_t i, void *elements, size_t n_bytes,
                                   LatheError *err);
// The numbers of an output of the last run, or of a state now, before they are packed: [n_elements]. In
// LATHE_ARITHMETIC_FP32 an fp16 output has digits that its packed form lacks.
LATHE_API void lathe_function_numbers(const LatheFunction *f, LathePortKind kind, size_t i,
                                      double *numbers);

// The name of op `i` that the engine can execute, in no order; NULL after the last.
LATHE_API const char *lathe_engine_op(size_t i);

#ifdef __cplusplus
}
#endif

#endif
