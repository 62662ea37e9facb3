/* test_attention_gated.c: see attention_gated_cases.h; the float build. */
#include "tensor/attention_gated_cases.h"
