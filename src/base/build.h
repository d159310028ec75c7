// build.h — which program this is, beyond its version.
//
// A proof judges the program as much as the bundle. Seals and kept results therefore carry
// `build_id`, and a program with another `build_id` does not accept them. It is a digest over every
// source file, build file and embedded table, and over the compiler, its version and its options
// (scripts/build_id.py), so compiling the same sources again gives the same digest, and any change
// of code gives another. It does not cover the libraries that the program is linked with, nor -O
// levels and sanitizers: -ffp-contract=off without -ffast-math gives the same numbers under all of
// them.
#ifndef LATHE_BASE_BUILD_H
#define LATHE_BASE_BUILD_H

extern const char build_id[]; // 64 hexadecimal digits

#endif
