#include "mlpackage/example.h"

#include "mil/build.h"

static bool fill(void *context, BlobSink *sink, Err *err) {
    int8_t codes[32];
    for (int i = 0; i < 32; i++) codes[i] = (int8_t)(i - 16);
    return blob_sink_put(sink, *(const MilPlace *)context, 0, codes, sizeof codes, err);
}

bool example_write(const char *path, Err *err) {
    Arena arena = {0};
    BlobPlan blobs = {0};
    MilType codes = MIL_TENSOR(MIL_I8, 8, 4, 1, 1);
    MilPlace place = blob_plan_add(&blobs, &arena, &codes);
    MilProgram *p = mil_program_new(&arena, 9);
    Builder b = builder_begin(p, "main", err);
    ValueId x = build_input(&b, "x", MIL_TENSOR(MIL_F16, 1, 4, 1, 1));
    ValueId data = build_literal_blob(&b, codes, place);
    ValueId scale = build_literal(&b, MIL_TENSOR(MIL_F16, 1, 1, 1, 1), "\0\x38", 2);
    ValueId w = build_constexpr_blockwise(&b, "w", data, scale);
    build_output(&b, build_conv1x1(&b, "y", x, w, MIL_NO_VALUE));
    PackageSource source = {.program = p, .blobs = &blobs, .fill = fill, .context = &place};
    bool ok = builder_ok(&b) && package_write(path, &source, err);
    arena_free(&arena);
    return ok;
}
