/* test_attention.c: see attention_cases.h; the float build. */
#include "tensor/attention_cases.h"
