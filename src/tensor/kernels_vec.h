/* kernels_vec.h: one vector register of this build's instruction set, for loops in which sums must stay in registers
 * (compilers do not keep an array of partial sums there). Included by kernels_body.h only. */
#ifndef TENSOR_KERNELS_VEC_H
#define TENSOR_KERNELS_VEC_H
#include "tensor/tensor.h"
#include <string.h>

#if defined(__AVX512F__)
#define VEC_BYTES 64
#elif defined(__AVX__)
#define VEC_BYTES 32
#else
#define VEC_BYTES 16
#endif
#define VEC_TYPE __attribute__((vector_size(VEC_BYTES)))

typedef real vec VEC_TYPE;
enum { VEC = VEC_BYTES / (int)sizeof(real) };

static inline vec vec_load(const real *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vec_store(real *p, vec v) { memcpy(p, &v, sizeof v); }

/* Sum of the lanes as a balanced tree. */
static inline real vec_sum(vec v) {
    real s[VEC];
    memcpy(s, &v, sizeof v);
    for (int w = VEC / 2; w > 0; w /= 2) {
        for (int i = 0; i < w; i++) {
            s[i] += s[i + w];
        }
    }
    return s[0];
}
#endif
