/* compute_state.h: what a compute owns, for the files compute_*.c alone. */
#ifndef TENSOR_COMPUTE_STATE_H
#define TENSOR_COMPUTE_STATE_H
#include "tensor/compute.h"
#include "tensor/compute_product.h"
#include <string.h>

/* What one worker keeps from call to call: primitives, and rows on their way into and out of a product. */
typedef struct compute_worker {
    product_cache *products; /* NULL until the first product */
    struct compute_buffer {
        void *block;          /* as the allocator gave it */
        unsigned char *start; /* its first byte at a multiple of 64 */
        size_t size;
    } in, out, extra;
} compute_worker;

struct compute {
    spoor_context *ctx;
    pool *pool;
    const kernels *kernels;
    compute_worker *workers; /* one for each thread */
    compute_watch_fn watch;  /* NULL: none */
    void *watcher;
};

#ifndef SPOOR_DOUBLE
struct compute_weight {
    spoor_context *ctx;
    compute_precision precision;
    product_kind kind;       /* PRODUCT_F32 too where a precision has no instructions here */
    int64_t n, k;
    int64_t groups, taps, channels; /* of a grouped convolution; groups 0: none (compute_groups.c) */
    product_weight **panels; /* COMPUTE_PANEL outputs each, the last may have fewer; none if n or k is 0 */
    int64_t n_panels;
    void *room;              /* for all panels */
    float *scale;            /* int8: [n] */
    int32_t *sums;           /* int8: [n] of the quantised weights */
};

enum { COMPUTE_PANEL = 512 /* outputs of one product: its result waits in the second cache for scales and bias */ };

/* In which numbers products of a precision are made on this processor. */
product_kind compute_kind(compute_precision precision);
/* One block with room for all panels, whose layouts are known; *start is where the first goes, each at a multiple of
 * COMPUTE_ALIGN behind the one before. */
spoor_status compute_weight_room(compute_weight *p, unsigned char **start, spoor_error *err);
/* Rounded to bfloat16 and back. */
static inline float compute_from_bf16(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
static inline size_t compute_number_bytes(product_kind kind) {
    return kind == PRODUCT_F32 ? 4 : kind == PRODUCT_BF16 ? 2 : 1;
}
#endif

enum { COMPUTE_ALIGN = 64 };
static inline size_t compute_aligned(size_t bytes) {
    return (bytes + COMPUTE_ALIGN - 1) / COMPUTE_ALIGN * COMPUTE_ALIGN;
}

/* Makes the worker's primitives' cache when it is first needed. */
spoor_status compute_products(spoor_context *ctx, compute_worker *worker, spoor_error *err);

/* Room for `size` bytes at a multiple of 64; what was there is lost. NULL: out of memory. */
void *compute_buffer_need(spoor_context *ctx, struct compute_buffer *b, size_t size);
void compute_workers_free(spoor_context *ctx, compute_worker *workers, unsigned n);
#endif
