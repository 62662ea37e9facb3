/* test_checkpoint_f64.c: see checkpoint_cases.h; the double build. */
#include "tensor/checkpoint_cases.h"
