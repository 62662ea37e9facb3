/* test_conv.c: see conv_cases.h; the float build. */
#include "tensor/conv_cases.h"
