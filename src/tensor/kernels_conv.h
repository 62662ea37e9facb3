/* kernels_conv.h: the kernel of depthwise convolution; see kernels.h. Included by kernels_body.h only. */
#include "tensor/kernels_vec.h"

/* KERNELS_BLOCK sums stay in registers while the taps go by: a load for each multiply-add, which is what the load
 * units can feed. More taps at once would save loads, but there are registers for it on AVX-512 only. */
static void k_correlate(int64_t n, int64_t k, const real *a, const real *b, real *y) {
    for (int64_t i = 0; i < n; i += KERNELS_BLOCK) {
        for (int h = 0; h < KERNELS_LANES; h += VEC) {
            const real *p = a + i * KERNELS_LANES + h, *w = b + h;
            vec s[KERNELS_BLOCK] = {{0}};
            for (int64_t j = 0; j < k; j++, p += KERNELS_LANES, w += KERNELS_LANES) {
                vec tap = vec_load(w);
                for (int r = 0; r < KERNELS_BLOCK; r++) {
                    s[r] += vec_load(p + r * KERNELS_LANES) * tap;
                }
            }
            for (int r = 0; r < KERNELS_BLOCK; r++) {
                vec_store(y + (i + r) * KERNELS_LANES + h, s[r]);
            }
        }
    }
}
