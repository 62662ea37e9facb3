/* test_attention_gated_f64.c: see attention_gated_cases.h; the double build. */
#include "tensor/attention_gated_cases.h"
