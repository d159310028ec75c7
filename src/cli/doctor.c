// doctor.c — `lathe doctor [BUNDLE]`: what this machine can do for lathe, and whether a bundle's
// packages stay below the limits of the systems they may run on.
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

#include "base/file.h"
#include "base/pool.h"
#include "bundle/chain.h"
#include "bundle/costs.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/package_sizes.h"
#include "cli/wrap.h"
#include "compile/plan.h"
#include "coreml/device.h"
#include "kernels/kernels.h"
#include "mlpackage/package.h"
#include "placement/placement.h"

typedef struct {
    char system[160];     // "Linux 6.1.0 x86_64", "macOS 27.0 arm64"
    const Target *target; // whose package limit holds here; NULL off a Mac
    unsigned n_threads;
    uint64_t memory_bytes;
    const Kernels *kernels;
    bool has_core_ml;
    size_t n_ane_cores;
} Machine;

static uint64_t memory_bytes(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

// The limit of a package depends on the release of macOS: it is lower from 27 on.
static void read_system(Machine *m) {
    struct utsname name;
    if (uname(&name) != 0) memset(&name, 0, sizeof name);
#ifdef __APPLE__
    char release[64] = "";
    size_t n = sizeof release - 1;
    sysctlbyname("kern.osproductversion", release, &n, NULL, 0);
    snprintf(m->system, sizeof m->system, "macOS %.60s %.60s", release, name.machine);
    m->target = target_named(atoi(release) >= 27 ? "macos27" : "macos26");
#else
    snprintf(m->system, sizeof m->system, "%.40s %.60s %.40s", name.sysname, name.release,
             name.machine);
#endif
}

static bool read_machine(Machine *m, Err *err) {
    *m = (Machine){.memory_bytes = memory_bytes(),
                   .kernels = kernels_choose(err),
                   .has_core_ml = coreml_is_present(),
                   .n_ane_cores = coreml_n_ane_cores()};
    read_system(m);
    Pool *pool = m->kernels ? pool_open(0, err) : NULL;
    m->n_threads = pool_threads(pool);
    pool_close(pool);
    return pool != NULL;
}

// ---- as text

static double mib(uint64_t n_bytes) {
    return (double)n_bytes / (1 << 20);
}

enum { LABEL = 12 }; // columns of a label and the space after it

static void print_kernels(const Machine *m) {
    StrBuf usable = {0};
    for (size_t i = 0; kernels_at(i); i++) strbuf_printf(&usable, " %s", kernels_at(i)->name);
    print_line(stdout, LABEL, "kernels     %s (usable here:%s; LATHE_KERNELS chooses)",
               m->kernels->name, usable.at);
    strbuf_free(&usable);
}

static void print_machine(const Machine *m) {
    print_line(stdout, LABEL, "system      %s", m->system);
    printf("threads     %u\n", m->n_threads);
    printf("memory      %.1f GiB\n", mib(m->memory_bytes) / 1024);
    print_kernels(m);
    if (m->has_core_ml)
        print_line(stdout, LABEL, "Core ML     present, a Neural Engine of %zu cores",
                   m->n_ane_cores);
    else
        print_line(stdout, LABEL, "Core ML     not on this system; bundles run on the CPU engine");
    if (m->target)
        print_line(stdout, LABEL, "packages    below %.0f MiB here (%s)",
                   mib(m->target->package_limit), m->target->name);
    else
        print_line(stdout, LABEL,
                   "packages    no limit here; on a Mac (predicted from published measurements):");
    const Target *t;
    for (size_t i = 0; !m->target && (t = target_at(i)); i++)
        print_line(stdout, LABEL + 2, "            %s: %s", t->name, t->doc);
}

// A package and where its ops are predicted to run, on each system that the rules know.
enum { MAX_TARGETS = 8 };
typedef struct {
    Package package;
    Placement placements[MAX_TARGETS];
    size_t n;
} Judged;

static bool judge(Judged *j, const Chain *c, size_t shard, const char *bundle, Arena *arena,
                  Err *err) {
    const char *path = path_join(arena, bundle, arena_cstr(arena, c->shards[shard].package));
    *j = (Judged){0};
    if (!package_open(&j->package, arena, path, err)) return false;
    uint64_t n_bytes = package_bytes(&j->package);
    PlacementTarget own = {0};
    placement_target_read(c->target, &own);
    for (const PlacementTarget *t; (t = placement_target_at(j->n)) && j->n < MAX_TARGETS; j->n++) {
        PlacementTarget target = *t;
        target.chip = own.chip;
        if (str_is(c->sizes, "newest")) target.size_rule = SIZES_NEWEST;
        placement_judge(&j->placements[j->n], arena, j->package.program, n_bytes, &target);
    }
    return true;
}

// What all packages of the bundle come to on one target.
typedef struct {
    bool fits;
    uint32_t conv_ane, conv_total, compute_ane, compute_total;
} TargetSum;

static void add_up(TargetSum *sum, const Placement *p, bool fits) {
    PlacementSum s = placement_sum(p);
    sum->fits = sum->fits && fits;
    sum->conv_ane += s.conv_ane;
    sum->conv_total += s.conv_total;
    sum->compute_ane += s.compute_ane;
    sum->compute_total += s.compute_total;
}

// The prediction for a target that convert takes; the rules know more systems than convert has
// targets.
static const Placement *placement_on(const Judged *j, const Target *target) {
    for (size_t k = 0; k < j->n; k++)
        if (strcmp(j->placements[k].target.name, target->name) == 0) return &j->placements[k];
    return NULL;
}

static const char *fit_words(bool fits, bool fits_newest) {
    if (fits) return "fits";
    return fits_newest ? "TOO LARGE counting the whole weight file, fits counting what each "
                         "function reaches"
                       : "TOO LARGE";
}

static void print_package(const ChainShard *s, const Judged *j, TargetSum *sums) {
    print_package_sizes(s, &j->placements[0]);
    const Target *t;
    for (size_t k = 0; (t = target_at(k)) && k < MAX_TARGETS; k++) {
        const Placement *p = placement_on(j, t);
        if (!p) continue;
        bool is_newest = p->target.size_rule == SIZES_NEWEST; // as it was converted
        bool fits = is_newest ? placement_fits_newest(p) : s->n_bytes < t->package_limit;
        StrBuf text = {0};
        placement_print(p, &text);
        print_line(stdout, LABEL + 1, "    %-8s %s; %.*s", t->name,
                   fit_words(fits, placement_fits_newest(p)), STR_ARG(strbuf_str(&text)));
        strbuf_free(&text);
        add_up(&sums[k], p, fits);
    }
}

// "verdict     macos27, macos26: fits; Neural Engine predicted for conv 33/33, compute 611/627": a
// line for targets of one verdict.
static void print_verdict(const TargetSum *sums) {
    bool is_said[MAX_TARGETS] = {0};
    const Target *t;
    for (size_t k = 0, n = 0; (t = target_at(k)) && k < MAX_TARGETS; k++) {
        if (is_said[k]) continue;
        const TargetSum *s = &sums[k];
        StrBuf names = {0};
        strbuf_printf(&names, "%s", t->name);
        for (size_t i = k + 1; (t = target_at(i)) && i < MAX_TARGETS; i++) {
            if (memcmp(&sums[i], s, sizeof *s) != 0) continue;
            strbuf_printf(&names, ", %s", t->name);
            is_said[i] = true;
        }
        print_line(stdout, LABEL,
                   "%-11s %s: %s; Neural Engine predicted for conv %u/%u, compute %u/%u",
                   n++ ? "" : "verdict", names.at, s->fits ? "fits" : "a package is TOO LARGE",
                   s->conv_ane, s->conv_total, s->compute_ane, s->compute_total);
        strbuf_free(&names);
    }
}

static bool print_packages(const Chain *c, const char *path, Arena *arena, Err *err) {
    putchar('\n');
    print_line(stdout, 2, "%s: converted for %.*s by %.*s", path, STR_ARG(c->target),
               STR_ARG(c->tool_version));
    TargetSum sums[MAX_TARGETS];
    memset(sums, 0, sizeof sums);
    for (size_t k = 0; k < MAX_TARGETS; k++) sums[k].fits = true;
    for (size_t i = 0; i < c->n_shards; i++) {
        Judged judged;
        if (!judge(&judged, c, i, path, arena, err)) return false;
        print_package(&c->shards[i], &judged, sums);
        package_close(&judged.package);
    }
    print_verdict(sums);
    BundleCosts costs;
    StrBuf rings = {0};
    bundle_costs(&costs, c);
    bundle_costs_print_rings(&costs, c, &rings);
    if (rings.len) printf("%s (from sizes)\n", rings.at);
    strbuf_free(&rings);
    return true;
}

// ---- for programs

static json_t *machine_json(const Machine *m) {
    json_t *usable = json_array(), *targets = json_array();
    for (size_t i = 0; kernels_at(i); i++)
        json_array_append_new(usable, json_string(kernels_at(i)->name));
    const Target *t;
    for (size_t i = 0; (t = target_at(i)); i++)
        json_array_append_new(targets, json_pack("{s:s, s:I}", "name", t->name, "package_limit",
                                                 (json_int_t)t->package_limit));
    return json_pack("{s:s, s:I, s:I, s:s, s:o, s:b, s:s?, s:o}", "system", m->system, "threads",
                     (json_int_t)m->n_threads, "memory_bytes", (json_int_t)m->memory_bytes,
                     "kernels", m->kernels->name, "kernels_usable", usable, "core_ml",
                     (int)m->has_core_ml, "target", m->target ? m->target->name : NULL, "targets",
                     targets);
}

static json_t *reach_json(const Placement *p) {
    json_t *reach = json_object();
    for (size_t i = 0; i < p->n_functions; i++)
        json_object_setn_new(reach, p->functions[i].function->name.at,
                             p->functions[i].function->name.len,
                             json_integer((json_int_t)p->functions[i].reach_bytes));
    return reach;
}

static json_t *placement_json(const Judged *j) {
    json_t *targets = json_object();
    for (size_t k = 0; k < j->n; k++) {
        PlacementSum s = placement_sum(&j->placements[k]);
        json_object_set_new(
            targets, j->placements[k].target.name,
            json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I}", "fits_newer_count",
                      (int)placement_fits_newest(&j->placements[k]), "resident",
                      (int)placement_is_resident(&j->placements[k]), "conv_ane",
                      (json_int_t)s.conv_ane, "conv_total", (json_int_t)s.conv_total, "compute_ane",
                      (json_int_t)s.compute_ane, "compute_total", (json_int_t)s.compute_total,
                      "index_ops", (json_int_t)s.n_index));
    }
    return targets;
}

static bool packages_json(json_t *packages, const Chain *c, const char *path, Arena *arena,
                          Err *err) {
    for (size_t i = 0; i < c->n_shards; i++) {
        const ChainShard *s = &c->shards[i];
        json_t *fits = json_object();
        const Target *t;
        Judged judged;
        for (size_t k = 0; (t = target_at(k)); k++)
            json_object_set_new(fits, t->name, json_boolean(s->n_bytes < t->package_limit));
        bool ok = judge(&judged, c, i, path, arena, err);
        const Placement *any = &judged.placements[0];
        json_array_append_new(
            packages,
            json_pack("{s:s%, s:I, s:I, s:I, s:o, s:o, s:o}", "path", s->package.at, s->package.len,
                      "bytes", (json_int_t)s->n_bytes, "weight_files", (json_int_t)any->n_files,
                      "weight_file_bytes", (json_int_t)any->file_bytes, "reach_bytes",
                      reach_json(any), "fits", fits, "predicted", placement_json(&judged)));
        package_close(&judged.package);
        if (!ok) return false;
    }
    return true;
}

static bool print_json(const Machine *m, const Chain *c, const char *bundle, Arena *arena,
                       Err *err) {
    json_t *all = machine_json(m), *packages = json_array();
    bool ok = !c || packages_json(packages, c, bundle, arena, err);
    if (c) {
        BundleCosts costs;
        bundle_costs(&costs, c);
        json_object_set(all, "packages", packages);
        json_object_set_new(all, "kv_bytes", json_integer((json_int_t)costs.kv_bytes));
        json_object_set_new(all, "kv_bytes_saved", json_integer((json_int_t)costs.kv_saved_bytes));
    }
    if (ok) output_json(json_incref(all), JSON_INDENT(1));
    json_decref(packages);
    json_decref(all);
    return ok;
}

typedef struct {
    const char *bundle;
    bool as_json;
} Arguments;

static const Option option_rows[] = {
    {"--json", OPTION_FLAG, offsetof(Arguments, as_json), NULL,
     "print the same as JSON, sizes in bytes"},
};

const CommandLine doctor_line = {
    .usage = "lathe doctor [BUNDLE] [--json]",
    .doc = "Shows what this machine has: processors, memory, the kernels chosen, whether Core ML "
           "is present,\nand how large a package may be. With a bundle: whether its packages fit "
           "each --target, and how many\nof their ops are predicted to run on the Neural Engine, "
           "by rules that others published.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"BUNDLE", offsetof(Arguments, bundle)}},
    .n_positional = 1,
};

bool command_doctor(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!options_read(&doctor_line, &a, argc, argv, &is_done, err) || is_done) return is_done;
    Machine machine;
    Arena arena = {0};
    Chain chain;
    bool ok =
        read_machine(&machine, err) && (!a.bundle || chain_read(&chain, &arena, a.bundle, err));
    if (ok && a.as_json) {
        ok = print_json(&machine, a.bundle ? &chain : NULL, a.bundle, &arena, err);
    } else if (ok) {
        print_machine(&machine);
        ok = !a.bundle || print_packages(&chain, a.bundle, &arena, err);
    }
    arena_free(&arena);
    return ok;
}
