/* test_linear.c: see linear_cases.h; the float build. */
#include "tensor/linear_cases.h"
