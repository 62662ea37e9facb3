/* kernels_product.h: a matrix product with weights in strips; see kernels.h for what it computes. For processors on
 * which oneDNN's routines depend on the number of rows (all without AVX-512): here a row has the same bits beside any
 * others. A tile of rows x KERNELS_STRIP outputs stays in registers over a block of columns; the strip's block (24 KB)
 * stays in the first cache for all rows, and the rows' block in the second, so that weights come from memory once.
 * Included by kernels_body.h only. */
#include "tensor/kernels_vec.h"

enum {
    TILE_VECS = KERNELS_STRIP / VEC,
    TILE_ROWS = VEC >= 16 ? 12 : VEC == 8 ? 6 : 2, /* sums that fit the registers beside a line of weights */
    TILE_COLUMNS = 384,
    TILE_STRIDE = TILE_COLUMNS + 16 /* rows a power of two apart would share a few lines of the first cache */
};
_Static_assert((int)KERNELS_STRIP_ROWS * (int)TILE_STRIDE <= (int)KERNELS_STRIP_SPARE, "rows fit the spare room");

/* rows is a constant at every call. fresh: y is the sum, else the sum is added to it. */
static inline __attribute__((always_inline)) void tile(int rows, int64_t k, const real *x, int64_t ldx, const real *w,
                                                       bool fresh, real *y, int64_t ldy) {
    vec sum[TILE_ROWS][TILE_VECS];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        __builtin_prefetch(y + r * ldy, 1); /* needed at the end */
#pragma GCC unroll 8
        for (int v = 0; v < TILE_VECS; v++) {
            sum[r][v] = (vec){0};
        }
    }
    for (int64_t i = 0; i < k; i++) {
        vec line[TILE_VECS];
#pragma GCC unroll 8
        for (int v = 0; v < TILE_VECS; v++) {
            line[v] = vec_load(w + i * KERNELS_STRIP + v * VEC);
        }
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            real a = x[r * ldx + i];
#pragma GCC unroll 8
            for (int v = 0; v < TILE_VECS; v++) {
                sum[r][v] += a * line[v];
            }
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < TILE_VECS; v++) {
            real *to = y + r * ldy + v * VEC;
            vec_store(to, fresh ? sum[r][v] : sum[r][v] + vec_load(to));
        }
    }
}

/* A tile at the edge: fewer rows, or a strip of which only n outputs are wanted. One row at a time: the same sums. */
static void tile_edge(int64_t rows, int64_t n, int64_t k, const real *x, int64_t ldx, const real *w, bool fresh,
                      real *y, int64_t ldy) {
    for (int64_t r = 0; r < rows; r++) {
        real line[KERNELS_STRIP] = {0};
        memcpy(line, y + r * ldy, (fresh ? 0 : (size_t)n) * sizeof *line);
        tile(1, k, x + r * ldx, ldx, w, fresh, line, KERNELS_STRIP);
        memcpy(y + r * ldy, line, (size_t)n * sizeof *line);
    }
}

/* One block of columns and at most KERNELS_STRIP_ROWS rows, which lie in `block`. */
static void strips_block(int64_t m, int64_t n, int64_t k, int64_t begin, int64_t columns, const real *block,
                         const real *w, bool fresh, real *y, int64_t ldy) {
    for (int64_t o = 0; o < n; o += KERNELS_STRIP) {
        const real *strip = w + o * k + begin * KERNELS_STRIP;
        int64_t outs = n - o < KERNELS_STRIP ? n - o : KERNELS_STRIP, i = 0;
        for (; outs == KERNELS_STRIP && i + TILE_ROWS <= m; i += TILE_ROWS) {
            tile(TILE_ROWS, columns, block + i * TILE_STRIDE, TILE_STRIDE, strip, fresh, y + i * ldy + o, ldy);
        }
        for (; outs == KERNELS_STRIP && i + TILE_ROWS / 2 <= m; i += TILE_ROWS / 2) {
            tile(TILE_ROWS / 2, columns, block + i * TILE_STRIDE, TILE_STRIDE, strip, fresh, y + i * ldy + o, ldy);
        }
        tile_edge(m - i, outs, columns, block + i * TILE_STRIDE, TILE_STRIDE, strip, fresh, y + i * ldy + o, ldy);
    }
}

static void k_strips(int64_t m, int64_t n, int64_t k, const real *x, int64_t ldx, const real *w, bool add, real *spare,
                     real *y, int64_t ldy) {
    for (int64_t first = 0; first < m; first += KERNELS_STRIP_ROWS) {
        int64_t rows = m - first < KERNELS_STRIP_ROWS ? m - first : KERNELS_STRIP_ROWS;
        for (int64_t begin = 0; begin < k; begin += TILE_COLUMNS) {
            int64_t columns = k - begin < TILE_COLUMNS ? k - begin : TILE_COLUMNS;
            for (int64_t i = 0; i < rows; i++) {
                memcpy(spare + i * TILE_STRIDE, x + (first + i) * ldx + begin, (size_t)columns * sizeof *x);
            }
            strips_block(rows, n, k, begin, columns, spare, w, begin == 0 && !add, y + first * ldy, ldy);
        }
    }
}
