/* test_norm.c: see norm_cases.h; the float build. */
#include "tensor/norm_cases.h"
