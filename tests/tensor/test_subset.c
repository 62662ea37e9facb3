/* test_subset.c: see subset_cases.h; the float build. */
#include "tensor/subset_cases.h"
