// build.h — which program this is, beyond its version.
//
// A proof is one of a program: seals and kept results carry `build_id`, and a program with another
// one does not take them. It is a digest over every source file, build file and embedded table, and
// over the compiler, its version and its options (scripts/build_id.py), so compiling the same
// sources again keeps it, and any change of code is another. It does not see the libraries that the
// program is linked with, nor -O levels and sanitizers: -ffp-contract=off without -ffast-math gives
// the same numbers under all of them.
#ifndef LATHE_BASE_BUILD_H
#define LATHE_BASE_BUILD_H

extern const char build_id[]; // 64 hexadecimal digits

#endif
