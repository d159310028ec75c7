// every_cpu.h — loops that the compiler vectorises, compiled once more for wider instructions; the
// version to run is chosen when the program starts. Without -ffast-math and with -ffp-contract=off
// all versions give the same bits. clang is left out: before version 18 it gives such functions a
// name that other files do not find (llvm-project, pull request 71706).
#ifndef LATHE_BASE_EVERY_CPU_H
#define LATHE_BASE_EVERY_CPU_H

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#define EVERY_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EVERY_CPU
#endif

#endif
