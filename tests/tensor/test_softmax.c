/* test_softmax.c: see softmax_cases.h; the float build. */
#include "tensor/softmax_cases.h"
