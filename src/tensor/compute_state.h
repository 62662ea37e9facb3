/* compute_state.h: what a compute owns, for the files compute_*.c alone. */
#ifndef TENSOR_COMPUTE_STATE_H
#define TENSOR_COMPUTE_STATE_H
#include "tensor/compute.h"
#include "tensor/compute_product.h"

/* What one worker keeps from call to call: primitives, and rows on their way into and out of a product. */
typedef struct compute_worker {
    product_cache *products; /* NULL until the first product */
    struct compute_buffer {
        void *block;          /* as the allocator gave it */
        unsigned char *start; /* its first byte at a multiple of 64 */
        size_t size;
    } in, out;
} compute_worker;

struct compute {
    spoor_context *ctx;
    pool *pool;
    const kernels *kernels;
    compute_worker *workers; /* one for each thread */
};

/* Room for `size` bytes at a multiple of 64; what was there is lost. NULL: out of memory. */
void *compute_buffer_need(spoor_context *ctx, struct compute_buffer *b, size_t size);
void compute_workers_free(spoor_context *ctx, compute_worker *workers, unsigned n);
#endif
