// blobs.c — assigns offsets to weight blobs, in the order of the calls.
#include "mlpackage/blobs.h"

#include <assert.h>

#include "base/size.h"

uint64_t blob_plan_add(BlobPlan *plan, Arena *arena, const MilType *type) {
    size_t n_bytes, count;
    bool fixed = mil_type_bytes(type, &n_bytes) && mil_type_count(type, &count);
    assert(fixed && mil_dtypes[type->dtype].blob_id);
    if (!fixed) return 0;

    if (plan->n_blobs == plan->cap) {
        plan->cap = plan->cap ? 2 * plan->cap : 64;
        Blob *bigger = arena_array(arena, plan->cap, Blob);
        if (plan->n_blobs) memcpy(bigger, plan->blobs, plan->n_blobs * sizeof *bigger);
        plan->blobs = bigger;
    }
    uint64_t offset = plan->n_blobs ? round_up(plan->n_bytes, BLOB_ALIGN) : BLOB_HEADER_BYTES;
    size_t n_bits = count * mil_dtypes[type->dtype].bits;
    plan->blobs[plan->n_blobs++] = (Blob){.dtype = type->dtype,
                                          .n_bytes = n_bytes,
                                          .padding_bits = (uint32_t)(8 * n_bytes - n_bits),
                                          .offset = offset};
    plan->n_bytes = offset + BLOB_RECORD_BYTES + n_bytes;
    return offset;
}
