// Shapes that broadcast, as strides over merged axes.
#include "engine/broadcast.h"

#include "base/size.h"
#include "engine/prepare.h"

Broadcast broadcast_of(const MilType *out, const MilType *const *operands, int n_operands) {
    Broadcast b = {.n_operands = n_operands, .count = 1};
    // Innermost first; an axis joins the one inside it when every operand either moves through both
    // as one or stands still in both.
    size_t dims[MIL_MAX_RANK], stride[MAX_OPERANDS][MIL_MAX_RANK], own[MAX_OPERANDS] = {1, 1, 1};
    int rank = 0;
    for (int i = out->rank - 1; i >= 0; i--) {
        size_t dim = (size_t)out->dims[i], step[MAX_OPERANDS];
        b.count *= dim;
        if (dim == 1) continue;
        bool joins = rank > 0;
        for (int o = 0; o < n_operands; o++) {
            int axis = i - (out->rank - operands[o]->rank);
            size_t size = axis < 0 ? 1 : (size_t)operands[o]->dims[axis];
            step[o] = size == 1 ? 0 : own[o];
            own[o] *= size;
            if (rank > 0) {
                size_t inner = stride[o][rank - 1];
                joins = joins && (inner ? step[o] == inner * dims[rank - 1] : step[o] == 0);
            }
        }
        if (joins) {
            dims[rank - 1] *= dim;
            continue;
        }
        for (int o = 0; o < n_operands; o++) stride[o][rank] = step[o];
        dims[rank++] = dim;
    }
    if (rank == 0) {
        dims[0] = 1;
        for (int o = 0; o < n_operands; o++) stride[o][0] = 0;
        rank = 1;
    }
    b.rank = rank;
    for (int i = 0; i < rank; i++) {
        b.dims[i] = dims[rank - 1 - i];
        for (int o = 0; o < n_operands; o++) b.stride[o][i] = stride[o][rank - 1 - i];
    }
    return b;
}

BroadcastRun broadcast_run(const Broadcast *b, size_t at, size_t end) {
    BroadcastRun r = {.at = at};
    size_t rest = at;
    for (int i = b->rank - 1; i >= 0; i--) {
        size_t index = rest % b->dims[i];
        rest /= b->dims[i];
        for (int o = 0; o < b->n_operands; o++) r.from[o] += index * b->stride[o][i];
        if (i == b->rank - 1) r.n = min_size(b->dims[i] - index, end - at);
    }
    for (int o = 0; o < b->n_operands; o++) r.step[o] = b->stride[o][b->rank - 1];
    return r;
}
