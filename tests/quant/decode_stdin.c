// decode_stdin — what quant/ makes of blocks, for tests that compare it with other software.
//
//     decode_stdin --types          the table: a line "id NAME weights bytes decodable" a format
//     decode_stdin --grids          a line "name point point …" a grid, points as their digits
//     decode_stdin NAME <blocks     the floats, little-endian, to stdout
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "quant/grids.h"
#include "quant/quant.h"

static void print_types(void) {
    for (size_t i = 0; i < block_type_count(); i++) {
        const BlockType *t = block_type_at(i);
        printf("%u %s %u %u %d\n", t->id, t->name, t->n_weights, t->n_bytes, t->is_decodable);
    }
}

typedef struct {
    const char *name;
    const uint16_t *points;
    size_t n_points;
    int n_weights, n_bits; // of a point, of a digit
} Grid;

static void print_grids(void) {
    static const Grid grids[] = {
        {"iq1", grid_iq1, COUNT_OF(grid_iq1), 8, 2},
        {"iq2_xxs", grid_iq2_xxs, COUNT_OF(grid_iq2_xxs), 8, 2},
        {"iq2_xs", grid_iq2_xs, COUNT_OF(grid_iq2_xs), 8, 2},
        {"iq2_s", grid_iq2_s, COUNT_OF(grid_iq2_s), 8, 2},
        {"iq3_xxs", grid_iq3_xxs, COUNT_OF(grid_iq3_xxs), 4, 3},
        {"iq3_s", grid_iq3_s, COUNT_OF(grid_iq3_s), 4, 3},
    };
    for (size_t i = 0; i < COUNT_OF(grids); i++) {
        const Grid *g = &grids[i];
        fputs(g->name, stdout);
        for (size_t p = 0; p < g->n_points; p++) {
            putchar(' ');
            for (int j = 0; j < g->n_weights; j++)
                putchar('0' + (g->points[p] >> (j * g->n_bits) & ((1 << g->n_bits) - 1)));
        }
        putchar('\n');
    }
}

static int decode(const BlockType *type) {
    enum { BLOCKS_AT_ONCE = 64 };
    uint8_t *blocks = malloc((size_t)type->n_bytes * BLOCKS_AT_ONCE);
    float *weights = malloc(sizeof(float) * type->n_weights * BLOCKS_AT_ONCE);
    int code = 1;
    if (!blocks || !weights) goto done;
    size_t n_blocks;
    while ((n_blocks = fread(blocks, type->n_bytes, BLOCKS_AT_ONCE, stdin))) {
        decode_blocks(type, blocks, weights, n_blocks * type->n_weights);
        if (fwrite(weights, sizeof(float) * type->n_weights, n_blocks, stdout) != n_blocks)
            goto done;
    }
    code = ferror(stdin) || fflush(stdout) != 0;
done:
    free(blocks);
    free(weights);
    return code;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--types") == 0) {
        print_types();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--grids") == 0) {
        print_grids();
        return 0;
    }
    const BlockType *type = argc == 2 ? block_type_named(argv[1]) : NULL;
    if (!type || !type->is_decodable) {
        fprintf(stderr,
                "usage: decode_stdin --types | --grids | NAME, the name of a decodable format\n");
        return 2;
    }
    return decode(type);
}
