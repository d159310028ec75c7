// read.h — the pieces of reading a contract. Internal to contract/.
//
// The first failure sticks: later calls return zeros, so fields are read as straight code.
#ifndef LATHE_CONTRACT_READ_H
#define LATHE_CONTRACT_READ_H

#include "contract/contract.h"

// Bounds no model comes near; they keep later arithmetic far from overflow.
enum {
    MAX_LAYERS = 4096,
    MAX_DIM = 1 << 20,
    MAX_HEADS = 4096,
    MAX_HEAD_DIM = 4096,
    MAX_CONTEXT = 1 << 28,
};

// What an architecture's name says about its graph, where no key does.
typedef struct {
    const char *name;
    Architecture id;
    RopeStyle rope_style;
    const char *rope_reason;  // where the style comes from
    bool rotates_whole_heads; // rope_dim can be nothing but head_dim
    bool has_window_key;      // every file says how far a query sees, if only that it sees all
} ArchInfo;

typedef struct {
    Model *model;
    const Gguf *g;
    const ArchInfo *arch;
    Arena *arena;
    Err *err;
    bool failed;
    bool *is_key_used, *is_tensor_used; // by row
    Harmless *harmless;
    size_t n_harmless;
} ContractReader;

// Fails with ERR_FORMAT unless something failed before.
void reader_fail(ContractReader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Fails for an architecture's key that is not in the file: "the file does not say `what`". The one
// place that says what to do about it.
void reader_absent(ContractReader *r, const char *suffix, const char *what);
void reader_source(ContractReader *r, FieldId field, SourceKind kind, Str text);
// The rule of a derived value.
void reader_derived(ContractReader *r, FieldId field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void reader_harmless(ContractReader *r, Str name, const char *reason);

// Keys, marked as read. `suffix` follows the architecture's name and a dot; reader_key takes the
// whole name. NULL when absent.
const GgufKey *reader_key(ContractReader *r, const char *name);
const GgufKey *reader_arch_key(ContractReader *r, const char *suffix);

// The value of an architecture key into a field. With a key that is absent they return false and
// leave `*out`; a key of the wrong type or out of range fails.
bool read_count(ContractReader *r, FieldId field, const char *suffix, uint32_t least, uint32_t most,
                uint32_t *out);
bool read_float(ContractReader *r, FieldId field, const char *suffix, float least, float most,
                float *out);
// As read_count, but the key must be there.
uint32_t need_count(ContractReader *r, FieldId field, const char *suffix, uint32_t most);

// Tensors, marked as read; shape is checked: `n_rows` 0 means a vector of n_cols.
const TensorInfo *reader_tensor(ContractReader *r, const char *name);
const TensorInfo *need_tensor(ContractReader *r, const char *name, size_t n_cols, size_t n_rows);
bool check_tensor(ContractReader *r, const TensorInfo *t, size_t n_cols, size_t n_rows);

void read_rope(ContractReader *r);       // read_rope.c
void read_vocabulary(ContractReader *r); // read_vocabulary.c
void bind_weights(ContractReader *r);    // bind.c
// leftovers.c: every key and tensor not read is harmless or an error
void read_leftovers(ContractReader *r);

#endif
