// graph_checks.h — the parts of gate graph in files of their own.
#ifndef LATHE_GATES_GRAPH_CHECKS_H
#define LATHE_GATES_GRAPH_CHECKS_H

#include "proof/trace.h"

// gates/graph_eps.c: every norm in fp32 on rows as small as the root of eps; a result of gate graph.
bool check_norm_eps(Proof *p, Err *err);
// gates/graph_head.c: every slice of the head in fp32, on rows that leave the last layer and on rows
// as small as the root of eps; a result of gate graph.
bool check_head_graph(Proof *p, const Trace *trace, Err *err);

#endif
