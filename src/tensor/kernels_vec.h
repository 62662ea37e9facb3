/* kernels_vec.h: one vector register of this build's instruction set, for loops in which sums must stay in registers
 * (compilers do not keep an array of partial sums there). Included by kernels_body.h only. */
#ifndef TENSOR_KERNELS_VEC_H
#define TENSOR_KERNELS_VEC_H
#include "tensor/tensor.h"
#include <string.h>

#if defined(SPOOR_DOUBLE)
#define VEC_BYTES 16 /* its kernels are the portable ones */
#elif defined(__AVX512F__)
#define VEC_BYTES 64
#elif defined(__AVX__)
#define VEC_BYTES 32
#else
#define VEC_BYTES 16
#endif
#define VEC_TYPE __attribute__((vector_size(VEC_BYTES)))

typedef real vec VEC_TYPE;
#ifdef SPOOR_DOUBLE
typedef int64_t vec_mask VEC_TYPE;
#else
typedef int32_t vec_mask VEC_TYPE;
#endif
enum { VEC = VEC_BYTES / (int)sizeof(real) };

static inline vec vec_load(const real *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vec_store(real *p, vec v) { memcpy(p, &v, sizeof v); }

/* The lanes of a where the mask (a comparison of vectors) is set, else those of b. */
static inline vec vec_choose(vec_mask mask, vec a, vec b) {
    return (vec)((mask & (vec_mask)a) | (~mask & (vec_mask)b));
}

/* Sum of the lanes as a balanced tree. (A copy to memory and a loop over it would be plain C, but then compilers keep
 * the caller's sum in memory all through its loop.) */
static inline real vec_sum(vec v) {
#if defined(SPOOR_DOUBLE)
    return v[0] + v[1];
#else
#if VEC_BYTES == 64
    v += __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
#elif VEC_BYTES == 32
    v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
#endif
    return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}
#endif
