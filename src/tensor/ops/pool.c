/* pool.c: op_mean_pool, op_avg_pool1d, op_max_pool and op_stats_pool over the frames of x[B,T,C]; see ops.h. Items are
 * clips. Attentive statistics are in attentive_pool.c. */
#include "tensor/ops.h"
#include <math.h>
#include <string.h>

typedef struct pool_frames {
    const kernels *k;
    tensor *x, *y;
    int64_t frames, cols;
    int64_t window, out; /* of the means: y has `out` rows a clip, each of `window` frames */
    int64_t *best;       /* of the maxima: [B][cols] frame */
    real eps;
    real *coef; /* backward: [B][2][cols] of the statistics, [B][cols] of the means */
    real *dx;
    bool fresh;
} pool_frames;

/* Checks x, makes the result and the record; NULL after a failure. */
static pool_frames *pool_new_op(tape *t, const char *name, tensor *x, int ndim, const int64_t *dim) {
    pool_frames *s = tape_alloc(t, 1, sizeof *s);
    tensor *y = tape_tensor(t, ndim, dim);
    if (s == NULL || y == NULL) {
        return NULL;
    }
    if (ndim == 2 && x->dim[1] == 0) {
        tape_fail(t, SPOOR_ERR_USAGE, "%s: a clip needs at least one frame", name);
        return NULL;
    }
    *s = (pool_frames){.k = tape_kernels(t), .x = x, .y = y, .frames = x->dim[1], .cols = x->dim[2]};
    return s;
}

static bool is_clips(tape *t, const char *name, const tensor *x) {
    if (x->ndim != 3) {
        tape_fail(t, SPOOR_ERR_USAGE, "%s: the input must be [B,T,C], not of %d dimensions", name, x->ndim);
        return false;
    }
    return true;
}

static tensor *run(tape *t, pool_frames *s, pool_fn forward, tape_backward_fn backward) {
    compute_for(tape_compute(t), s->x->dim[0], forward, s);
    if (tape_recording(t) && s->x->needs_grad) {
        tape_record(t, s->y, backward, s);
    }
    return s->y;
}

/* ---- means ---- */

static void mean_item(void *arg, int64_t clip, unsigned worker) {
    (void)worker;
    pool_frames *s = arg;
    const real *x = s->x->data + clip * s->frames * s->cols;
    for (int64_t i = 0; i < s->out; i++) {
        real *y = s->y->data + (clip * s->out + i) * s->cols;
        memset(y, 0, (size_t)s->cols * sizeof *y);
        s->k->sum_rows(s->window, s->cols, x + i * s->window * s->cols, y);
        s->k->scale(s->cols, (real)1 / (real)s->window, y, y);
    }
}

static void mean_backward_item(void *arg, int64_t clip, unsigned worker) {
    (void)worker;
    pool_frames *s = arg;
    real *dx = s->dx + clip * s->frames * s->cols, *row = s->coef + clip * s->cols;
    for (int64_t i = 0; i < s->out; i++) {
        s->k->scale(s->cols, (real)1 / (real)s->window, s->y->grad + (clip * s->out + i) * s->cols, row);
        for (int64_t t = 0; t < s->window; t++, dx += s->cols) {
            if (s->fresh) {
                memcpy(dx, row, (size_t)s->cols * sizeof *dx);
            } else {
                s->k->axpy(s->cols, 1, row, dx);
            }
        }
    }
    if (s->fresh) {
        memset(dx, 0, (size_t)((s->frames - s->out * s->window) * s->cols) * sizeof *dx);
    }
}

static void mean_backward(tape *t, void *saved) {
    pool_frames *s = saved;
    s->dx = tape_grad_fresh(t, s->x, &s->fresh);
    s->coef = tape_alloc(t, (size_t)(s->x->dim[0] * s->cols), sizeof(real));
    if (tape_ok(t)) {
        compute_for(tape_compute(t), s->x->dim[0], mean_backward_item, s);
    }
}

tensor *op_mean_pool(tape *t, tensor *x) {
    if (x == NULL || !is_clips(t, "mean_pool", x)) {
        return NULL;
    }
    pool_frames *s = pool_new_op(t, "mean_pool", x, 2, (int64_t[]){x->dim[0], x->dim[2]});
    if (s == NULL) {
        return NULL;
    }
    s->window = s->frames;
    s->out = 1;
    return run(t, s, mean_item, mean_backward);
}

tensor *op_avg_pool1d(tape *t, tensor *x, int64_t k) {
    if (x == NULL || !is_clips(t, "avg_pool1d", x)) {
        return NULL;
    }
    if (k < 1) {
        tape_fail(t, SPOOR_ERR_USAGE, "avg_pool1d: the window must be at least 1 frame, not %lld", (long long)k);
        return NULL;
    }
    pool_frames *s = pool_new_op(t, "avg_pool1d", x, 3, (int64_t[]){x->dim[0], x->dim[1] / k, x->dim[2]});
    if (s == NULL) {
        return NULL;
    }
    s->window = k;
    s->out = s->frames / k;
    return run(t, s, mean_item, mean_backward);
}

/* ---- maximum ---- */

static void max_item(void *arg, int64_t clip, unsigned worker) {
    (void)worker;
    pool_frames *s = arg;
    const real *x = s->x->data + clip * s->frames * s->cols;
    real *y = s->y->data + clip * s->cols;
    int64_t *best = s->best + clip * s->cols;
    memcpy(y, x, (size_t)s->cols * sizeof *y);
    memset(best, 0, (size_t)s->cols * sizeof *best);
    for (int64_t t = 1; t < s->frames; t++) {
        const real *row = x + t * s->cols;
        for (int64_t c = 0; c < s->cols; c++) {
            bool more = row[c] > y[c];
            y[c] = more ? row[c] : y[c];
            best[c] = more ? t : best[c];
        }
    }
}

static void max_backward(tape *t, void *saved) {
    pool_frames *s = saved;
    real *dx = tape_grad(t, s->x);
    for (int64_t i = 0; dx != NULL && i < s->x->dim[0]; i++) {
        for (int64_t c = 0; c < s->cols; c++) {
            dx[(i * s->frames + s->best[i * s->cols + c]) * s->cols + c] += s->y->grad[i * s->cols + c];
        }
    }
}

tensor *op_max_pool(tape *t, tensor *x) {
    if (x == NULL || !is_clips(t, "max_pool", x)) {
        return NULL;
    }
    pool_frames *s = pool_new_op(t, "max_pool", x, 2, (int64_t[]){x->dim[0], x->dim[2]});
    if (s == NULL) {
        return NULL;
    }
    s->best = tape_alloc(t, (size_t)(x->dim[0] * s->cols), sizeof *s->best);
    return s->best == NULL ? NULL : run(t, s, max_item, max_backward);
}

/* ---- mean and standard deviation ---- */

static void stats_item(void *arg, int64_t clip, unsigned worker) {
    (void)worker;
    pool_frames *s = arg;
    real *mean = s->y->data + clip * 2 * s->cols, *deviation = mean + s->cols;
    real inverse = (real)1 / (real)s->frames;
    s->k->moments(s->frames, s->cols, s->x->data + clip * s->frames * s->cols, mean, deviation);
    for (int64_t c = 0; c < s->cols; c++) {
        deviation[c] = (real)sqrt(deviation[c] * inverse + s->eps);
    }
}

/* dx = dmean / T + dstd (x - mean) / (T std); where all frames are equal and eps is 0, std has no gradient. */
static void stats_backward_item(void *arg, int64_t clip, unsigned worker) {
    (void)worker;
    pool_frames *s = arg;
    const real *mean = s->y->data + clip * 2 * s->cols, *deviation = mean + s->cols;
    const real *dmean = s->y->grad + clip * 2 * s->cols, *ddeviation = dmean + s->cols;
    real *slope = s->coef + clip * 2 * s->cols, *shift = slope + s->cols, inverse = (real)1 / (real)s->frames;
    for (int64_t c = 0; c < s->cols; c++) {
        slope[c] = deviation[c] > 0 ? ddeviation[c] * inverse / deviation[c] : 0;
        shift[c] = dmean[c] * inverse;
    }
    int64_t at = clip * s->frames * s->cols;
    s->k->affine(s->frames, s->cols, s->x->data + at, mean, slope, shift, !s->fresh, s->dx + at);
}

static void stats_backward(tape *t, void *saved) {
    pool_frames *s = saved;
    s->dx = tape_grad_fresh(t, s->x, &s->fresh);
    s->coef = tape_alloc(t, (size_t)(s->x->dim[0] * 2 * s->cols), sizeof(real));
    if (tape_ok(t)) {
        compute_for(tape_compute(t), s->x->dim[0], stats_backward_item, s);
    }
}

tensor *op_stats_pool(tape *t, tensor *x, real eps) {
    if (x == NULL || !is_clips(t, "stats_pool", x)) {
        return NULL;
    }
    pool_frames *s = pool_new_op(t, "stats_pool", x, 2, (int64_t[]){x->dim[0], 2 * x->dim[2]});
    if (s == NULL) {
        return NULL;
    }
    s->eps = eps;
    return run(t, s, stats_item, stats_backward);
}
