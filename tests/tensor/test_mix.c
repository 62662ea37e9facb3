/* test_mix.c: see mix_cases.h; the float build. */
#include "tensor/mix_cases.h"
