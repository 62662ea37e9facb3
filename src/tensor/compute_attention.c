/* compute_attention.c: attention of one clip for inference; see compute.h. Rows go by blocks, whose scores for all
 * heads stay about within the second cache. */
#include "tensor/compute.h"
#ifdef SPOOR_DOUBLE

bool compute_has_attention(void) { return false; }

spoor_status compute_attention(compute *c, unsigned worker, compute_precision precision, int64_t frames, int64_t heads,
                               int64_t size, real scale, const real *q, const real *k, const real *v, real *y,
                               spoor_error *err) {
    (void)c, (void)worker, (void)precision, (void)frames, (void)heads, (void)size, (void)scale;
    (void)q, (void)k, (void)v, (void)y;
    return error_set(err, SPOOR_ERR_USAGE, "the double build has its own attention");
}

#else
#include "tensor/compute_state.h"

enum {
    SCORE_BYTES = 1280 << 10, /* of a block's scores, about */
    ROWS_LEAST = 16
};

bool compute_has_attention(void) { return product_has_heads(); }

typedef struct job {
    product_cache *products;
    const kernels *kernels;
    product_kind kind;
    int64_t frames, heads, size;
    float scale, *scores;
    uint16_t *weights; /* bfloat16: the scores after softmax */
} job;

static spoor_status run_block(const job *j, int64_t rows, const void *q, const void *k, const void *v, float *y,
                              spoor_error *err) {
    int64_t lines = j->heads * rows, n = j->frames;
    TRY(product_scores(j->products, j->kind, j->heads, rows, n, j->size, q, k, j->scores, err));
    for (int64_t i = 0; i < lines; i++) {
        float *line = j->scores + i * n;
        j->kernels->softmax_scaled(n, j->scale, line, NULL, line);
        if (j->kind == PRODUCT_BF16) {
            j->kernels->to_bf16(n, line, j->weights + i * n);
        }
    }
    const void *weights = j->kind == PRODUCT_BF16 ? (const void *)j->weights : j->scores;
    return product_values(j->products, j->kind, j->heads, rows, n, j->size, weights, v, y, err);
}

spoor_status compute_attention(compute *c, unsigned worker, compute_precision precision, int64_t frames, int64_t heads,
                               int64_t size, real scale, const real *q, const real *k, const real *v, real *y,
                               spoor_error *err) {
    compute_worker *own = &c->workers[worker];
    int64_t width = heads * size, count = frames * width;
    if (count == 0) {
        return SPOOR_OK;
    }
    bool reduced = precision != COMPUTE_F32 && compute_kind(COMPUTE_BF16) == PRODUCT_BF16;
    job j = {.kernels = c->kernels, .kind = reduced ? PRODUCT_BF16 : PRODUCT_F32, .frames = frames, .heads = heads,
             .size = size, .scale = scale};
    int64_t most = SCORE_BYTES / (heads * frames * (int64_t)sizeof *j.scores);
    most = most < ROWS_LEAST ? ROWS_LEAST : most > frames ? frames : most;
    int64_t blocks = (frames + most - 1) / most;
    size_t scores = (size_t)(heads * most * frames);
    uint16_t *half = compute_buffer_need(c->ctx, &own->in, reduced ? (size_t)(3 * count) * sizeof *half : 0);
    j.scores = compute_buffer_need(c->ctx, &own->out, scores * sizeof *j.scores);
    j.weights = compute_buffer_need(c->ctx, &own->extra, reduced ? scores * sizeof *j.weights : 0);
    if (half == NULL || j.scores == NULL || j.weights == NULL) {
        return error_memory(err, "attention");
    }
    TRY(compute_products(c->ctx, own, err));
    j.products = own->products;
    if (reduced) {
        c->kernels->to_bf16(count, q, half);
        c->kernels->to_bf16(count, k, half + count);
        c->kernels->to_bf16(count, v, half + 2 * count);
    }
    for (int64_t i = 0; i < blocks; i++) {
        int64_t begin = compute_split(frames, blocks, i), at = begin * width;
        TRY(run_block(&j, compute_split(frames, blocks, i + 1) - begin, reduced ? (const void *)(half + at) : q + at,
                      reduced ? (const void *)(half + count) : k, reduced ? (const void *)(half + 2 * count) : v,
                      y + at, err));
    }
    return SPOOR_OK;
}
#endif
