// blobs.c — assigns places to weight blobs, in the order of the calls.
#include "mlpackage/blobs.h"

#include <assert.h>

#include "base/size.h"

MilPlace blob_plan_add(BlobPlan *plan, Arena *arena, const MilType *type) {
    size_t n_bytes, count;
    bool fixed = mil_type_bytes(type, &n_bytes) && mil_type_count(type, &count);
    assert(fixed && mil_dtypes[type->dtype].blob_id);
    if (!fixed) return (MilPlace){0};

    plan->blobs = arena_grow(arena, plan->blobs, plan->n_blobs, &plan->cap, sizeof *plan->blobs);
    uint64_t offset = plan->n_bytes ? round_up(plan->n_bytes, BLOB_ALIGN) : BLOB_HEADER_BYTES;
    MilPlace at = {plan->file, offset};
    size_t n_bits = count * mil_dtypes[type->dtype].bits;
    plan->blobs[plan->n_blobs++] = (Blob){.dtype = type->dtype,
                                          .n_bytes = n_bytes,
                                          .padding_bits = (uint32_t)(8 * n_bytes - n_bits),
                                          .at = at};
    plan->n_bytes = offset + BLOB_RECORD_BYTES + n_bytes;
    return at;
}

void blob_plan_next_file(BlobPlan *plan) {
    if (!plan->n_bytes) return;
    plan->file++;
    plan->n_bytes = 0;
}

uint32_t blob_plan_files(const BlobPlan *plan) {
    return plan->n_blobs ? plan->blobs[plan->n_blobs - 1].at.file + 1 : 0;
}

uint64_t blob_plan_file_bytes(const BlobPlan *plan, uint32_t file) {
    uint64_t end = 0;
    for (size_t i = 0; i < plan->n_blobs; i++) {
        const Blob *b = &plan->blobs[i];
        if (b->at.file == file) end = b->at.offset + BLOB_RECORD_BYTES + b->n_bytes;
    }
    return end;
}
