/* test_norm_f64.c: see norm_cases.h; the double build. */
#include "tensor/norm_cases.h"
