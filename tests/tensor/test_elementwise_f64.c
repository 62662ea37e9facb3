/* test_elementwise_f64.c: see elementwise_cases.h; the double build. */
#include "tensor/elementwise_cases.h"
