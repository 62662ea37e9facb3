/* test_graph.c: see graph_cases.h; the float build. */
#include "tensor/graph_cases.h"
