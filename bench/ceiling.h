/* ceiling.h: what one thread of this machine can do at best: multiply-adds a second in independent chains in registers, in
 * float32, and where the processor has the instructions with pairs of bfloat16 (vdpbf16ps) and fours of 8-bit numbers
 * (vpdpbusd), or with AMX those by tiles. Every other figure of the benchmarks is held against these. */
#ifndef BENCH_CEILING_H
#define BENCH_CEILING_H
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static inline double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { LANES = 16, CHAINS = 12 }; /* a chain is LANES numbers: one register of AVX-512, two of AVX2 */

static inline float multiply_adds_plain(long rounds, float seed) {
    float x[CHAINS][LANES], sum = 0;
    for (int i = 0; i < CHAINS; i++) {
        for (int j = 0; j < LANES; j++) {
            x[i][j] = seed + (float)(i * LANES + j);
        }
    }
    for (long r = 0; r < rounds; r++) {
        for (int i = 0; i < CHAINS; i++) {
            for (int j = 0; j < LANES; j++) {
                x[i][j] = x[i][j] * 0.999999f + 1e-6f;
            }
        }
    }
    for (int i = 0; i < CHAINS; i++) {
        for (int j = 0; j < LANES; j++) {
            sum += x[i][j];
        }
    }
    return sum;
}

#if defined(__x86_64__)
/* Twelve registers of eight numbers, twice as often: more would not stay in AVX2's sixteen registers. */
__attribute__((target("avx2,fma"))) static float multiply_adds_avx2(long rounds, float seed) {
    __m256 x[CHAINS], a = _mm256_set1_ps(0.999999f), b = _mm256_set1_ps(1e-6f);
    for (int i = 0; i < CHAINS; i++) {
        x[i] = _mm256_set1_ps(seed + (float)i);
    }
    for (long r = 0; r < rounds * (LANES / 8); r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            x[i] = _mm256_fmadd_ps(x[i], a, b);
        }
    }
    for (int i = 1; i < CHAINS; i++) {
        x[0] = _mm256_add_ps(x[0], x[i]);
    }
    float out[8];
    _mm256_storeu_ps(out, x[0]);
    return out[0];
}

__attribute__((target("avx512f"))) static float multiply_adds_avx512(long rounds, float seed) {
    __m512 x[CHAINS], a = _mm512_set1_ps(0.999999f), b = _mm512_set1_ps(1e-6f);
    for (int i = 0; i < CHAINS; i++) {
        x[i] = _mm512_set1_ps(seed + (float)i);
    }
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            x[i] = _mm512_fmadd_ps(x[i], a, b);
        }
    }
    for (int i = 1; i < CHAINS; i++) {
        x[0] = _mm512_add_ps(x[0], x[i]);
    }
    return _mm512_reduce_add_ps(x[0]);
}
#endif

/* By what the processor has, not by whose it is. */
static inline float multiply_adds(long rounds, float seed) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        return multiply_adds_avx512(rounds, seed);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return multiply_adds_avx2(rounds, seed);
    }
#endif
    return multiply_adds_plain(rounds, seed);
}

typedef enum ceiling_kind { CEILING_F32, CEILING_BF16, CEILING_INT8 } ceiling_kind;

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bf16"))) static float bf16_dots(long rounds, float seed) {
    __m512 x[CHAINS];
    __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f003f00), b = (__m512bh)_mm512_set1_epi32(0x00003c00);
    for (int i = 0; i < CHAINS; i++) {
        x[i] = _mm512_set1_ps(seed + (float)i);
    }
    for (long r = 0; r < rounds; r++) {
        for (int i = 0; i < CHAINS; i++) {
            x[i] = _mm512_dpbf16_ps(x[i], a, b);
        }
    }
    for (int i = 1; i < CHAINS; i++) {
        x[0] = _mm512_add_ps(x[0], x[i]);
    }
    return _mm512_reduce_add_ps(x[0]);
}

__attribute__((target("avx512f,avx512vnni"))) static float int8_dots(long rounds, float seed) {
    __m512i x[CHAINS], a = _mm512_set1_epi32(0x01020304), b = _mm512_set1_epi32((int)0xff01fe03);
    for (int i = 0; i < CHAINS; i++) {
        x[i] = _mm512_set1_epi32((int)seed + i);
    }
    for (long r = 0; r < rounds; r++) {
        for (int i = 0; i < CHAINS; i++) {
            x[i] = _mm512_dpbusd_epi32(x[i], a, b);
        }
    }
    for (int i = 1; i < CHAINS; i++) {
        x[0] = _mm512_add_epi32(x[0], x[i]);
    }
    return (float)_mm512_reduce_add_epi32(x[0]);
}
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#include "tensor/product_amx.h"
/* Four tiles of sums, each product 16 x 16 x 64 bytes: TILE_OPS operations with pairs of bfloat16, twice as many with 8 bits. */
enum { TILE_OPS = 2 * 16 * 16 * 32 };

__attribute__((target("amx-tile,amx-bf16,amx-int8"))) static void tile_dots(bool int8, long rounds) {
    _tile_loadconfig(&amx_tiles);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    for (long r = 0; r < rounds; r++) {
        if (int8) {
            _tile_dpbusd(0, 4, 5);
            _tile_dpbusd(1, 4, 5);
            _tile_dpbusd(2, 4, 5);
            _tile_dpbusd(3, 4, 5);
        } else {
            _tile_dpbf16ps(0, 4, 5);
            _tile_dpbf16ps(1, 4, 5);
            _tile_dpbf16ps(2, 4, 5);
            _tile_dpbf16ps(3, 4, 5);
        }
    }
    _tile_release();
}

static inline double tile_ceiling(bool int8) {
    const long rounds = 400000;
    double best = 0;
    for (int k = 0; k < 7; k++) {
        double start = cpu_seconds();
        tile_dots(int8, rounds);
        double rate = 4.0 * TILE_OPS * (double)rounds * (int8 ? 2 : 1) / (cpu_seconds() - start) / 1e9;
        best = rate > best ? rate : best;
    }
    return best;
}
#endif

/* 10^9 operations (a multiplication and an addition are two) a second, the best of seven; 0 where there are no such
 * instructions. */
static inline double ceiling(ceiling_kind kind) {
    const long rounds = 4000000;
    double best = 0, each = 2.0 * CHAINS * LANES * (double)rounds * (kind == CEILING_BF16 ? 2 : kind == CEILING_INT8 ? 4 : 1);
    volatile float keep = 0;
#if defined(__x86_64__)
    bool can = kind == CEILING_F32 || (kind == CEILING_BF16 && __builtin_cpu_supports("avx512bf16")) ||
               (kind == CEILING_INT8 && __builtin_cpu_supports("avx512vnni"));
#else
    bool can = kind == CEILING_F32;
#endif
    for (int k = 0; k < 7 && can; k++) {
        double start = cpu_seconds();
        float got = 0;
#if defined(__x86_64__)
        got = kind == CEILING_BF16 ? bf16_dots(rounds, (float)k) : kind == CEILING_INT8 ? int8_dots(rounds, (float)k) : 0;
#endif
        keep = keep + (kind == CEILING_F32 ? multiply_adds(rounds, (float)k) : got);
        double rate = each / (cpu_seconds() - start) / 1e9;
        best = rate > best ? rate : best;
    }
#if defined(__x86_64__) && defined(__GNUC__)
    if (kind != CEILING_F32 && amx_ready()) {
        double tiles = tile_ceiling(kind == CEILING_INT8);
        best = tiles > best ? tiles : best;
    }
#endif
    return best;
}
#endif
