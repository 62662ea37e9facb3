/* attentive_pool.c: op_attentive_pool, attentive statistics (Okabe, Koshinaka and Shinoda 2018); see ops.h. With
 * w = softmax of the scores over the frames: mean = sum_t w x, std = sqrt(sum_t w (x - mean)^2 + eps). Items are clips.
 * Saves w. */
#include "tensor/ops.h"
#include <math.h>
#include <string.h>

typedef struct attentive {
    const kernels *k;
    tensor *x, *a, *y;
    int64_t frames, cols, heads; /* heads: columns of a, cols or 1 */
    real eps;
    real *w;    /* [B][frames][heads] */
    real *coef; /* [B][2][cols] */
    real *dx, *da;
    bool fresh_x, fresh_a;
} attentive;

/* w[frames][n] = softmax of every column of a, n > 1; top: room for n. */
static void softmax_columns(const attentive *s, const real *a, real *w, real *top) {
    int64_t n = s->heads;
    memcpy(top, a, (size_t)n * sizeof *top);
    for (int64_t t = 1; t < s->frames; t++) {
        for (int64_t c = 0; c < n; c++) {
            top[c] = a[t * n + c] > top[c] ? a[t * n + c] : top[c];
        }
    }
    for (int64_t t = 0; t < s->frames; t++) {
        for (int64_t c = 0; c < n; c++) {
            w[t * n + c] = a[t * n + c] - top[c];
        }
    }
    s->k->exp(s->frames * n, w, w);
    memset(top, 0, (size_t)n * sizeof *top);
    s->k->sum_rows(s->frames, n, w, top);
    for (int64_t c = 0; c < n; c++) {
        top[c] = (real)1 / top[c];
    }
    for (int64_t t = 0; t < s->frames; t++) {
        s->k->mul(n, w + t * n, top, w + t * n);
    }
}

static void forward_item(void *arg, int64_t clip, unsigned worker) {
    (void)worker;
    attentive *s = arg;
    int64_t n = s->cols;
    const real *x = s->x->data + clip * s->frames * n, *a = s->a->data + clip * s->frames * s->heads;
    real *w = s->w + clip * s->frames * s->heads, *mean = s->y->data + clip * 2 * n, *std = mean + n;
    if (s->heads == 1) {
        s->k->softmax(s->frames, a, w);
    } else {
        softmax_columns(s, a, w, mean);
    }
    memset(mean, 0, (size_t)(2 * n) * sizeof *mean);
    for (int64_t t = 0; t < s->frames; t++) {
        if (s->heads == 1) {
            s->k->axpy(n, w[t], x + t * n, mean);
        } else {
            s->k->mul_add(n, w + t * n, x + t * n, mean);
        }
    }
    for (int64_t t = 0; t < s->frames; t++) {
        for (int64_t c = 0; c < n; c++) {
            real d = x[t * n + c] - mean[c];
            std[c] += w[s->heads == 1 ? t : t * n + c] * (d * d);
        }
    }
    for (int64_t c = 0; c < n; c++) {
        std[c] = (real)sqrt(std[c] + s->eps);
    }
}

/* One frame: with d = x - mean, m = dmean, v = dvar the gradient of the weight is d (m + v d) up to a constant of the
 * column, which softmax ignores, and dx = w (m + 2 v d). `centre` is sum_t w d (m + v d) = v var. dx, da may be
 * NULL. */
static void frame_backward(const attentive *s, const real *x, const real *w, const real *mean, const real *m,
                           const real *v, const real *centre, real *dx, real *da) {
    real sum = 0;
    for (int64_t c = 0; c < s->cols; c++) {
        real d = x[c] - mean[c], wc = w[s->heads == 1 ? 0 : c], slope = m[c] + v[c] * d;
        if (dx != NULL) {
            dx[c] = (s->fresh_x ? 0 : dx[c]) + wc * (slope + v[c] * d);
        }
        if (s->heads == 1) {
            sum += d * slope - centre[c];
        } else if (da != NULL) {
            da[c] = (s->fresh_a ? 0 : da[c]) + wc * (d * slope - centre[c]);
        }
    }
    if (s->heads == 1 && da != NULL) {
        da[0] = (s->fresh_a ? 0 : da[0]) + w[0] * sum;
    }
}

static void backward_item(void *arg, int64_t clip, unsigned worker) {
    (void)worker;
    attentive *s = arg;
    int64_t n = s->cols, heads = s->heads;
    const real *mean = s->y->data + clip * 2 * n, *std = mean + n, *dmean = s->y->grad + clip * 2 * n;
    real *v = s->coef + clip * 2 * n, *centre = v + n;
    for (int64_t c = 0; c < n; c++) {
        v[c] = std[c] > 0 ? (real)0.5 * dmean[n + c] / std[c] : 0;
        centre[c] = v[c] * (std[c] * std[c] - s->eps);
    }
    for (int64_t t = clip * s->frames; t < (clip + 1) * s->frames; t++) {
        frame_backward(s, s->x->data + t * n, s->w + t * heads, mean, dmean, v, centre,
                       s->dx == NULL ? NULL : s->dx + t * n, s->da == NULL ? NULL : s->da + t * heads);
    }
}

static void backward(tape *t, void *saved) {
    attentive *s = saved;
    s->dx = tape_grad_fresh(t, s->x, &s->fresh_x);
    s->da = tape_grad_fresh(t, s->a, &s->fresh_a); /* a may be x: then not fresh */
    if (s->dx != NULL && s->dx == s->da && s->fresh_x) {
        memset(s->dx, 0, (size_t)tensor_count(s->x) * sizeof *s->dx);
        s->fresh_x = false;
    }
    s->coef = tape_alloc(t, (size_t)(s->x->dim[0] * 2 * s->cols), sizeof(real));
    if (tape_ok(t)) {
        compute_for(tape_compute(t), s->x->dim[0], backward_item, s);
    }
}

tensor *op_attentive_pool(tape *t, tensor *x, tensor *a, real eps) {
    if (x == NULL || a == NULL) {
        return NULL;
    }
    if (x->ndim != 3 || a->ndim != 3 || a->dim[0] != x->dim[0] || a->dim[1] != x->dim[1] ||
        (a->dim[2] != x->dim[2] && a->dim[2] != 1)) {
        tape_fail(t, SPOOR_ERR_USAGE,
                  "attentive_pool: the scores must have the clips, frames and columns (or one column) of the input "
                  "[B,T,C], which is [%lld,%lld,%lld]; they are [%lld,%lld,%lld]",
                  (long long)x->dim[0], (long long)(x->ndim > 1 ? x->dim[1] : 0), (long long)tensor_cols(x),
                  (long long)a->dim[0], (long long)(a->ndim > 1 ? a->dim[1] : 0), (long long)tensor_cols(a));
        return NULL;
    }
    if (x->dim[1] == 0) {
        tape_fail(t, SPOOR_ERR_USAGE, "attentive_pool: a clip needs at least one frame");
        return NULL;
    }
    attentive *s = tape_alloc(t, 1, sizeof *s);
    tensor *y = tape_tensor(t, 2, (int64_t[]){x->dim[0], 2 * x->dim[2]});
    real *w = tape_alloc(t, (size_t)tensor_count(a), sizeof *w);
    if (s == NULL || y == NULL || w == NULL) {
        return NULL;
    }
    *s = (attentive){.k = tape_kernels(t), .x = x, .a = a, .y = y, .frames = x->dim[1], .cols = x->dim[2],
                     .heads = a->dim[2], .eps = eps, .w = w};
    compute_for(tape_compute(t), x->dim[0], forward_item, s);
    if (tape_recording(t) && (x->needs_grad || a->needs_grad)) {
        tape_record(t, y, backward, s);
    }
    return y;
}
