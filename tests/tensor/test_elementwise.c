/* test_elementwise.c: see elementwise_cases.h; the float build. */
#include "tensor/elementwise_cases.h"
