// The table of ops.
#include <string.h>

#include "engine/prepare.h"

bool prepare_nothing(Prepare *p) {
    (void)p;
    return true;
}

static const OpRow rows[] = {
#define OP(name, prepare, run) {#name, prepare_##prepare, run_##run},
#define OP_IDLE(name, prepare) {#name, prepare_##prepare, NULL},
#include "engine/ops.def"
};

const OpRow *op_row(const MilOpInfo *info) {
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (strcmp(rows[i].name, info->name) == 0) return &rows[i];
    return NULL;
}

const char *engine_op_name(size_t i) {
    return i < COUNT_OF(rows) ? rows[i].name : NULL;
}
