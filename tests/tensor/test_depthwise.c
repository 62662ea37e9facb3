/* test_depthwise.c: see depthwise_cases.h; the float build. */
#include "tensor/depthwise_cases.h"
