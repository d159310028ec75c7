// package_sizes.h — the sizes of a package that limits of macOS count, from the blob table of its
// program: the whole package, its weight file, the weights that each function reaches.
#ifndef LATHE_CLI_PACKAGE_SIZES_H
#define LATHE_CLI_PACKAGE_SIZES_H

#include "bundle/chain.h"
#include "placement/placement.h"

// Prints a line "shards/… 1.3 MiB: weight file 1.2; reached by decode 0.8, head 0.4".
void print_package_sizes(const ChainShard *shard, const Placement *placement);
// The same for a package that was just written into `bundle`.
bool print_written_sizes(const ChainShard *shard, const Chain *chain, const char *bundle, Err *err);

// Prints on stderr what the rules of placement doubt of the context of a bundle that was just
// written: rows of states and bytes of scores that no compiler was seen to take.
bool warn_of_context(const Chain *chain, const char *bundle, Err *err);

#endif
