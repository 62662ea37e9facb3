/* test_softmax_f64.c: see softmax_cases.h; the double build. */
#include "tensor/softmax_cases.h"
