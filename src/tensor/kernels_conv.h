/* kernels_conv.h: the kernel of depthwise convolution; see kernels.h. Included by kernels_body.h only. */
#include "tensor/kernels_vec.h"

/* CORRELATE_ROWS sums stay in registers while the taps go by. gcc's predictive commoning carries the loads of one tap
 * to the next; the sums of a block must be enough to hide the latency of the multiply-add. */
#if VEC_BYTES == 64
enum { CORRELATE_ROWS = 16 };
#else
enum { CORRELATE_ROWS = 8 };
#endif

static void k_correlate(int64_t n, int64_t k, const real *a, const real *b, real *y) {
    for (int64_t i = 0; i < n; i += CORRELATE_ROWS) {
        for (int h = 0; h < KERNELS_LANES; h += VEC) {
            const real *p = a + i * KERNELS_LANES + h, *w = b + h;
            vec s[CORRELATE_ROWS] = {{0}};
            for (int64_t j = 0; j < k; j++, p += KERNELS_LANES, w += KERNELS_LANES) {
                vec tap = vec_load(w);
                for (int r = 0; r < CORRELATE_ROWS; r++) {
                    s[r] += vec_load(p + r * KERNELS_LANES) * tap;
                }
            }
            for (int r = 0; r < CORRELATE_ROWS; r++) {
                vec_store(y + (i + r) * KERNELS_LANES + h, s[r]);
            }
        }
    }
}
