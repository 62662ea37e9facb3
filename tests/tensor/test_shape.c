/* test_shape.c: see shape_cases.h; the float build. */
#include "tensor/shape_cases.h"
