/* kernels_product.h: a matrix product with weights in strips; see kernels.h for what it computes. Here a row has the
 * same bits beside any others, which oneDNN's routines without AVX-512 do not give. A tile of rows x outputs stays in
 * registers over a block of columns; the block of the tile's strips stays in the first caches for all rows, the rows'
 * block in the second, so that weights come from memory once, and while they are multiplied the next strips' are
 * fetched. Rows lie interleaved, TILE_ROWS of them number by number, so that a tile reads one stream; rows that are
 * multiplied again from another one on lie one behind another. Included by kernels_body.h only. */
#include "tensor/kernels_vec.h"

enum {
    TILE_VECS = KERNELS_STRIP / VEC,
    TILE_STRIPS = (int)VEC == (int)KERNELS_STRIP ? 2 : 1, /* of a wide tile: a number of x that was loaded serves two */
    TILE_ROWS = VEC >= 16 ? 12 : VEC == 8 ? 6 : 2,        /* sums that fit the registers beside a line of weights */
    TILE_COLUMNS = 384,
    TILE_STRIDE = TILE_COLUMNS + 16, /* rows a power of two apart would share a few lines of the first cache */
    TILE_LINE = 64 / (int)sizeof(real) /* values of a cache line */
};

typedef vec tile_sums[TILE_ROWS][TILE_STRIPS * TILE_VECS];

/* rows, strips and the layout are constants at every call. */
static inline __attribute__((always_inline)) void tile_columns(int rows, int strips, bool shifts, int64_t begin,
                                                               int64_t end, const real *x, const real *w,
                                                               int64_t apart, tile_sums sum) {
    int vecs = strips * TILE_VECS;
#pragma GCC unroll 4
    for (int64_t i = begin; i < end; i++) {
        vec line[TILE_STRIPS * TILE_VECS];
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            line[v] = vec_load(w + v / TILE_VECS * apart + i * KERNELS_STRIP + v % TILE_VECS * VEC);
        }
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            real a = shifts ? x[r * TILE_STRIDE + i] : x[i * TILE_ROWS + r];
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) {
                sum[r][v] += a * line[v];
            }
        }
    }
}

/* Strips of w are `apart`. next: an address (perhaps behind the weights) from which a line is fetched for each `fetch`
 * columns, none where fetch is 0. fresh: y is the sum, else the sum is added to it. */
static inline __attribute__((always_inline)) void tile(int rows, int strips, bool shifts, int64_t k, const real *x,
                                                       const real *w, int64_t apart, uintptr_t next, int64_t fetch,
                                                       bool fresh, real *y, int64_t ldy) {
    tile_sums sum;
    int vecs = strips * TILE_VECS;
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        __builtin_prefetch(y + r * ldy, 1); /* needed at the end */
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            sum[r][v] = (vec){0};
        }
    }
    int64_t done = 0;
    for (; fetch > 0 && done + fetch <= k; done += fetch, next += TILE_LINE * sizeof *w) {
        __builtin_prefetch((const void *)next, 0, 2);
        tile_columns(rows, strips, shifts, done, done + fetch, x, w, apart, sum);
    }
    tile_columns(rows, strips, shifts, done, k, x, w, apart, sum);
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            real *to = y + r * ldy + v * VEC;
            vec_store(to, fresh ? sum[r][v] : sum[r][v] + vec_load(to));
        }
    }
}

/* Row i of a block of columns. */
static inline const real *tile_row(bool shifts, const real *block, int64_t i, int64_t columns) {
    return shifts ? block + i * TILE_STRIDE : block + i / TILE_ROWS * TILE_ROWS * columns + i % TILE_ROWS;
}

/* A strip of which only n outputs are wanted. */
static inline __attribute__((always_inline)) void tile_edge(bool shifts, int64_t rows, int64_t n, int64_t k,
                                                            const real *block, const real *w, bool fresh, real *y,
                                                            int64_t ldy) {
    for (int64_t r = 0; r < rows; r++) {
        real line[KERNELS_STRIP] = {0};
        memcpy(line, y + r * ldy, (fresh ? 0 : (size_t)n) * sizeof *line);
        tile(1, 1, shifts, k, tile_row(shifts, block, r, k), w, 0, 0, 0, fresh, line, KERNELS_STRIP);
        memcpy(y + r * ldy, line, (size_t)n * sizeof *line);
    }
}

/* All rows of a wide tile's outputs. The strips behind them are fetched on the way: each tile fetches its share. */
static inline __attribute__((always_inline)) void tile_rows(int strips, bool shifts, int64_t m, int64_t columns,
                                                            const real *block, const real *w, int64_t apart, bool fresh,
                                                            real *y, int64_t ldy) {
    int64_t tiles = m / TILE_ROWS, lines = columns * KERNELS_STRIP / TILE_LINE, i = 0, share = 0, fetch = 0;
    if (tiles > 0) {
        share = (strips * lines + tiles - 1) / tiles;
        fetch = columns / share;
        fetch = fetch < 1 ? 1 : fetch;
    }
    for (; i + TILE_ROWS <= m; i += TILE_ROWS) {
        int64_t at = i / TILE_ROWS * share;
        uintptr_t next = (uintptr_t)w + (uintptr_t)((strips + at / lines) * apart + at % lines * TILE_LINE) * sizeof *w;
        tile(TILE_ROWS, strips, shifts, columns, tile_row(shifts, block, i, columns), w, apart, next, fetch, fresh,
             y + i * ldy, ldy);
    }
    for (; i + TILE_ROWS / 2 <= m; i += TILE_ROWS / 2) {
        tile(TILE_ROWS / 2, strips, shifts, columns, tile_row(shifts, block, i, columns), w, apart, 0, 0, fresh,
             y + i * ldy, ldy);
    }
    for (; i < m; i++) {
        tile(1, strips, shifts, columns, tile_row(shifts, block, i, columns), w, apart, 0, 0, fresh, y + i * ldy, ldy);
    }
}

/* One block of columns of the rows, which lie in `block`. */
static inline __attribute__((always_inline)) void strips_block(bool shifts, int64_t m, int64_t n, int64_t k,
                                                               int64_t columns, const real *block, const real *w,
                                                               bool fresh, real *y, int64_t ldy) {
    int64_t o = 0, apart = k * KERNELS_STRIP;
    for (; TILE_STRIPS > 1 && o + TILE_STRIPS * KERNELS_STRIP <= n; o += TILE_STRIPS * KERNELS_STRIP) {
        tile_rows(TILE_STRIPS, shifts, m, columns, block, w + o * k, apart, fresh, y + o, ldy);
    }
    for (; o + KERNELS_STRIP <= n; o += KERNELS_STRIP) {
        tile_rows(1, shifts, m, columns, block, w + o * k, apart, fresh, y + o, ldy);
    }
    if (o < n) {
        tile_edge(shifts, m, n - o, columns, block, w + o * k, fresh, y + o, ldy);
    }
}

static int64_t tile_columns_at(int64_t k, int64_t begin) {
    return k - begin < TILE_COLUMNS ? k - begin : TILE_COLUMNS;
}

static int64_t tile_fill_up(int64_t m) { return (m + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS; }

static int64_t k_strips_room(int64_t m, int64_t k) {
    return (k + TILE_COLUMNS - 1) / TILE_COLUMNS * tile_fill_up(m) * TILE_STRIDE;
}

/* Tile by tile, of each column the TILE_ROWS numbers side by side; places of rows behind the last are not written. */
static void interleave(int64_t m, int64_t columns, const real *x, int64_t ldx, real *rows) {
    int64_t i = 0;
    for (; i + TILE_ROWS <= m; i += TILE_ROWS, rows += TILE_ROWS * columns) {
        for (int64_t c = 0; c < columns; c++) {
#pragma GCC unroll 12
            for (int64_t r = 0; r < TILE_ROWS; r++) {
                rows[c * TILE_ROWS + r] = x[(i + r) * ldx + c];
            }
        }
    }
    for (int64_t r = 0; i + r < m; r++) {
        for (int64_t c = 0; c < columns; c++) {
            rows[c * TILE_ROWS + r] = x[(i + r) * ldx + c];
        }
    }
}

/* Block of columns by block of columns. */
static void k_strips_rows(int64_t m, int64_t k, bool shifts, const real *x, int64_t ldx, real *rows) {
    for (int64_t begin = 0; begin < k; begin += TILE_COLUMNS) {
        int64_t columns = tile_columns_at(k, begin);
        for (int64_t i = 0; shifts && i < m; i++) {
            memcpy(rows + i * TILE_STRIDE, x + i * ldx + begin, (size_t)columns * sizeof *x);
        }
        if (shifts) {
            rows += m * TILE_STRIDE;
        } else {
            interleave(m, columns, x + begin, ldx, rows);
            rows += tile_fill_up(m) * columns;
        }
    }
}

static void k_strips(int64_t m, int64_t n, int64_t k, const real *rows, const real *w, bool add, real *y, int64_t ldy) {
    for (int64_t begin = 0; begin < k; begin += TILE_COLUMNS) {
        int64_t columns = tile_columns_at(k, begin);
        strips_block(false, m, n, k, columns, rows, w + begin * KERNELS_STRIP, begin == 0 && !add, y, ldy);
        rows += tile_fill_up(m) * columns;
    }
}

static void k_strips_shifted(int64_t m, int64_t n, int64_t k, int64_t laid, int64_t first, const real *rows,
                             const real *w, bool add, real *y, int64_t ldy) {
    for (int64_t begin = 0; begin < k; begin += TILE_COLUMNS, rows += laid * TILE_STRIDE) {
        strips_block(true, m, n, k, tile_columns_at(k, begin), rows + first * TILE_STRIDE, w + begin * KERNELS_STRIP,
                     begin == 0 && !add, y, ldy);
    }
}
