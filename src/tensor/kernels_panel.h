/* kernels_panel.h: sums of outer products over panels that lie where they are, rows overlapping or far apart: what
 * convolutions over [height][width][channels] are made of, forward (rows are places, sums run over taps and channels) and
 * backward (rows are taps and channels, sums run over places). See kernels.h for what it computes. A tile of rows x 16
 * columns stays in registers for all segments. Included by kernels_body.h only. */
#include "tensor/kernels_vec.h"

enum { PANEL_VECS = KERNELS_STRIP / VEC, PANEL_ROWS = VEC >= 16 ? 12 : VEC == 8 ? 6 : 2 };

/* rows is a constant at every call. */
static inline __attribute__((always_inline)) void panel_tile(int rows, const kernels_panel *p, const real *a, const real *b,
                                                             const real *bias, real *y) {
    vec sum[PANEL_ROWS][PANEL_VECS];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < PANEL_VECS; v++) {
            sum[r][v] = bias != NULL ? vec_load(bias + v * VEC) : p->add ? vec_load(y + r * p->ldy + v * VEC) : (vec){0};
        }
    }
    int64_t row = p->a_row, step = p->a_step;
    for (int64_t s = 0; s < p->segments; s++) {
        const real *x = a + s * p->a_segment, *w = b + s * p->b_segment;
        for (int64_t i = 0; i < p->k; i++, x += step, w += p->b_step) {
            vec line[PANEL_VECS];
#pragma GCC unroll 8
            for (int v = 0; v < PANEL_VECS; v++) {
                line[v] = vec_load(w + v * VEC);
            }
#pragma GCC unroll 12
            for (int r = 0; r < rows; r++) {
                real one = x[r * row];
#pragma GCC unroll 8
                for (int v = 0; v < PANEL_VECS; v++) {
                    sum[r][v] += one * line[v];
                }
            }
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < PANEL_VECS; v++) {
            vec_store(y + r * p->ldy + v * VEC, sum[r][v]);
        }
    }
}

/* The last rows, fewer than a tile: the same sums. */
static void panel_rest(int64_t rows, const kernels_panel *p, const real *a, const real *b, const real *bias, real *y) {
    while (rows > 0) {
        int64_t done = 1;
#if VEC_BYTES == 64
        if (rows >= 6) {
            panel_tile(6, p, a, b, bias, y);
            done = 6;
        } else
#endif
#if VEC_BYTES >= 32
        if (rows >= 4) {
            panel_tile(4, p, a, b, bias, y);
            done = 4;
        } else if (rows >= 2) {
            panel_tile(2, p, a, b, bias, y);
            done = 2;
        } else
#endif
        {
            panel_tile(1, p, a, b, bias, y);
        }
        rows -= done;
        a += done * p->a_row;
        y += done * p->ldy;
    }
}

static void k_panel(const kernels_panel *p) {
    for (int64_t o = 0; o < p->n; o += KERNELS_STRIP) {
        const real *b = p->b + o / KERNELS_STRIP * p->b_strip, *bias = p->bias == NULL ? NULL : p->bias + o;
        int64_t i = 0;
        for (; i + PANEL_ROWS <= p->m; i += PANEL_ROWS) {
            panel_tile(PANEL_ROWS, p, p->a + i * p->a_row, b, bias, p->y + i * p->ldy + o);
        }
        panel_rest(p->m - i, p, p->a + i * p->a_row, b, bias, p->y + i * p->ldy + o);
    }
}
