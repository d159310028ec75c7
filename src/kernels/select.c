// Finds the kernels that this CPU can run. Only this file looks at the CPU and at LATHE_KERNELS.
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

// Every CPU with AVX2 and FMA we know of also converts binary16, but that is a separate promise.
static bool has_f16c(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool runs_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool runs_avx512(void) {
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>

static bool has_feature(const char *name) {
    int is_there = 0;
    size_t n = sizeof is_there;
    return sysctlbyname(name, &is_there, &n, NULL, 0) == 0 && is_there;
}

static bool runs_dotprod(void) {
    return has_feature("hw.optional.arm.FEAT_DotProd");
}

static bool runs_i8mm(void) {
    return runs_dotprod() && has_feature("hw.optional.arm.FEAT_I8MM");
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

// Bits of Linux's arch/arm64/include/uapi/asm/hwcap.h, which older C libraries do not all name.
static bool runs_dotprod(void) {
    return (getauxval(AT_HWCAP) >> 20 & 1) != 0;
}

static bool runs_i8mm(void) {
    return runs_dotprod() && (getauxval(AT_HWCAP2) >> 13 & 1) != 0;
}
#endif

static bool runs_anywhere(void) {
    return true;
}

typedef struct {
    const Kernels *kernels;
    bool (*runs_here)(void);
} KernelSet;

static const KernelSet sets[] = {
    // slowest first
    {&kernels_scalar, runs_anywhere},
#if defined(__x86_64__)
    {&kernels_avx2, runs_avx2},
    {&kernels_avx512, runs_avx512},
#elif defined(__aarch64__)
    {&kernels_neon, runs_anywhere}, // part of the base instruction set
    {&kernels_neon_dotprod, runs_dotprod},
    {&kernels_neon_i8mm, runs_i8mm},
#endif
};

const Kernels *kernels_at(size_t index) {
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        if (sets[i].runs_here() && index-- == 0) return sets[i].kernels;
    return NULL;
}

const Kernels *kernels_named(const char *name, Err *err) {
    if (!name) {
        size_t n = 0;
        while (kernels_at(n)) n++;
        return kernels_at(n - 1);
    }
    char known[128] = "";
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        const char *set = sets[i].kernels->name;
        if (strcmp(set, name) == 0) {
            if (sets[i].runs_here()) return sets[i].kernels;
            err_set(err, ERR_USAGE, "kernels '%s': this CPU lacks the instructions", name);
            return NULL;
        }
        if (i) strncat(known, ", ", sizeof known - strlen(known) - 1);
        strncat(known, set, sizeof known - strlen(known) - 1);
    }
    err_set(err, ERR_USAGE, "kernels '%s' (LATHE_KERNELS): unknown here, expected one of %s", name,
            known);
    return NULL;
}

const Kernels *kernels_choose(Err *err) {
    const char *name = getenv("LATHE_KERNELS");
    return kernels_named(name && *name ? name : NULL, err);
}
