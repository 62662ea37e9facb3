/* bench_ceiling.c: what one thread of this machine can do at best: fused multiply-adds a second in float32 (independent
 * chains in registers, widest vectors the compiler may use here) and copied bytes a second. Every other figure of the
 * benchmark is held against these. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { LANES = 16, CHAINS = 12 };

#if defined(__x86_64__)
#define CLONES __attribute__((target_clones("avx512f", "arch=haswell", "default")))
#else
#define CLONES
#endif

CLONES static float multiply_adds(long rounds, float seed) {
    float x[CHAINS][LANES];
    for (int i = 0; i < CHAINS; i++) {
        for (int j = 0; j < LANES; j++) {
            x[i][j] = seed + (float)(i * LANES + j);
        }
    }
    for (long r = 0; r < rounds; r++) {
        for (int i = 0; i < CHAINS; i++) {
#pragma omp simd
            for (int j = 0; j < LANES; j++) {
                x[i][j] = fmaf(x[i][j], 0.999999f, 1e-6f);
            }
        }
    }
    float sum = 0;
    for (int i = 0; i < CHAINS; i++) {
        for (int j = 0; j < LANES; j++) {
            sum += x[i][j];
        }
    }
    return sum;
}

int main(void) {
    double best = 0, copy = 0;
    volatile float keep = 0;
    const long rounds = 4000000;
    for (int k = 0; k < 7; k++) {
        double start = cpu_seconds();
        keep = keep + multiply_adds(rounds, (float)k);
        double rate = 2.0 * CHAINS * LANES * (double)rounds / (cpu_seconds() - start) / 1e9;
        best = rate > best ? rate : best;
    }
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
    printf("ceiling, one thread: %.0f GFLOP/s float32 multiply-add, copy %.0f GB/s\n", best, copy);
    free(a);
    free(b);
    return 0;
}
