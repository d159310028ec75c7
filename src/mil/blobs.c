#include "mil/blobs.h"

#include <assert.h>
#include <string.h>

#include "base/size.h"

uint64_t blob_plan_add(BlobPlan *plan, Arena *arena, const MilType *type) {
    size_t n_bytes, count;
    bool is_fixed = mil_type_bytes(type, &n_bytes) && mil_type_count(type, &count);
    assert(is_fixed && mil_dtypes[type->dtype].blob_id && "only fixed shapes of storable types");
    if (plan->n_blobs == plan->cap) {
        size_t cap = plan->cap ? plan->cap * 2 : 64;
        Blob *wider = arena_array(arena, cap, Blob);
        if (plan->n_blobs) memcpy(wider, plan->blobs, plan->n_blobs * sizeof *wider);
        plan->blobs = wider;
        plan->cap = cap;
    }
    Blob blob = {
        .dtype = type->dtype,
        .n_bytes = n_bytes,
        .padding_bits = (uint32_t)(8 * n_bytes - count * mil_dtypes[type->dtype].bits),
        .offset = plan->n_blobs ? round_up(plan->n_bytes, BLOB_ALIGN) : BLOB_HEADER_BYTES,
    };
    plan->blobs[plan->n_blobs++] = blob;
    plan->n_bytes = blob.offset + BLOB_RECORD_BYTES + n_bytes;
    return blob.offset;
}
