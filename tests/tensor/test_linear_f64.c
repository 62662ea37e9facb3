/* test_linear_f64.c: see linear_cases.h; the double build. */
#include "tensor/linear_cases.h"
