/* test_attention_f64.c: see attention_cases.h; the double build. */
#include "tensor/attention_cases.h"
