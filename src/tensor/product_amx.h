/* product_amx.h: products with laid out weights by AMX, the matrix unit of newer Intel processors, in bfloat16 and in 8
 * bits. oneDNN has such products too, but chooses among routines by the number of rows, which changes a row's bits in
 * bfloat16; here a row has the same bits beside any others. Only compute_product_onednn.c uses it. */
#ifndef TENSOR_PRODUCT_AMX_H
#define TENSOR_PRODUCT_AMX_H
#include "tensor/compute_product.h"
#include <stddef.h>

enum {
    AMX_ROWS = 16, /* of a tile */
    AMX_ROW = 64,  /* bytes of one */
    AMX_TILE = AMX_ROWS * AMX_ROW,
    AMX_OUTS = 2 * AMX_ROWS, /* outputs whose tiles lie side by side */
    AMX_ALIGN = 64
};

/* Whether processor and system have it, and SPOOR_ISA asks for no less. */
bool amx_ready(void);

/* What the processor is told of its eight tiles (16 rows of 64 bytes each), as it wants to read it. */
typedef struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} amx_config;
_Static_assert(sizeof(amx_config) == 64, "as the processor reads it");
extern const amx_config amx_tiles;

static inline int64_t amx_up(int64_t n, int64_t step) { return (n + step - 1) / step; }
/* Tiles that k columns take. */
static inline int64_t amx_steps(product_kind kind, int64_t k) {
    return amx_up(k * (kind == PRODUCT_BF16 ? 2 : 1), AMX_ROW);
}

/* kind: bfloat16 or int8. W[n,k], row-major, into `room`, which has amx_weight_bytes at a multiple of AMX_ALIGN. */
size_t amx_weight_bytes(product_kind kind, int64_t n, int64_t k);
void amx_weight_lay(product_kind kind, int64_t n, int64_t k, const void *w, void *room);

/* m rows of x, ldx numbers apart (they may overlap), into `rows`, which has amx_rows_bytes at a multiple of AMX_ALIGN.
 */
size_t amx_rows_bytes(product_kind kind, int64_t m, int64_t k);
void amx_rows_lay(product_kind kind, int64_t m, int64_t k, const void *x, int64_t ldx, void *rows);

/* y[m,n] = x W^T as float or int32, for m <= PRODUCT_ROWS_MOST rows that were laid out, from `first` on, a multiple of
 * AMX_ROWS; rows of y ldy apart; with add, y += (bfloat16 only). */
void amx_product(product_kind kind, int64_t first, int64_t m, int64_t n, int64_t k, const void *rows, const void *w,
                 bool add, void *y, int64_t ldy);
#endif
