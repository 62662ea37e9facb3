/* rng.c: see rng.h. */
#include "base/rng.h"
#include <math.h>

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

rng rng_make(uint64_t seed, uint64_t stream) {
    uint64_t key = mix(seed + UINT64_C(0x9e3779b97f4a7c15));
    return (rng){.key = mix(key ^ mix(stream + UINT64_C(0xd1b54a32d192ed03))), .counter = 0};
}

uint64_t rng_u64(rng *r) {
    r->counter++;
    return mix(r->key + r->counter * UINT64_C(0x9e3779b97f4a7c15));
}

double rng_uniform(rng *r) { return (double)(rng_u64(r) >> 11) * 0x1.0p-53; }

double rng_range(rng *r, double low, double high) { return low + (high - low) * rng_uniform(r); }

uint64_t rng_below(rng *r, uint64_t n) {
    if (n == 0) {
        return 0;
    }
    uint64_t limit = UINT64_MAX - UINT64_MAX % n; /* reject the uneven tail */
    uint64_t x;
    do {
        x = rng_u64(r);
    } while (x >= limit);
    return x % n;
}

double rng_normal(rng *r) {
    double u = 1.0 - rng_uniform(r); /* (0, 1] */
    double v = rng_uniform(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

double rng_gamma(rng *r, double shape) {
    if (shape < 1.0) {
        double u = 1.0 - rng_uniform(r);
        return rng_gamma(r, shape + 1.0) * pow(u, 1.0 / shape);
    }
    double d = shape - 1.0 / 3.0;
    double c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = rng_normal(r);
        double v = 1.0 + c * x;
        if (v <= 0.0) {
            continue;
        }
        v = v * v * v;
        double u = 1.0 - rng_uniform(r);
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) {
            return d * v;
        }
    }
}

double rng_beta(rng *r, double a, double b) {
    double x = rng_gamma(r, a);
    double y = rng_gamma(r, b);
    return x + y > 0.0 ? x / (x + y) : 0.5;
}
