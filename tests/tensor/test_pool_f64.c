/* test_pool_f64.c: see pool_cases.h; the double build. */
#include "tensor/pool_cases.h"
