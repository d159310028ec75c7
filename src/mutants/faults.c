#include "mutants/faults.h"

#include "base/size.h"

enum {
    DECODE = IN_DECODE,
    PREFILL = IN_PREFILL,
    BOTH = IN_DECODE | IN_PREFILL,
    HEAD = IN_HEAD,
};

static const Fault faults[] = {
#define GRAPH(name_, functions_, doc_, ...)                                                        \
    {.name = #name_,                                                                               \
     .doc = doc_,                                                                                  \
     .kind = FAULT_GRAPH,                                                                          \
     .functions = functions_,                                                                      \
     .edits = {__VA_ARGS__}},
#define ROWS(name_, doc_) {.name = #name_, .doc = doc_, .kind = FAULT_ROWS, .rows = edit_##name_},
#define BYTES(name_, doc_)                                                                         \
    {.name = #name_, .doc = doc_, .kind = FAULT_BYTES, .bytes = edit_##name_},
#define HOST(name_, doc_, ...)                                                                     \
    {.name = #name_, .doc = doc_, .kind = FAULT_HOST, .host = {__VA_ARGS__}},
#define KEYS(name_, doc_) {.name = #name_, .doc = doc_, .kind = FAULT_KEYS, .keys = edit_##name_},
#include "mutants/faults.def"
#undef GRAPH
#undef ROWS
#undef BYTES
#undef HOST
#undef KEYS
};

const Fault *fault_at(size_t i) {
    return i < COUNT_OF(faults) ? &faults[i] : NULL;
}
