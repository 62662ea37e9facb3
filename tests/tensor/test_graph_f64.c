/* test_graph_f64.c: see graph_cases.h; the double build. */
#include "tensor/graph_cases.h"
