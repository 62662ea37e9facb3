/* compute_groups.c: convolution in groups with frozen weights (the positional convolution of wav2vec 2.0: 128 taps, 16
 * groups); see compute.h.
 *
 * The matrix of a group, one row of taps x channels for each place, would be `taps` times the input. Instead rows of
 * STEP taps are laid out for all frames; the product is the sum over chunks of STEP taps, and the rows of chunk j are
 * the same rows, begun j * STEP later. So each chunk multiplies STEP x channels columns without another copy. */
#include "tensor/compute.h"
#ifndef SPOOR_DOUBLE
#include "tensor/compute_state.h"
#include <string.h>

enum {
    STEP = 16,         /* taps of a chunk */
    PLACES_MOST = 256  /* places of a block */
};

_Static_assert((int)STEP % (int)PRODUCT_FIRST_STEP == 0 && (int)PLACES_MOST <= (int)PRODUCT_ROWS_MOST,
               "as products want it");

static int64_t chunks(const compute_weight *w) { return (w->taps + STEP - 1) / STEP; }

/* Panel g * chunks + j: outputs of group g, taps j * STEP .. of which those past the end are zero. */
static spoor_status fill_chunk(const compute_weight *p, int64_t panel, const float *w, const kernels *k, float *spare,
                               unsigned char *room, spoor_error *err) {
    int64_t outs = p->n / p->groups, tap = panel % chunks(p) * STEP, width = STEP * p->channels;
    int64_t taps = p->taps - tap < STEP ? p->taps - tap : STEP;
    uint16_t *half = (uint16_t *)(void *)(spare + outs * width);
    w += (panel / chunks(p) * outs * p->taps + tap) * p->channels;
    memset(spare, 0, (size_t)(outs * width) * sizeof *spare);
    for (int64_t o = 0; o < outs; o++) {
        memcpy(spare + o * width, w + o * p->taps * p->channels, (size_t)(taps * p->channels) * sizeof *spare);
    }
    if (p->precision == COMPUTE_BF16) {
        k->to_bf16(outs * width, spare, half);
        for (int64_t i = 0; i < outs * width; i++) {
            spare[i] = compute_from_bf16(half[i]);
        }
    }
    return product_weight_fill(p->panels[panel], p->kind == PRODUCT_BF16 ? (const void *)half : spare, room, err);
}

static spoor_status fill(compute_weight *p, const float *w, spoor_error *err) {
    int64_t count = p->groups * chunks(p), outs = p->n / p->groups, width = STEP * p->channels;
    unsigned char *room = NULL;
    p->panels = ctx_calloc(p->ctx, (size_t)count, sizeof(product_weight *));
    float *spare = ctx_alloc(p->ctx, (size_t)(outs * width), sizeof *spare + sizeof(uint16_t));
    spoor_status status = p->panels != NULL && spare != NULL ? SPOOR_OK : error_memory(err, "laying out weights");
    for (int64_t i = 0; status == SPOOR_OK && i < count; i++) {
        status = product_weight_new(p->ctx, p->kind, outs, width, &p->panels[i], err);
        p->n_panels += status == SPOOR_OK;
    }
    status = status != SPOOR_OK ? status : compute_weight_room(p, &room, err);
    for (int64_t i = 0; status == SPOOR_OK && i < count; i++) {
        status = fill_chunk(p, i, w, kernels_choose(), spare, room, err);
        room += compute_aligned(product_weight_bytes(p->panels[i]));
    }
    ctx_free(p->ctx, spare);
    return status;
}

spoor_status compute_weight_new_grouped(spoor_context *ctx, const real *w, int64_t n, int64_t taps, int64_t channels,
                                        int64_t groups, compute_precision precision, compute_weight **out,
                                        spoor_error *err) {
    *out = NULL;
    if (groups < 1 || n % groups != 0 || n < 1 || taps < 1 || channels < 1) {
        return error_set(err, SPOOR_ERR_USAGE, "a convolution of %lld outputs, %lld taps and %lld channels cannot have "
                         "%lld groups", (long long)n, (long long)taps, (long long)channels, (long long)groups);
    }
    compute_weight *p = ctx_calloc(ctx, 1, sizeof *p);
    if (p == NULL) {
        return error_memory(err, "laying out weights");
    }
    precision = precision == COMPUTE_INT8 ? COMPUTE_BF16 : precision;
    *p = (compute_weight){.ctx = ctx, .precision = precision, .kind = compute_kind(precision), .n = n,
                          .k = taps * channels,
                          .groups = groups, .taps = taps, .channels = channels};
    spoor_status status = fill(p, w, err);
    if (status != SPOOR_OK) {
        compute_weight_free(p);
        return status;
    }
    *out = p;
    return SPOOR_OK;
}

/* A frame of a group in the numbers of the product. */
static void bring_frame(const compute_weight *w, const kernels *k, const float *x, unsigned char *to, uint16_t *spare) {
    if (w->kind == PRODUCT_BF16) {
        k->to_bf16(w->channels, x, (uint16_t *)(void *)to);
        return;
    }
    memcpy(to, x, (size_t)w->channels * sizeof *x);
    if (w->precision == COMPUTE_BF16) {
        k->to_bf16(w->channels, x, spare);
        for (int64_t i = 0; i < w->channels; i++) {
            ((float *)(void *)to)[i] = compute_from_bf16(spare[i]);
        }
    }
}

typedef struct block {
    const compute_weight *w;
    const kernels *k;
    const float *x, *bias;
    float *y;
    int64_t frames, first, places, padded, rows; /* first: frame under the first place's first tap; rows: of the
                                                  * matrix */
    unsigned char *line, *matrix; /* frames of a group side by side; for oneDNN, its matrix */
    float *sums;
} block;

static void lay_side_by_side(const block *b, int64_t group) {
    const compute_weight *w = b->w;
    size_t frame = (size_t)w->channels * compute_number_bytes(w->kind);
    int64_t n = b->rows + STEP - 1;
    uint16_t *spare = (uint16_t *)(void *)(b->line + (size_t)n * frame);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = b->first + i;
        if (at >= 0 && at < b->frames) {
            bring_frame(w, b->k, b->x + (at * w->groups + group) * w->channels, b->line + (size_t)i * frame, spare);
        } else {
            memset(b->line + (size_t)i * frame, 0, frame);
        }
    }
}

/* The product of each chunk, added up in b->sums. */
static spoor_status sum_chunks(product_cache *products, const block *b, product_weight **panels, spoor_error *err) {
    const compute_weight *w = b->w;
    size_t frame = (size_t)w->channels * compute_number_bytes(w->kind), row = frame * STEP;
    int64_t outs = w->n / w->groups, n = chunks(w);
    if (product_own(panels[0])) {
        TRY(product_bring(products, panels[0], b->rows, true, b->line, w->channels, err));
        for (int64_t j = 0; j < n; j++) {
            product_run_own(products, panels[j], j * STEP, b->places, b->sums, outs, j > 0);
        }
        return SPOOR_OK;
    }
    for (int64_t i = 0; i < b->rows; i++) {
        memcpy(b->matrix + (size_t)i * row, b->line + (size_t)i * frame, row);
    }
    for (int64_t j = 0; j < n; j++) {
        TRY(product_run(products, panels[j], b->padded, b->matrix + (size_t)j * STEP * row, b->sums, j > 0, err));
    }
    return SPOOR_OK;
}

static spoor_status run_group(product_cache *products, const block *b, int64_t group, spoor_error *err) {
    const compute_weight *w = b->w;
    int64_t outs = w->n / w->groups;
    lay_side_by_side(b, group);
    TRY(sum_chunks(products, b, w->panels + group * chunks(w), err));
    for (int64_t i = 0; i < b->places; i++) {
        float *y = b->y + i * w->n + group * outs;
        memcpy(y, b->sums + i * outs, (size_t)outs * sizeof *y);
        if (b->bias != NULL) {
            b->k->add_row(1, outs, b->bias + group * outs, y);
        }
    }
    return SPOOR_OK;
}

static int64_t fill_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

spoor_status compute_weight_convolve(compute *c, unsigned worker, const compute_weight *w, int64_t frames,
                                     const real *x, int64_t pad, int64_t places, const real *bias, real *y,
                                     spoor_error *err) {
    compute_worker *own = &c->workers[worker];
    int64_t step = product_row_step(w->panels[0]), most = PLACES_MOST;
    int64_t rows = most + (chunks(w) - 1) * STEP;
    size_t frame = (size_t)w->channels * compute_number_bytes(w->kind);
    unsigned char *line = compute_buffer_need(c->ctx, &own->in, (size_t)(rows + 2 * STEP) * frame);
    bool copied = !product_own(w->panels[0]);
    unsigned char *matrix = compute_buffer_need(c->ctx, &own->extra, copied ? (size_t)rows * STEP * frame : 0);
    float *sums = compute_buffer_need(c->ctx, &own->out, (size_t)(most * (w->n / w->groups)) * sizeof *sums);
    if (line == NULL || matrix == NULL || sums == NULL) {
        return error_memory(err, "a convolution with frozen weights");
    }
    TRY(compute_products(c->ctx, own, err));
    int64_t steps = (places + step - 1) / step, blocks = (places + most - 1) / most;
    for (int64_t i = 0; i < blocks; i++) {
        int64_t begin = compute_split(steps, blocks, i) * step, end = compute_split(steps, blocks, i + 1) * step;
        end = end < places ? end : places;
        block b = {.w = w, .k = c->kernels, .x = x, .bias = bias, .y = y + begin * w->n, .frames = frames,
                   .first = begin - pad, .places = end - begin, .padded = fill_up(end - begin, step), .line = line,
                   .matrix = matrix, .sums = sums};
        b.rows = b.padded + (chunks(w) - 1) * STEP;
        for (int64_t g = 0; g < w->groups; g++) {
            TRY(run_group(own->products, &b, g, err));
        }
    }
    return SPOOR_OK;
}
#endif
