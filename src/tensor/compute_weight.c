/* compute_weight.c: products with frozen weights in three precisions; see compute.h. Rows go by blocks: a block is
 * brought into the numbers of the product (rounded, quantised, or only put side by side), multiplied, and gets its
 * scales, bias and activation while it is in the cache. Where the processor lacks the instructions for a precision, the
 * same rounded numbers are multiplied as floats. The double build has its own file. */
#define _DEFAULT_SOURCE /* madvise */
#include "tensor/compute.h"
#ifndef SPOOR_DOUBLE
#include "base/checked.h"
#include "tensor/compute_state.h"
#include "tensor/ops.h"
#include <math.h>
#include <string.h>
#include <sys/mman.h>

enum {
    BLOCK_MOST = 256,       /* rows of a block: many, because each block reads all weights from memory */
    HUGE_PAGE = 2 << 20,    /* weights go where the system may use large pages: reading them misses fewer
                             * translations */
    INT8_MOST = 65536       /* columns: 255 x 127 times as many fit a sum of 32 bits */
};

/* ---- the weights ---- */

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

/* Rows of weights to int8, with their scales and sums. */
static void quantise_rows(const compute_weight *p, int64_t first, int64_t rows, const float *w, int8_t *q) {
    for (int64_t i = 0; i < rows; i++) {
        p->scale[first + i] = quantise_weights(p->k, w + i * p->k, q + i * p->k);
        p->sums[first + i] = 0;
        for (int64_t j = 0; j < p->k; j++) {
            p->sums[first + i] += q[i * p->k + j];
        }
    }
}

product_kind compute_kind(compute_precision precision) {
    product_kind kind = precision == COMPUTE_BF16   ? PRODUCT_BF16
                        : precision == COMPUTE_INT8 ? PRODUCT_INT8
                                                    : PRODUCT_F32;
    /* Less than the processor has was asked for (SPOOR_ISA): so the floats stand in, as on a processor without. */
    bool held_back = strcmp(kernels_choose()->name, "avx512") != 0;
    return held_back || !product_native(kind) ? PRODUCT_F32 : kind;
}

static int64_t panel_size(const compute_weight *p, int64_t i) {
    return p->n - i * COMPUTE_PANEL < COMPUTE_PANEL ? p->n - i * COMPUTE_PANEL : COMPUTE_PANEL;
}

/* spare: room for a panel as floats and as numbers of 2 bytes; unused with float32. */
static spoor_status fill_panel(const compute_weight *p, int64_t i, const float *w, const kernels *k,
                               unsigned char *spare, unsigned char *room, spoor_error *err) {
    int64_t rows = panel_size(p, i), count = rows * p->k;
    float *wide = (float *)(void *)spare;
    uint16_t *half = p->precision == COMPUTE_F32 ? NULL : (uint16_t *)(void *)(spare + (size_t)count * sizeof *wide);
    int8_t *q = (int8_t *)half;
    const void *from = p->precision == COMPUTE_F32 ? (const void *)w : half;
    if (p->precision == COMPUTE_BF16) {
        k->to_bf16(count, w, half);
    } else if (p->precision == COMPUTE_INT8) {
        quantise_rows(p, i * COMPUTE_PANEL, rows, w, q);
    }
    if (p->precision != COMPUTE_F32 && p->kind == PRODUCT_F32) {
        for (int64_t j = 0; j < count; j++) {
            wide[j] = p->precision == COMPUTE_BF16 ? compute_from_bf16(half[j]) : (float)q[j];
        }
        from = wide;
    }
    return product_weight_fill(p->panels[i], from, room, err);
}

spoor_status compute_weight_room(compute_weight *p, unsigned char **start, spoor_error *err) {
    size_t bytes = 0;
    for (int64_t i = 0; i < p->n_panels; i++) {
        bytes += compute_aligned(product_weight_bytes(p->panels[i]));
    }
    size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : COMPUTE_ALIGN;
    p->room = ctx_alloc(p->ctx, bytes + align, 1);
    if (p->room == NULL) {
        return error_memory(err, "laying out weights");
    }
    *start = (unsigned char *)p->room + (align - (uintptr_t)p->room % align);
#ifdef MADV_HUGEPAGE
    if (align == HUGE_PAGE) {
        (void)madvise(*start, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    }
#endif
    return SPOOR_OK;
}

static spoor_status make_panels(compute_weight *p, unsigned char **start, spoor_error *err) {
    p->panels = ctx_calloc(p->ctx, (size_t)((p->n + COMPUTE_PANEL - 1) / COMPUTE_PANEL), sizeof(product_weight *));
    if (p->panels == NULL) {
        return error_memory(err, "laying out weights");
    }
    for (int64_t i = 0; i * COMPUTE_PANEL < p->n; i++) {
        TRY(product_weight_new(p->ctx, p->kind, panel_size(p, i), p->k, &p->panels[i], err));
        p->n_panels++;
    }
    return compute_weight_room(p, start, err);
}

static spoor_status fill(compute_weight *p, const float *w, const kernels *k, spoor_error *err) {
    unsigned char *spare = NULL, *room = NULL;
    TRY(make_panels(p, &room, err));
    if (p->precision == COMPUTE_INT8) {
        p->scale = ctx_alloc(p->ctx, (size_t)p->n, sizeof *p->scale);
        p->sums = ctx_alloc(p->ctx, (size_t)p->n, sizeof *p->sums);
        if (p->scale == NULL || p->sums == NULL) {
            return error_memory(err, "laying out weights");
        }
    }
    if (p->precision != COMPUTE_F32) {
        spare = ctx_alloc(p->ctx, (size_t)(panel_size(p, 0) * p->k), sizeof(float) + sizeof(uint16_t));
        if (spare == NULL) {
            return error_memory(err, "laying out weights");
        }
    }
    spoor_status status = SPOOR_OK;
    for (int64_t i = 0; status == SPOOR_OK && i < p->n_panels; i++) {
        status = fill_panel(p, i, w + i * COMPUTE_PANEL * p->k, k, spare, room, err);
        room += compute_aligned(product_weight_bytes(p->panels[i]));
    }
    ctx_free(p->ctx, spare);
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
    *p = (compute_weight){.ctx = ctx, .precision = precision, .kind = compute_kind(precision), .n = n, .k = k};
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
        for (int64_t i = 0; i < w->n_panels; i++) {
            product_weight_free(w->panels[i]);
        }
        ctx_free(w->ctx, w->panels);
        ctx_free(w->ctx, w->room);
        ctx_free(w->ctx, w->scale);
        ctx_free(w->ctx, w->sums);
        ctx_free(w->ctx, w);
    }
}

int64_t compute_weight_groups(const compute_weight *w) { return w->groups; }
compute_precision compute_weight_precision(const compute_weight *w) { return w->precision; }

size_t compute_weight_bytes(const compute_weight *w) {
    size_t bytes = w->scale == NULL ? 0 : (size_t)w->n * (sizeof *w->scale + sizeof *w->sums);
    for (int64_t i = 0; i < w->n_panels; i++) {
        bytes += product_weight_bytes(w->panels[i]);
    }
    return bytes;
}

/* ---- what a worker keeps ---- */

void *compute_buffer_need(spoor_context *ctx, struct compute_buffer *b, size_t size) {
    if (b->size < size || b->block == NULL) {
        ctx_free(ctx, b->block);
        b->size = 0;
        size_t bytes;
        b->block = checked_add(size, COMPUTE_ALIGN, &bytes) ? ctx_alloc(ctx, bytes, 1) : NULL;
        if (b->block == NULL) {
            return NULL;
        }
        b->size = size;
        b->start = (unsigned char *)b->block + (COMPUTE_ALIGN - (uintptr_t)b->block % COMPUTE_ALIGN);
    }
    return b->start;
}

void compute_workers_free(spoor_context *ctx, compute_worker *workers, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        product_cache_free(workers[i].products);
        ctx_free(ctx, workers[i].in.block);
        ctx_free(ctx, workers[i].out.block);
        ctx_free(ctx, workers[i].extra.block);
    }
    ctx_free(ctx, workers);
}

spoor_status compute_products(spoor_context *ctx, compute_worker *worker, spoor_error *err) {
    return worker->products != NULL ? SPOOR_OK : product_cache_new(ctx, &worker->products, err);
}

/* ---- the product ---- */

typedef struct call {
    const compute_weight *w;
    const kernels *k;
    const float *x;
    float *y;
    int64_t ldx, ldy;
    compute_finish finish;
    int64_t step;            /* a block has a multiple of so many rows */
    unsigned char *in, *out; /* of a block */
    float *row_scale;        /* int8: of a block */
    int32_t *row_zero;
} call;

static void round_row(const call *c, const float *x, float *row, uint16_t *half) {
    int64_t k = c->w->k;
    c->k->to_bf16(k, x, half);
    for (int64_t i = 0; i < k; i++) {
        row[i] = compute_from_bf16(half[i]);
    }
}

/* Row i of a block in the numbers of the product, at row i of c->in. The last parameter is room for a row. */
static void bring_row(const call *c, int64_t i, const float *x, unsigned char *spare) {
    const compute_weight *w = c->w;
    unsigned char *row = c->in + (size_t)(i * w->k) * compute_number_bytes(w->kind);
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

/* The whole row or, without a layer norm, a part of it. */
static void norm_and_activate(const kernels *k, const compute_finish *f, int64_t n, float *y) {
    if (f->gain != NULL) {
        float mean, rstd;
        k->layer_norm(1, n, f->eps, y, f->gain, f->shift, y, &mean, &rstd);
    }
    if (f->act == OP_ACT_GELU) {
        k->gelu(n, y, y);
    } else if (f->act != OP_ACT_NONE) {
        k->activate(f->act, n, y, y);
    }
}

/* Row i of a block, outputs [first, first + n): from the product to y, where the row begins at y - first. */
static void finish_row(const call *c, int64_t i, int64_t first, int64_t n, const unsigned char *from, float *y) {
    const compute_weight *w = c->w;
    const float *bias = c->finish.bias == NULL ? NULL : c->finish.bias + first;
    if (w->kind == PRODUCT_INT8) {
        c->k->dequantise(n, (const int32_t *)(const void *)from, c->row_zero[i], w->sums + first, c->row_scale[i],
                         w->scale + first, bias, y);
        bias = NULL;
    } else if (w->precision == COMPUTE_INT8) {
        for (int64_t j = 0; j < n; j++) {
            y[j] = ((const float *)(const void *)from)[j] * (c->row_scale[i] * w->scale[first + j]);
        }
    } else if ((const void *)from != (const void *)y && bias != NULL) {
        c->k->add_scaled(n, (const float *)(const void *)from, 1, bias, y);
        bias = NULL;
    } else if ((const void *)from != (const void *)y) {
        memcpy(y, from, (size_t)n * sizeof *y);
    }
    if (bias != NULL) {
        c->k->add_row(1, n, bias, y);
    }
    if (c->finish.gain == NULL) {
        norm_and_activate(c->k, &c->finish, n, y);
    } else if (first + n == w->n) {
        norm_and_activate(c->k, &c->finish, w->n, y - first);
    }
}

static spoor_status run_block(compute_worker *worker, const call *c, int64_t begin, int64_t rows, spoor_error *err) {
    const compute_weight *w = c->w;
    int64_t padded = (rows + c->step - 1) / c->step * c->step;
    const float *x = c->x + begin * c->ldx;
    bool own = product_own(w->panels[0]);
    bool in_place = w->precision == COMPUTE_F32 && padded == rows && (own || c->ldx == w->k);
    bool out_place = w->kind != PRODUCT_INT8 && w->n_panels == 1 && c->ldy == w->n && padded == rows;
    size_t row_bytes = (size_t)w->k * compute_number_bytes(w->kind);
    if (!in_place) {
        for (int64_t i = 0; i < rows; i++) {
            bring_row(c, i, x + i * c->ldx, c->in + (size_t)BLOCK_MOST * row_bytes);
        }
        memset(c->in + (size_t)rows * row_bytes, 0, (size_t)(padded - rows) * row_bytes);
    }
    const void *from = in_place ? (const void *)x : c->in;
    if (own) {
        TRY(product_bring(worker->products, w->panels[0], rows, false, from, in_place ? c->ldx : w->k, err));
    }
    for (int64_t p = 0; p < w->n_panels; p++) {
        int64_t n = panel_size(w, p), ld = out_place ? c->ldy : n;
        float *y = c->y + begin * c->ldy + p * COMPUTE_PANEL;
        unsigned char *to = out_place ? (unsigned char *)(void *)y : c->out;
        if (own) {
            product_run_own(worker->products, w->panels[p], 0, rows, to, ld, false);
        } else {
            TRY(product_run(worker->products, w->panels[p], padded, from, to, false, err));
        }
        for (int64_t i = 0; i < rows; i++) {
            finish_row(c, i, p * COMPUTE_PANEL, n, to + (size_t)(i * ld) * 4, y + i * c->ldy);
        }
    }
    return SPOOR_OK;
}

static spoor_status take_room(spoor_context *ctx, compute_worker *worker, call *c, spoor_error *err) {
    const compute_weight *w = c->w;
    size_t in = (size_t)w->k * BLOCK_MOST * compute_number_bytes(w->kind) + (size_t)w->k * 4; /* and a row to spare */
    size_t scales = BLOCK_MOST * (sizeof *c->row_scale + sizeof *c->row_zero);
    c->in = compute_buffer_need(ctx, &worker->in, in);
    unsigned char *out = compute_buffer_need(ctx, &worker->out, scales + (size_t)BLOCK_MOST * COMPUTE_PANEL * 4);
    if (c->in == NULL || out == NULL) {
        return error_memory(err, "a product with frozen weights");
    }
    c->row_scale = (float *)(void *)out;
    c->row_zero = (int32_t *)(void *)(out + BLOCK_MOST * sizeof *c->row_scale);
    c->out = out + scales;
    return compute_products(ctx, worker, err);
}

spoor_status compute_weight_apply(compute *c, unsigned worker, const compute_weight *w, int64_t m, const real *x,
                                  int64_t ldx, const compute_finish *finish, real *y, int64_t ldy, spoor_error *err) {
    call job = {.w = w, .k = c->kernels, .x = x, .y = y, .ldx = ldx, .ldy = ldy,
                .finish = finish != NULL ? *finish : (compute_finish){.act = OP_ACT_NONE}};
    if (m == 0 || w->n == 0) {
        return SPOOR_OK;
    }
    if (c->watch != NULL) {
        c->watch(c->watcher, w, m, x, ldx);
    }
    if (w->k == 0) {
        for (int64_t i = 0; i < m; i++) {
            memset(y + i * ldy, 0, (size_t)w->n * sizeof *y);
            c->kernels->add_row(job.finish.bias == NULL ? 0 : 1, w->n, job.finish.bias, y + i * ldy);
            norm_and_activate(c->kernels, &job.finish, w->n, y + i * ldy);
        }
        return SPOOR_OK;
    }
    TRY(take_room(c->ctx, &c->workers[worker], &job, err));
    job.step = product_row_step(w->panels[0]);
    int64_t steps = (m + job.step - 1) / job.step, blocks = (m + BLOCK_MOST - 1) / BLOCK_MOST;
    for (int64_t i = 0; i < blocks; i++) { /* blocks of nearly the same size */
        int64_t begin = compute_split(steps, blocks, i) * job.step,
                end = compute_split(steps, blocks, i + 1) * job.step;
        end = end < m ? end : m;
        TRY(run_block(&c->workers[worker], &job, begin, end - begin, err));
    }
    return SPOOR_OK;
}
#endif
