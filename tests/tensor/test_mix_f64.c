/* test_mix_f64.c: see mix_cases.h; the double build. */
#include "tensor/mix_cases.h"
