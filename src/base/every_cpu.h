// every_cpu.h — loops that the compiler vectorises, compiled for the widest instructions too: which
// are run is chosen when the program starts. Without -ffast-math and with -ffp-contract=off the
// results are the same bits under all of them. clang is left out: before version 18 it gives such
// functions a name that other files do not find (llvm-project, pull request 71706).
#ifndef LATHE_BASE_EVERY_CPU_H
#define LATHE_BASE_EVERY_CPU_H

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#define EVERY_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EVERY_CPU
#endif

#endif
