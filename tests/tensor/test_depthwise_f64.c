/* test_depthwise_f64.c: see depthwise_cases.h; the double build. */
#include "tensor/depthwise_cases.h"
