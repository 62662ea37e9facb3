/* test_subset_f64.c: see subset_cases.h; the double build. */
#include "tensor/subset_cases.h"
