#include "cli/package_sizes.h"

#include <stdio.h>

#include "base/file.h"
#include "mlpackage/package.h"

static double mib(uint64_t n_bytes) {
    return (double)n_bytes / (1 << 20);
}

void print_package_sizes(const ChainShard *shard, const Placement *p) {
    printf("%.*s  %.1f MiB: ", STR_ARG(shard->package), mib(shard->n_bytes));
    if (p->n_files > 1)
        printf("%u weight files, the largest %.1f", p->n_files, mib(p->file_bytes));
    else
        printf("weight file %.1f", mib(p->file_bytes));
    for (size_t i = 0; i < p->n_functions; i++)
        printf("%s%.*s %.1f", i ? ", " : "; reached by ", STR_ARG(p->functions[i].function->name),
               mib(p->functions[i].reach_bytes));
}

bool print_written_sizes(const ChainShard *shard, const Chain *chain, const char *bundle,
                         Err *err) {
    Arena arena = {0};
    Package package;
    Placement placement;
    PlacementTarget target = {0};
    const char *path = path_join(&arena, bundle, arena_cstr(&arena, shard->package));
    placement_target_read(chain->target, &target);
    bool ok = package_open(&package, &arena, path, err);
    if (ok) {
        placement_judge(&placement, &arena, package.program, package_bytes(&package), &target);
        print_package_sizes(shard, &placement);
        package_close(&package);
    }
    arena_free(&arena);
    return ok;
}
