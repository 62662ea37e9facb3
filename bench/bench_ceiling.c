/* bench_ceiling.c: what one thread of this machine can do at best (ceiling.h), and copied bytes a second. */
#include "ceiling.h"

int main(void) {
    double copy = 0;
    size_t n = (size_t)64 << 20;
    char *a = malloc(n), *b = malloc(n);
    if (a == NULL || b == NULL) {
        return 4;
    }
    memset(a, 1, n);
    memset(b, 2, n);
    for (int k = 0; k < 7; k++) {
        double start = cpu_seconds();
        memcpy(a, b, n);
        double rate = (double)n / (cpu_seconds() - start) / 1e9;
        b[k] = a[k + 1];
        copy = rate > copy ? rate : copy;
    }
    printf("ceiling, one thread: %.0f GFLOP/s float32 multiply-add", ceiling(CEILING_F32));
    double bf16 = ceiling(CEILING_BF16), int8 = ceiling(CEILING_INT8);
    if (bf16 > 0) {
        printf(", %.0f bfloat16", bf16);
    }
    if (int8 > 0) {
        printf(", %.0f GOP/s 8-bit", int8);
    }
    printf(", copy %.0f GB/s\n", copy);
    free(a);
    free(b);
    return 0;
}
