/* test_losses_f64.c: see losses_cases.h; the double build. */
#include "tensor/losses_cases.h"
