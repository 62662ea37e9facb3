/* product_amx.c: see product_amx.h.
 *
 * A tile is 16 rows of 64 bytes. Of x it holds 16 rows and a step of 32 (bfloat16) or 64 (int8) columns; of W 16
 * outputs and the same columns, 2 or 4 of which lie side by side for each output. Four tiles of sums, 32 rows x 32
 * outputs, stay in registers over STEPS steps, so that each tile that is loaded serves two products. The weights of 32
 * outputs and STEPS steps stay in the first cache for all rows, and while they are multiplied the ones behind them are
 * fetched.
 *
 * This file is compiled for such a processor: nothing here may be called where amx_ready() is false. */
#include "tensor/product_amx.h"
#if defined(SPOOR_X86) && !defined(SPOOR_DOUBLE)
#include <immintrin.h>
#include <string.h>

enum {
    ROWS = 16, /* of a tile */
    ROW = 64,  /* bytes */
    TILE = ROWS * ROW,
    OUTS = 2 * ROWS, /* outputs of a block */
    STEPS = 16       /* steps between which sums go to memory */
};

/* ---- layout ---- */

static int64_t number_bytes(product_kind kind) { return kind == PRODUCT_BF16 ? 2 : 1; }
static int64_t steps_of(product_kind kind, int64_t k) { return (k * number_bytes(kind) + ROW - 1) / ROW; }
static int64_t up(int64_t n, int64_t step) { return (n + step - 1) / step; }

size_t amx_weight_bytes(product_kind kind, int64_t n, int64_t k) {
    return (size_t)(up(n, OUTS) * steps_of(kind, k) * 2 * TILE);
}

/* Block of outputs by block, step by step two tiles. */
void amx_weight_lay(product_kind kind, int64_t n, int64_t k, const void *w, void *room) {
    int64_t bytes = number_bytes(kind), steps = steps_of(kind, k), line = k * bytes;
    memset(room, 0, amx_weight_bytes(kind, n, k));
    for (int64_t o = 0; o < n; o++) {
        const unsigned char *from = (const unsigned char *)w + o * line;
        unsigned char *to = (unsigned char *)room + (o / OUTS * steps * 2 + o % OUTS / ROWS) * TILE + o % ROWS * 4;
        for (int64_t i = 0; i < line; i += 4) { /* four bytes of a column of the tile */
            memcpy(to + i / ROW * 2 * TILE + i % ROW / 4 * ROW, from + i, (size_t)(line - i < 4 ? line - i : 4));
        }
    }
}

size_t amx_rows_bytes(product_kind kind, int64_t m, int64_t k) {
    return (size_t)(up(m, ROWS) * steps_of(kind, k) * TILE);
}

void amx_rows_lay(product_kind kind, int64_t m, int64_t k, const void *x, int64_t ldx, void *rows) {
    int64_t bytes = number_bytes(kind), steps = steps_of(kind, k), line = k * bytes, whole = line / ROW;
    for (int64_t i = 0; i < up(m, ROWS) * ROWS; i++) {
        const unsigned char *from = (const unsigned char *)x + i * ldx * bytes;
        unsigned char *to = (unsigned char *)rows + i / ROWS * steps * TILE + i % ROWS * ROW;
        for (int64_t s = 0; s < steps; s++) {
            int64_t size = i >= m ? 0 : s < whole ? ROW : line - s * ROW;
            if (size == ROW) {
                memcpy(to + s * TILE, from + s * ROW, ROW);
            } else {
                memset(to + s * TILE, 0, ROW);
                memcpy(to + s * TILE, from + s * ROW, (size_t)size);
            }
        }
    }
}

/* ---- the product ---- */

/* Sums of 32 rows (or, with `two` false, of 16) and 32 outputs over some steps, in registers 0 to 3. `apart`: bytes
 * from the first 16 rows to the others. fetch: how many lines to fetch at each step, from `next` on. */
#define SUM_STEPS(multiply)                                                                                            \
    for (int64_t s = 0; s < steps; s++, x += TILE, w += 2 * TILE) {                                                    \
        _tile_loadd(6, w, ROW);                                                                                        \
        _tile_loadd(7, w + TILE, ROW);                                                                                 \
        _tile_loadd(4, x, ROW);                                                                                        \
        multiply(0, 4, 6);                                                                                             \
        multiply(1, 4, 7);                                                                                             \
        for (int64_t f = 0; f < fetch; f++, next += ROW) {                                                             \
            _mm_prefetch((const char *)next, _MM_HINT_T1);                                                             \
        }                                                                                                              \
        if (two) {                                                                                                     \
            _tile_loadd(5, x + apart, ROW);                                                                            \
            multiply(2, 5, 6);                                                                                         \
            multiply(3, 5, 7);                                                                                         \
        }                                                                                                              \
    }

static void sum_steps(product_kind kind, int64_t steps, const unsigned char *x, int64_t apart, bool two,
                      const unsigned char *w, uintptr_t next, int64_t fetch) {
    if (kind == PRODUCT_BF16) {
        SUM_STEPS(_tile_dpbf16ps)
    } else {
        SUM_STEPS(_tile_dpbusd)
    }
}

/* Compilers do not see that loading a tile reads memory: what was written before must be there. */
static inline void written(void) { __asm__ volatile("" : : : "memory"); }

static void load_sums(bool zero, bool two, const float *sums) {
    if (zero) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        return;
    }
    _tile_loadd(0, sums, OUTS * 4);
    _tile_loadd(1, sums + ROWS, OUTS * 4);
    if (two) {
        _tile_loadd(2, sums + ROWS * OUTS, OUTS * 4);
        _tile_loadd(3, sums + ROWS * OUTS + ROWS, OUTS * 4);
    }
}

static void store_sums(bool two, float *to, int64_t ld) {
    _tile_stored(0, to, (size_t)ld * 4);
    _tile_stored(1, to + ROWS, (size_t)ld * 4);
    if (two) {
        _tile_stored(2, to + ROWS * ld, (size_t)ld * 4);
        _tile_stored(3, to + ROWS * ld + ROWS, (size_t)ld * 4);
    }
}

void amx_product(product_kind kind, int64_t m, int64_t n, int64_t k, const void *rows, const void *w, bool add, void *y,
                 int64_t ldy) {
    _Alignas(AMX_ALIGN) float sums[AMX_ROWS_MOST * OUTS]; /* of a block; int32 where those are made */
    int64_t steps = steps_of(kind, k), blocks = up(m, OUTS);
    const unsigned char *x = rows, *block = w;
    written();
    _tile_loadconfig(&amx_tiles);
    for (int64_t o = 0; o < n; o += OUTS, block += steps * 2 * TILE) {
        size_t outs = (size_t)(n - o < OUTS ? n - o : OUTS) * sizeof *sums;
        float *to = (float *)y + o;
        memset(sums, 0, add ? sizeof sums : 0);
        for (int64_t i = 0; add && i < m; i++) {
            memcpy(sums + i * OUTS, to + i * ldy, outs);
        }
        written();
        int64_t whole = o + OUTS <= n ? m / OUTS : 0; /* blocks of rows whose last sums go straight to y */
        for (int64_t first = 0; first < steps; first += STEPS) {
            int64_t some = steps - first < STEPS ? steps - first : STEPS, lines = some * 2 * TILE / ROW;
            int64_t fetch = up(lines, blocks * some);
            const unsigned char *from = block + first * 2 * TILE;
            for (int64_t i = 0; i < blocks; i++) {
                bool two = i * OUTS + ROWS < m, straight = i < whole && first + some == steps;
                uintptr_t next = (uintptr_t)from + (uintptr_t)((lines + i * some * fetch) * ROW);
                load_sums(first == 0 && !add, two, sums + i * OUTS * OUTS);
                sum_steps(kind, some, x + (i * 2 * steps + first) * TILE, steps * TILE, two, from, next, fetch);
                store_sums(two, straight ? to + i * OUTS * ldy : sums + i * OUTS * OUTS, straight ? ldy : OUTS);
            }
        }
        for (int64_t i = whole * OUTS; i < m; i++) {
            memcpy(to + i * ldy, sums + i * OUTS, outs);
        }
    }
    _tile_release();
}

#else

size_t amx_weight_bytes(product_kind kind, int64_t n, int64_t k) {
    (void)kind, (void)n, (void)k;
    return 0;
}
void amx_weight_lay(product_kind kind, int64_t n, int64_t k, const void *w, void *room) {
    (void)kind, (void)n, (void)k, (void)w, (void)room;
}
size_t amx_rows_bytes(product_kind kind, int64_t m, int64_t k) {
    (void)kind, (void)m, (void)k;
    return 0;
}
void amx_rows_lay(product_kind kind, int64_t m, int64_t k, const void *x, int64_t ldx, void *rows) {
    (void)kind, (void)m, (void)k, (void)x, (void)ldx, (void)rows;
}
void amx_product(product_kind kind, int64_t m, int64_t n, int64_t k, const void *rows, const void *w, bool add, void *y,
                 int64_t ldy) {
    (void)kind, (void)m, (void)n, (void)k, (void)rows, (void)w, (void)add, (void)y, (void)ldy;
}
#endif
