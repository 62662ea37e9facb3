/* compute_weight.c: products with frozen weights in three precisions; see compute.h. Rows go by blocks: a block is brought
 * into the numbers of the product (rounded, quantised, or only put side by side), multiplied, and gets its scales, bias and
 * activation while it is in the cache. Where the processor lacks the instructions for a precision, the same rounded numbers
 * are multiplied as floats. The double build has its own file. */
#ifndef SPOOR_DOUBLE
#include "base/checked.h"
#include "tensor/compute_state.h"
#include "tensor/ops.h"
#include <math.h>
#include <string.h>

enum {
    ROW_STEP = 8,           /* a block is filled up to a multiple of this, so that few shapes meet the primitives */
    BLOCK_LEAST = 64,       /* rows of a block: with fewer, reading the weights again costs more than the cache saves */
    BLOCK_MOST = 256,
    BLOCK_BYTES = 768 << 10, /* of a block's rows, in and out, about: they should stay in the second cache */
    INT8_MOST = 65536        /* columns: 255 x 127 times as many fit a sum of 32 bits */
};

struct compute_weight {
    spoor_context *ctx;
    compute_precision precision;
    product_kind kind; /* PRODUCT_F32 too where a precision has no instructions here */
    int64_t n, k;
    product_weight *product; /* NULL: n or k is 0 */
    float *scale;            /* int8: [n] */
    int32_t *sums;           /* int8: [n] of the quantised weights */
};

/* ---- the weights ---- */

static float from_bf16(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* One row of weights to int8, symmetric; returns the scale. */
static float quantise_weights(int64_t k, const float *w, int8_t *q) {
    float top = 0, odd = 0;
    for (int64_t i = 0; i < k; i++) {
        top = fabsf(w[i]) > top ? fabsf(w[i]) : top;
        odd += w[i] * 0;
    }
    float step = top / 127;
    if (!(step > 1e-30f) || odd != 0) {
        memset(q, 0, (size_t)k);
        return odd;
    }
    for (int64_t i = 0; i < k; i++) {
        q[i] = (int8_t)lrintf(w[i] / step);
    }
    return step;
}

/* Fills q[n,k] with int8 and p with scales and sums. */
static void quantise_all(compute_weight *p, const float *w, int8_t *q) {
    for (int64_t i = 0; i < p->n; i++) {
        p->scale[i] = quantise_weights(p->k, w + i * p->k, q + i * p->k);
        p->sums[i] = 0;
        for (int64_t j = 0; j < p->k; j++) {
            p->sums[i] += q[i * p->k + j];
        }
    }
}

/* The weights as numbers of the product, in a new block: NULL when out of memory. */
static void *numbers(compute_weight *p, const float *w, const kernels *k) {
    size_t count = (size_t)(p->n * p->k);
    if (p->precision == COMPUTE_BF16) {
        uint16_t *half = ctx_alloc(p->ctx, count, sizeof *half);
        float *wide = half == NULL || p->kind == PRODUCT_BF16 ? NULL : ctx_alloc(p->ctx, count, sizeof *wide);
        if (half != NULL) {
            k->to_bf16((int64_t)count, w, half);
        }
        if (p->kind == PRODUCT_BF16) {
            return half;
        }
        for (size_t i = 0; wide != NULL && i < count; i++) {
            wide[i] = from_bf16(half[i]);
        }
        ctx_free(p->ctx, half);
        return wide;
    }
    int8_t *q = ctx_alloc(p->ctx, count, sizeof *q);
    float *wide = q == NULL || p->kind == PRODUCT_INT8 ? NULL : ctx_alloc(p->ctx, count, sizeof *wide);
    if (q != NULL) {
        quantise_all(p, w, q);
    }
    if (p->kind == PRODUCT_INT8) {
        return q;
    }
    for (size_t i = 0; wide != NULL && i < count; i++) {
        wide[i] = (float)q[i];
    }
    ctx_free(p->ctx, q);
    return wide;
}

static product_kind kind_of(compute_precision precision, const kernels *k) {
    product_kind kind = precision == COMPUTE_BF16 ? PRODUCT_BF16 : precision == COMPUTE_INT8 ? PRODUCT_INT8 : PRODUCT_F32;
    /* Less than the processor has was asked for (SPOOR_ISA): so the floats stand in, as on a processor without. */
    bool held_back = strcmp(k->name, "avx512") != 0;
    return held_back || !product_native(kind) ? PRODUCT_F32 : kind;
}

static spoor_status fill(compute_weight *p, const float *w, const kernels *k, spoor_error *err) {
    if (p->precision == COMPUTE_INT8) {
        p->scale = ctx_alloc(p->ctx, (size_t)p->n, sizeof *p->scale);
        p->sums = ctx_alloc(p->ctx, (size_t)p->n, sizeof *p->sums);
        if (p->scale == NULL || p->sums == NULL) {
            return error_memory(err, "laying out weights");
        }
    }
    if (p->precision == COMPUTE_F32) {
        return product_pack(p->ctx, PRODUCT_F32, p->n, p->k, w, &p->product, err);
    }
    void *rounded = numbers(p, w, k);
    if (rounded == NULL) {
        return error_memory(err, "laying out weights");
    }
    spoor_status status = product_pack(p->ctx, p->kind, p->n, p->k, rounded, &p->product, err);
    ctx_free(p->ctx, rounded);
    return status;
}

spoor_status compute_weight_new(spoor_context *ctx, const real *w, int64_t n, int64_t k, compute_precision precision,
                                compute_weight **out, spoor_error *err) {
    *out = NULL;
    compute_weight *p = ctx_calloc(ctx, 1, sizeof *p);
    if (p == NULL) {
        return error_memory(err, "laying out weights");
    }
    const kernels *table = kernels_choose();
    precision = precision == COMPUTE_INT8 && k > INT8_MOST ? COMPUTE_BF16 : precision;
    *p = (compute_weight){.ctx = ctx, .precision = precision, .kind = kind_of(precision, table), .n = n, .k = k};
    spoor_status status = n > 0 && k > 0 ? fill(p, w, table, err) : SPOOR_OK;
    if (status != SPOOR_OK) {
        compute_weight_free(p);
        return status;
    }
    *out = p;
    return SPOOR_OK;
}

void compute_weight_free(compute_weight *w) {
    if (w != NULL) {
        product_weight_free(w->product);
        ctx_free(w->ctx, w->scale);
        ctx_free(w->ctx, w->sums);
        ctx_free(w->ctx, w);
    }
}

size_t compute_weight_bytes(const compute_weight *w) {
    size_t scales = w->scale == NULL ? 0 : (size_t)w->n * (sizeof *w->scale + sizeof *w->sums);
    return scales + (w->product == NULL ? 0 : product_weight_bytes(w->product));
}

/* ---- what a worker keeps ---- */

enum { BUFFER_ALIGN = 64 };

void *compute_buffer_need(spoor_context *ctx, struct compute_buffer *b, size_t size) {
    if (b->size < size || b->block == NULL) {
        ctx_free(ctx, b->block);
        b->size = 0;
        size_t bytes;
        b->block = checked_add(size, BUFFER_ALIGN, &bytes) ? ctx_alloc(ctx, bytes, 1) : NULL;
        if (b->block == NULL) {
            return NULL;
        }
        b->size = size;
        b->start = (unsigned char *)b->block + (BUFFER_ALIGN - (uintptr_t)b->block % BUFFER_ALIGN);
    }
    return b->start;
}

void compute_workers_free(spoor_context *ctx, compute_worker *workers, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        product_cache_free(workers[i].products);
        ctx_free(ctx, workers[i].in.block);
        ctx_free(ctx, workers[i].out.block);
    }
    ctx_free(ctx, workers);
}

/* ---- the product ---- */

typedef struct call {
    const compute_weight *w;
    const kernels *k;
    const float *x, *bias;
    float *y;
    int64_t ldx, ldy;
    int act;
    int64_t step;            /* a block has a multiple of so many rows */
    unsigned char *in, *out; /* of a block */
    float *row_scale;        /* int8: of a block */
    int32_t *row_zero;
} call;

static size_t number_bytes(product_kind kind) { return kind == PRODUCT_F32 ? 4 : kind == PRODUCT_BF16 ? 2 : 1; }

static int64_t block_rows(const compute_weight *w) {
    int64_t rows = BLOCK_BYTES / (w->n * 4 + w->k * (int64_t)number_bytes(w->kind)) / ROW_STEP * ROW_STEP;
    if (product_fixed_rows() != 0) {
        return product_fixed_rows();
    }
    return rows < BLOCK_LEAST ? BLOCK_LEAST : rows > BLOCK_MOST ? BLOCK_MOST : rows;
}

static void round_row(const call *c, const float *x, float *row, uint16_t *half) {
    int64_t k = c->w->k;
    c->k->to_bf16(k, x, half);
    for (int64_t i = 0; i < k; i++) {
        row[i] = from_bf16(half[i]);
    }
}

/* Row i of a block in the numbers of the product, at row i of c->in. The last parameter is room for a row. */
static void bring_row(const call *c, int64_t i, const float *x, unsigned char *spare) {
    const compute_weight *w = c->w;
    unsigned char *row = c->in + (size_t)(i * w->k) * number_bytes(w->kind);
    if (w->precision == COMPUTE_F32) {
        memcpy(row, x, (size_t)w->k * sizeof *x);
    } else if (w->kind == PRODUCT_BF16) {
        c->k->to_bf16(w->k, x, (uint16_t *)(void *)row);
    } else if (w->kind == PRODUCT_INT8) {
        c->row_zero[i] = c->k->quantise(w->k, x, row, &c->row_scale[i]);
    } else if (w->precision == COMPUTE_BF16) {
        round_row(c, x, (float *)(void *)row, (uint16_t *)(void *)spare);
    } else {
        c->row_zero[i] = c->k->quantise(w->k, x, spare, &c->row_scale[i]);
        for (int64_t j = 0; j < w->k; j++) {
            ((float *)(void *)row)[j] = (float)(spare[j] - c->row_zero[i]);
        }
    }
}

static void finish_row(const call *c, int64_t i, const unsigned char *from, float *y) {
    const compute_weight *w = c->w;
    const float *bias = c->bias;
    if (w->precision == COMPUTE_INT8 && w->kind == PRODUCT_INT8) {
        c->k->dequantise(w->n, (const int32_t *)(const void *)from, c->row_zero[i], w->sums, c->row_scale[i], w->scale, bias,
                         y);
        bias = NULL;
    } else if ((const void *)from != (const void *)y) {
        memcpy(y, from, (size_t)w->n * sizeof *y);
    }
    if (w->precision == COMPUTE_INT8 && w->kind != PRODUCT_INT8) {
        for (int64_t j = 0; j < w->n; j++) {
            y[j] *= c->row_scale[i] * w->scale[j];
        }
    }
    if (bias != NULL) {
        c->k->add_row(1, w->n, bias, y);
    }
    if (c->act != OP_ACT_NONE) {
        c->k->activate(c->act, w->n, y, y);
    }
}

static spoor_status run_block(compute_worker *worker, const call *c, int64_t begin, int64_t rows, spoor_error *err) {
    const compute_weight *w = c->w;
    int64_t padded = (rows + c->step - 1) / c->step * c->step;
    const float *x = c->x + begin * c->ldx;
    float *y = c->y + begin * c->ldy;
    bool in_place = w->precision == COMPUTE_F32 && c->ldx == w->k && padded == rows;
    bool out_place = w->kind != PRODUCT_INT8 && c->ldy == w->n && padded == rows;
    size_t row_bytes = (size_t)w->k * number_bytes(w->kind);
    if (!in_place) {
        for (int64_t i = 0; i < rows; i++) {
            bring_row(c, i, x + i * c->ldx, c->in + (size_t)(c->w->k * BLOCK_MOST) * number_bytes(w->kind));
        }
        memset(c->in + (size_t)rows * row_bytes, 0, (size_t)(padded - rows) * row_bytes);
    }
    unsigned char *to = out_place ? (unsigned char *)(void *)y : c->out;
    TRY(product_run(worker->products, w->product, padded, in_place ? (const void *)x : c->in, to, false, err));
    for (int64_t i = 0; i < rows; i++) {
        finish_row(c, i, to + (size_t)(i * w->n) * 4, y + i * c->ldy);
    }
    return SPOOR_OK;
}

static spoor_status take_room(spoor_context *ctx, compute_worker *worker, call *c, spoor_error *err) {
    const compute_weight *w = c->w;
    size_t in = (size_t)w->k * BLOCK_MOST * number_bytes(w->kind) + (size_t)w->k * 4; /* and a row to spare */
    size_t scales = BLOCK_MOST * (sizeof *c->row_scale + sizeof *c->row_zero);
    c->in = compute_buffer_need(ctx, &worker->in, in);
    unsigned char *out = compute_buffer_need(ctx, &worker->out, scales + (size_t)w->n * BLOCK_MOST * 4);
    if (c->in == NULL || out == NULL) {
        return error_memory(err, "a product with frozen weights");
    }
    c->row_scale = (float *)(void *)out;
    c->row_zero = (int32_t *)(void *)(out + BLOCK_MOST * sizeof *c->row_scale);
    c->out = out + scales;
    return worker->products != NULL ? SPOOR_OK : product_cache_new(ctx, &worker->products, err);
}

spoor_status compute_weight_apply(compute *c, unsigned worker, const compute_weight *w, int64_t m, const real *x,
                                  int64_t ldx, const real *bias, int act, real *y, int64_t ldy, spoor_error *err) {
    call job = {.w = w, .k = c->kernels, .x = x, .bias = bias, .y = y, .ldx = ldx, .ldy = ldy, .act = act};
    if (m == 0 || w->n == 0) {
        return SPOOR_OK;
    }
    if (w->k == 0) {
        for (int64_t i = 0; i < m; i++) {
            memset(y + i * ldy, 0, (size_t)w->n * sizeof *y);
            c->kernels->add_row(bias == NULL ? 0 : 1, w->n, bias, y + i * ldy);
            c->kernels->activate(act, w->n, y + i * ldy, y + i * ldy);
        }
        return SPOOR_OK;
    }
    TRY(take_room(c->ctx, &c->workers[worker], &job, err));
    job.step = product_fixed_rows() != 0 ? product_fixed_rows() : ROW_STEP;
    int64_t most = block_rows(w), steps = (m + job.step - 1) / job.step, blocks = (m + most - 1) / most;
    for (int64_t i = 0; i < blocks; i++) { /* blocks of nearly the same size */
        int64_t begin = compute_split(steps, blocks, i) * job.step, end = compute_split(steps, blocks, i + 1) * job.step;
        end = end < m ? end : m;
        TRY(run_block(&c->workers[worker], &job, begin, end - begin, err));
    }
    return SPOOR_OK;
}
#else
#include "tensor/compute.h"
#endif
