// reader.h — the steps that reading a contract is made of. Internal to contract/.
//
// The first failure sticks: later calls return zeros, so fields are read as straight code. Keys and
// bounds are those of the field's row (fields.def). Every key and tensor asked for is marked as
// read; read_leftovers() judges the rest.
#ifndef LATHE_CONTRACT_READER_H
#define LATHE_CONTRACT_READER_H

#include "contract/arch.h"
#include "contract/fields.h"

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
// Fails for a field's key that is not in the file: "the file does not say `what`". The one place
// that says what to do about it.
void reader_absent(ContractReader *r, FieldId field, const char *what);

// ---- where a value came from

void reader_source(ContractReader *r, FieldId field, SourceKind kind, Str text);
// The rule of a derived value.
void reader_derived(ContractReader *r, FieldId field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// The same where the file does not have the field's key or tensor: "no KEY: rule".
void reader_unstated(ContractReader *r, FieldId field, const char *rule);
void reader_harmless(ContractReader *r, Str name, const char *reason);

// ---- keys; NULL or false when absent

const GgufKey *reader_key(ContractReader *r, const char *name); // the whole name
const GgufKey *reader_arch_key(ContractReader *r, const char *suffix);
const GgufKey *reader_field_key(ContractReader *r, FieldId field);
// The field's key as messages name it: "llama.block_count".
const char *reader_key_name(ContractReader *r, FieldId field);

// Is `k` one number? A list of one a layer is, where all are equal; another list fails.
bool reader_is_one_for_all(ContractReader *r, const GgufKey *k);
// The value of a field's key (U32, F32) into the contract. A key of the wrong type or out of the
// field's bounds fails.
bool read_field(ContractReader *r, FieldId field);
// The same from another key of the architecture.
bool read_field_from(ContractReader *r, FieldId field, const char *suffix);
// As read_field, but the key must be there; `what` as in reader_absent, NULL: "its " and the
// field's description.
void need_field(ContractReader *r, FieldId field, const char *what);

// ---- tensors

const TensorInfo *reader_tensor(ContractReader *r, const char *name); // NULL when absent
// Shape is checked: `n_rows` 0 means a vector of n_cols.
bool check_tensor(ContractReader *r, const TensorInfo *t, size_t n_cols, size_t n_rows);
const TensorInfo *need_tensor(ContractReader *r, const char *name, size_t n_cols, size_t n_rows);

#endif
