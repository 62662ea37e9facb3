/* test_pool.c: see pool_cases.h; the float build. */
#include "tensor/pool_cases.h"
