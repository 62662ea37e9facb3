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

enum { STEPS = 16 }; /* steps between which sums go to memory */

/* Sums of 32 rows (or, with `two` false, of 16) and 32 outputs over some steps, in registers 0 to 3. `apart`: bytes
 * from the first 16 rows to the others. fetch: how many lines to fetch at each step, from `next` on. */
#define SUM_STEPS(multiply)                                                                                            \
    for (int64_t s = 0; s < steps; s++, x += AMX_TILE, w += 2 * AMX_TILE) {                                            \
        _tile_loadd(6, w, AMX_ROW);                                                                                    \
        _tile_loadd(7, w + AMX_TILE, AMX_ROW);                                                                         \
        _tile_loadd(4, x, AMX_ROW);                                                                                    \
        multiply(0, 4, 6);                                                                                             \
        multiply(1, 4, 7);                                                                                             \
        for (int64_t f = 0; f < fetch; f++, next += AMX_ROW) {                                                         \
            _mm_prefetch((const char *)next, _MM_HINT_T1);                                                             \
        }                                                                                                              \
        if (two) {                                                                                                     \
            _tile_loadd(5, x + apart, AMX_ROW);                                                                        \
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
    _tile_loadd(0, sums, AMX_OUTS * 4);
    _tile_loadd(1, sums + AMX_ROWS, AMX_OUTS * 4);
    if (two) {
        _tile_loadd(2, sums + AMX_ROWS * AMX_OUTS, AMX_OUTS * 4);
        _tile_loadd(3, sums + AMX_ROWS * AMX_OUTS + AMX_ROWS, AMX_OUTS * 4);
    }
}

static void store_sums(bool two, float *to, int64_t ld) {
    _tile_stored(0, to, (size_t)ld * 4);
    _tile_stored(1, to + AMX_ROWS, (size_t)ld * 4);
    if (two) {
        _tile_stored(2, to + AMX_ROWS * ld, (size_t)ld * 4);
        _tile_stored(3, to + AMX_ROWS * ld + AMX_ROWS, (size_t)ld * 4);
    }
}

void amx_product(product_kind kind, int64_t first_row, int64_t m, int64_t n, int64_t k, const void *rows, const void *w,
                 bool add, void *y, int64_t ldy) {
    _Alignas(AMX_ALIGN) float sums[PRODUCT_ROWS_MOST * AMX_OUTS]; /* of a block; int32 where those are made */
    int64_t steps = amx_steps(kind, k), blocks = amx_up(m, AMX_OUTS);
    const unsigned char *x = (const unsigned char *)rows + first_row / AMX_ROWS * steps * AMX_TILE, *block = w;
    written();
    _tile_loadconfig(&amx_tiles);
    for (int64_t o = 0; o < n; o += AMX_OUTS, block += steps * 2 * AMX_TILE) {
        size_t outs = (size_t)(n - o < AMX_OUTS ? n - o : AMX_OUTS) * sizeof *sums;
        float *to = (float *)y + o;
        memset(sums, 0, add ? sizeof sums : 0);
        for (int64_t i = 0; add && i < m; i++) {
            memcpy(sums + i * AMX_OUTS, to + i * ldy, outs);
        }
        written();
        int64_t whole = o + AMX_OUTS <= n ? m / AMX_OUTS : 0; /* blocks of rows whose last sums go straight to y */
        for (int64_t first = 0; first < steps; first += STEPS) {
            int64_t some = steps - first < STEPS ? steps - first : STEPS, lines = some * 2 * AMX_TILE / AMX_ROW;
            int64_t fetch = amx_up(lines, blocks * some);
            const unsigned char *from = block + first * 2 * AMX_TILE;
            for (int64_t i = 0; i < blocks; i++) {
                bool two = i * AMX_OUTS + AMX_ROWS < m, straight = i < whole && first + some == steps;
                uintptr_t next = (uintptr_t)from + (uintptr_t)((lines + i * some * fetch) * AMX_ROW);
                load_sums(first == 0 && !add, two, sums + i * AMX_OUTS * AMX_OUTS);
                sum_steps(kind, some, x + (i * 2 * steps + first) * AMX_TILE, steps * AMX_TILE, two, from, next, fetch);
                store_sums(two, straight ? to + i * AMX_OUTS * ldy : sums + i * AMX_OUTS * AMX_OUTS,
                           straight ? ldy : AMX_OUTS);
            }
        }
        for (int64_t i = whole * AMX_OUTS; i < m; i++) {
            memcpy(to + i * ldy, sums + i * AMX_OUTS, outs);
        }
    }
    _tile_release();
}

#else

void amx_product(product_kind kind, int64_t first_row, int64_t m, int64_t n, int64_t k, const void *rows, const void *w,
                 bool add, void *y, int64_t ldy) {
    (void)kind, (void)first_row, (void)m, (void)n, (void)k, (void)rows, (void)w, (void)add, (void)y, (void)ldy;
}
#endif
