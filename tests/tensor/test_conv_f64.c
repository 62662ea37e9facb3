/* test_conv_f64.c: see conv_cases.h; the double build. */
#include "tensor/conv_cases.h"
