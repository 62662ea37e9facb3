/* test_losses.c: see losses_cases.h; the float build. */
#include "tensor/losses_cases.h"
