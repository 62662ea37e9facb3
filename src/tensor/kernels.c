/* kernels.c: choosing a kernel table for this processor; see kernels.h. */
#include "tensor/kernels.h"
#include <stdlib.h>
#include <string.h>

extern const kernels kernels_portable;
#if defined(SPOOR_X86) && !defined(SPOOR_DOUBLE)
extern const kernels kernels_avx2, kernels_avx512;

static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && has_avx2();
}
#endif

const kernels *kernels_find(const char *name) {
    if (strcmp(name, "portable") == 0) {
        return &kernels_portable;
    }
#if defined(SPOOR_X86) && !defined(SPOOR_DOUBLE)
    if (strcmp(name, "avx2") == 0 && has_avx2()) {
        return &kernels_avx2;
    }
    if (strcmp(name, "avx512") == 0 && has_avx512()) {
        return &kernels_avx512;
    }
#endif
    return NULL;
}

const kernels *kernels_choose(void) {
    const char *asked = getenv("SPOOR_ISA");
    const kernels *found = asked != NULL ? kernels_find(asked) : NULL;
    if (found == NULL) {
        found = kernels_find("avx512");
    }
    if (found == NULL) {
        found = kernels_find("avx2");
    }
    return found != NULL ? found : &kernels_portable;
}
