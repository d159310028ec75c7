#include "compile/graph.h"

const LayerKind *graph_kind(const Graph *g) {
    return contract_layer(g->contract, g->layer);
}

const char *graph_name(Graph *g, const char *what) {
    return arena_printf(g->arena, "%s%s", g->prefix, what).at;
}

ValueId graph_matrix(Graph *g, const PackedTensor *t, const PackedPiece *piece) {
    Builder *b = &g->builder;
    int64_t rows = piece->n_rows, cols = t->n_cols, scales = packed_scales(t, piece);
    const char *name = arena_cstr(g->arena, piece->name);
    if (scales == 0)
        return build_const_blob(b, name, MIL_TENSOR(MIL_F16, rows, cols, 1, 1), piece->data_at);
    ValueId data = build_literal_blob(b, MIL_TENSOR(MIL_I8, rows, cols, 1, 1), piece->data_at);
    ValueId scale = build_literal_blob(b, MIL_TENSOR(MIL_F16, scales, 1, 1, 1), piece->scale_at);
    return build_constexpr_blockwise(b, name, data, scale);
}

ValueId graph_vector(Graph *g, const PackedTensor *t) {
    return build_const_blob(&g->builder, arena_cstr(g->arena, t->name),
                            MIL_TENSOR(MIL_F16, 1, t->n_rows, 1, 1), t->pieces[0].data_at);
}

ValueId graph_project_rows(Graph *g, const char *what, ValueId x, const PackedTensor *matrix,
                           uint32_t first, uint32_t end) {
    Builder *b = &g->builder;
    ValueId parts[PACKED_MAX_PIECES];
    uint32_t n = 0;
    for (size_t i = 0; i < matrix->n_pieces; i++) {
        const PackedPiece *piece = &matrix->pieces[i];
        if (piece->first_row < first || piece->first_row >= end) continue;
        bool is_all = piece->n_rows == end - first;
        const char *name = is_all ? what : arena_printf(g->arena, "%s_%u", what, n).at;
        ValueId weight = graph_matrix(g, matrix, piece);
        parts[n++] = build_conv1x1(b, graph_name(g, name), x, weight, MIL_NO_VALUE);
    }
    return n == 1 ? parts[0] : build_concat(b, graph_name(g, what), parts, n, 1);
}

ValueId graph_head_vector(Graph *g, const PackedTensor *t) {
    return build_const_blob(&g->builder, arena_cstr(g->arena, t->name),
                            MIL_TENSOR(MIL_F16, 1, 1, t->n_rows, 1), t->pieces[0].data_at);
}

ValueId graph_project(Graph *g, const char *what, ValueId x, const PackedTensor *matrix,
                      const PackedTensor *bias) {
    Builder *b = &g->builder;
    ValueId y = graph_project_rows(g, what, x, matrix, 0, matrix->n_rows);
    if (!bias || bias->n_parts == 0) return y;
    const char *name = arena_printf(g->arena, "%s_biased", what).at;
    return build_binary(b, graph_name(g, name), MIL_OP_add, y, graph_vector(g, bias));
}

ValueId graph_add_rows(Graph *g, const char *what, ValueId x, const PackedTensor *bias,
                       uint32_t begin, uint32_t end) {
    if (bias->n_parts == 0) return x;
    int32_t begins[4] = {0, (int32_t)begin, 0, 0}, ends[4] = {1, (int32_t)end, 1, 1};
    const char *rows = arena_printf(g->arena, "%s_rows", what).at;
    ValueId part =
        build_slice(&g->builder, graph_name(g, rows), graph_vector(g, bias), begins, ends, 4);
    return build_binary(&g->builder, graph_name(g, what), MIL_OP_add, x, part);
}

ValueId graph_scale(Graph *g, const char *what, ValueId x, float factor) {
    if (factor == 1.0f) return x;
    const char *name = arena_printf(g->arena, "%s_factor", what).at;
    ValueId by = build_const_f16(&g->builder, graph_name(g, name), factor);
    return build_binary(&g->builder, graph_name(g, what), MIL_OP_mul, x, by);
}

ValueId graph_channels(Graph *g, const char *what, ValueId x, uint32_t begin, uint32_t end) {
    int32_t begins[4] = {0, (int32_t)begin, 0, 0};
    int32_t ends[4] = {1, (int32_t)end, 1, (int32_t)g->n_rows};
    return build_slice(&g->builder, graph_name(g, what), x, begins, ends, 4);
}

void graph_mark(Graph *g, LandmarkPlace place, ValueId v, uint32_t first, float factor) {
    if (!g->marks || !builder_ok(&g->builder)) return;
    g->marks->landmarks[g->marks->n_landmarks++] = (Landmark){
        .place = place,
        .layer = g->layer,
        .value = mil_value(g->builder.f, v)->name,
        .first_channel = first,
        .factor = factor,
    };
}
