/* test_checkpoint.c: see checkpoint_cases.h; the float build. */
#include "tensor/checkpoint_cases.h"
