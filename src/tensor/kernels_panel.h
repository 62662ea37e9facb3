/* kernels_panel.h: sums of outer products over panels that lie where they are, rows overlapping or far apart: what
 * convolutions over [height][width][channels] are made of, forward (rows are places, sums run over taps and channels)
 * and backward (rows are taps and channels, sums run over places). See kernels.h for what it computes. A tile of rows x
 * 16 columns stays in registers for all segments; where a vector is as wide as a strip, two strips at once, so that a
 * number of `a` that was loaded serves two multiply-adds. Included by kernels_body.h only. */
#include "tensor/kernels_vec.h"

enum {
    PANEL_VECS = KERNELS_STRIP / VEC,
    PANEL_STRIPS = (int)VEC == (int)KERNELS_STRIP ? 2 : 1, /* of a wide tile */
    PANEL_ROWS = VEC >= 8 ? 6 : 2
};

/* rows and strips are constants at every call. */
static inline __attribute__((always_inline)) void panel_tile(int rows, int strips, const kernels_panel *p,
                                                             const real *a, const real *b, const real *bias, real *y) {
    vec sum[PANEL_ROWS][PANEL_STRIPS * PANEL_VECS];
    int vecs = strips * PANEL_VECS;
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            sum[r][v] = bias != NULL ? vec_load(bias + v * VEC)
                        : p->add     ? vec_load(y + r * p->ldy + v * VEC)
                                     : (vec){0};
        }
    }
    int64_t row = p->a_row, step = p->a_step;
    for (int64_t s = 0; s < p->segments; s++) {
        const real *x = a + s * p->a_segment, *w = b + s * p->b_segment;
        for (int64_t i = 0; i < p->k; i++, x += step, w += p->b_step) {
            vec line[PANEL_STRIPS * PANEL_VECS];
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) {
                line[v] = vec_load(w + v / PANEL_VECS * p->b_strip + v % PANEL_VECS * VEC);
            }
#pragma GCC unroll 12
            for (int r = 0; r < rows; r++) {
                real one = x[r * row];
#pragma GCC unroll 8
                for (int v = 0; v < vecs; v++) {
                    sum[r][v] += one * line[v];
                }
            }
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            vec_store(y + r * p->ldy + v * VEC, sum[r][v]);
        }
    }
}

/* All rows of one wide tile's columns; the last ones, fewer than a tile, give the same sums. */
static inline __attribute__((always_inline)) void panel_columns(int strips, const kernels_panel *p, const real *b,
                                                                const real *bias, real *y) {
    const real *a = p->a;
    int64_t left = p->m, done;
    for (; left >= PANEL_ROWS; left -= PANEL_ROWS, a += PANEL_ROWS * p->a_row, y += PANEL_ROWS * p->ldy) {
        panel_tile(PANEL_ROWS, strips, p, a, b, bias, y);
    }
    for (; left > 0; left -= done, a += done * p->a_row, y += done * p->ldy) {
        if (PANEL_ROWS > 4 && left >= 4) {
            panel_tile(PANEL_ROWS > 4 ? 4 : 1, strips, p, a, b, bias, y);
            done = 4;
        } else if (PANEL_ROWS > 2 && left >= 2) {
            panel_tile(PANEL_ROWS > 2 ? 2 : 1, strips, p, a, b, bias, y);
            done = 2;
        } else {
            panel_tile(1, strips, p, a, b, bias, y);
            done = 1;
        }
    }
}

static void k_panel(const kernels_panel *p) {
    int64_t o = 0;
    for (; PANEL_STRIPS > 1 && o + PANEL_STRIPS * KERNELS_STRIP <= p->n; o += PANEL_STRIPS * KERNELS_STRIP) {
        panel_columns(PANEL_STRIPS, p, p->b + o / KERNELS_STRIP * p->b_strip, p->bias == NULL ? NULL : p->bias + o,
                      p->y + o);
    }
    for (; o < p->n; o += KERNELS_STRIP) {
        panel_columns(1, p, p->b + o / KERNELS_STRIP * p->b_strip, p->bias == NULL ? NULL : p->bias + o, p->y + o);
    }
}
