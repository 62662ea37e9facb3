/* rng.h: counter-based random numbers. The n-th number of a stream depends on (seed, stream, n) alone, so that work
 * can be spread over threads, stopped and resumed without changing a bit. Not for cryptography. */
#ifndef BASE_RNG_H
#define BASE_RNG_H
#include <stdint.h>

typedef struct rng {
    uint64_t key;
    uint64_t counter; /* save and restore these two to resume */
} rng;

/* Streams of the same seed are independent; give every use its own stream number. */
rng rng_make(uint64_t seed, uint64_t stream);
uint64_t rng_u64(rng *r);                          /* SplitMix64 of key + counter */
double rng_uniform(rng *r);                        /* [0, 1) */
double rng_range(rng *r, double low, double high); /* [low, high) */
uint64_t rng_below(rng *r, uint64_t n);            /* 0 .. n-1, unbiased; 0 if n = 0 */
double rng_normal(rng *r);                         /* N(0, 1), Box-Muller; uses two counters */
double rng_gamma(rng *r, double shape);            /* Marsaglia and Tsang 2000 */
double rng_beta(rng *r, double a, double b);
#endif
