#include "cli/package_sizes.h"

#include <stdio.h>

#include "base/file.h"
#include "cli/wrap.h"
#include "mlpackage/package.h"

static double mib(uint64_t n_bytes) {
    return (double)n_bytes / (1 << 20);
}

void print_package_sizes(const ChainShard *shard, const Placement *p) {
    StrBuf text = {0};
    strbuf_printf(&text, "%.*s  %.1f MiB: ", STR_ARG(shard->package), mib(shard->n_bytes));
    if (p->n_files > 1)
        strbuf_printf(&text, "%u weight files, the largest %.1f", p->n_files, mib(p->file_bytes));
    else
        strbuf_printf(&text, "weight file %.1f", mib(p->file_bytes));
    for (size_t i = 0; i < p->n_functions; i++)
        strbuf_printf(&text, "%s%.*s %.1f", i ? ", " : "; reached by ",
                      STR_ARG(p->functions[i].function->name), mib(p->functions[i].reach_bytes));
    print_line(stdout, 4, "%s", text.at);
    strbuf_free(&text);
}

// The prediction for a package that was just written; `package` is closed by the caller.
static bool judge_written(Placement *placement, Package *package, const ChainShard *shard,
                          const Chain *chain, const char *bundle, Arena *arena, Err *err) {
    PlacementTarget target = {0};
    const char *path = path_join(arena, bundle, arena_cstr(arena, shard->package));
    placement_target_read(chain->target, &target);
    if (!package_open(package, arena, path, err)) return false;
    placement_judge(placement, arena, package->program, package_bytes(package), &target);
    return true;
}

bool print_written_sizes(const ChainShard *shard, const Chain *chain, const char *bundle,
                         Err *err) {
    Arena arena = {0};
    Package package;
    Placement placement;
    bool ok = judge_written(&placement, &package, shard, chain, bundle, &arena, err);
    if (ok) {
        print_package_sizes(shard, &placement);
        package_close(&package);
    }
    arena_free(&arena);
    return ok;
}

// ---- contexts that nobody saw compiled

static const RuleId context_rules[] = {RULE_G06, RULE_G07};
enum { N_CONTEXT_RULES = sizeof context_rules / sizeof *context_rules };

static const PlacementFinding *find_rule(const Placement *p, RuleId rule) {
    for (size_t i = 0; i < p->n_functions; i++)
        for (size_t k = 0; k < p->functions[i].n_findings; k++)
            if (p->functions[i].findings[k].rule == &placement_rules[rule])
                return &p->functions[i].findings[k];
    return NULL;
}

bool warn_of_context(const Chain *chain, const char *bundle, Err *err) {
    bool is_said[N_CONTEXT_RULES] = {0}, ok = true;
    for (size_t s = 0; ok && s < chain->n_shards; s++) {
        Arena arena = {0};
        Package package;
        Placement placement;
        ok = judge_written(&placement, &package, &chain->shards[s], chain, bundle, &arena, err);
        for (size_t r = 0; ok && r < N_CONTEXT_RULES; r++) {
            const PlacementFinding *found = find_rule(&placement, context_rules[r]);
            if (!found || is_said[r]) continue;
            is_said[r] = true;
            fprintf(stderr,
                    "context %u: %s (here %.*s; seen on %s) [%s]; use a smaller --context%s to "
                    "stay within that\n",
                    chain->context, found->rule->text, STR_ARG(found->detail), found->rule->seen,
                    found->rule->id,
                    context_rules[r] == RULE_G07 ? " or fewer --prefill-rows" : "");
        }
        if (ok) package_close(&package);
        arena_free(&arena);
    }
    return ok;
}
