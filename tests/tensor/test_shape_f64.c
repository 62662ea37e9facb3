/* test_shape_f64.c: see shape_cases.h; the double build. */
#include "tensor/shape_cases.h"
