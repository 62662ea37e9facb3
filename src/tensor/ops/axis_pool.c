/* axis_pool.c: op_max_abs and op_softmax_pool: one dimension of a tensor goes. The dimensions before it are `outer`,
 * each an item; those after it lie side by side (`inner`). */
#include "tensor/ops.h"
#include "tensor/ops/refuse.h"
#include <math.h>
#include <string.h>

typedef struct axis_pool {
    const kernels *k;
    tensor *x, *w, *y;
    int64_t outer, n, inner;
    int32_t *best; /* of maxima: as y */
    real *p;       /* softmax of w: as x where it is kept, else [workers][n * inner] */
    real *spare;   /* [workers][2 * inner] */
    bool keep;
    real *dx, *dw;
    bool dx_fresh, dw_fresh;
} axis_pool;

static axis_pool *axis_pool_new(tape *t, const char *name, tensor *x, tensor *w, int axis) {
    if (axis < 0 || axis >= x->ndim || x->ndim < 2 || x->dim[axis] == 0 || x->dim[axis] > INT32_MAX) {
        tape_fail(t, SPOOR_ERR_USAGE, "%s: dimension %d of a tensor with %d dimensions cannot be pooled, or is empty",
                  name, axis, x->ndim);
        return NULL;
    }
    int64_t dim[TENSOR_DIMS] = {0}, outer = 1, inner = 1;
    for (int i = 0; i < x->ndim; i++) {
        outer *= i < axis ? x->dim[i] : 1;
        inner *= i > axis ? x->dim[i] : 1;
        if (i != axis) {
            dim[i < axis ? i : i - 1] = x->dim[i];
        }
    }
    axis_pool *s = tape_alloc(t, 1, sizeof *s);
    tensor *y = tape_tensor(t, x->ndim - 1, dim);
    if (s == NULL || y == NULL) {
        return NULL;
    }
    *s = (axis_pool){.k = tape_kernels(t), .x = x, .w = w, .y = y, .outer = outer, .n = x->dim[axis], .inner = inner};
    return s;
}

/* ---- largest magnitude ---- */

static void max_item(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    const axis_pool *s = arg;
    const real *x = s->x->data + item * s->n * s->inner;
    real *y = s->y->data + item * s->inner;
    int32_t *best = s->best + item * s->inner;
    for (int64_t i = 0; i < s->inner; i++) {
        y[i] = x[i] < 0 ? -x[i] : x[i];
        best[i] = 0;
    }
    for (int64_t k = 1; k < s->n; k++) {
        const real *row = x + k * s->inner;
        for (int64_t i = 0; i < s->inner; i++) {
            real size = row[i] < 0 ? -row[i] : row[i];
            bool more = size > y[i];
            y[i] = more ? size : y[i];
            best[i] = more ? (int32_t)k : best[i];
        }
    }
}

static void max_backward_item(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    const axis_pool *s = arg;
    const real *x = s->x->data + item * s->n * s->inner, *dy = s->y->grad + item * s->inner;
    real *dx = s->dx + item * s->n * s->inner;
    for (int64_t i = 0; i < s->inner; i++) {
        int64_t at = s->best[item * s->inner + i] * s->inner + i;
        dx[at] += x[at] < 0 ? -dy[i] : x[at] > 0 ? dy[i] : 0;
    }
}

static void max_backward(tape *t, void *saved) {
    axis_pool *s = saved;
    s->dx = tape_grad(t, s->x);
    if (s->dx != NULL) {
        compute_for(tape_compute(t), s->outer, max_backward_item, s);
    }
}

tensor *op_max_abs(tape *t, tensor *x, int axis) {
    axis_pool *s = x == NULL ? NULL : axis_pool_new(t, "max_abs", x, NULL, axis);
    if (s == NULL) {
        return NULL;
    }
    s->best = tape_alloc(t, (size_t)tensor_count(s->y), sizeof *s->best);
    if (s->best == NULL) {
        return NULL;
    }
    compute_for(tape_compute(t), s->outer, max_item, s);
    if (tape_recording(t) && x->needs_grad) {
        tape_record(t, s->y, max_backward, s);
    }
    return s->y;
}

/* ---- sum weighted by a softmax ---- */

static void softmax_item(void *arg, int64_t item, unsigned worker) {
    const axis_pool *s = arg;
    int64_t size = s->n * s->inner, inner = s->inner;
    const real *w = s->w->data + item * size, *x = s->x->data + item * size;
    real *p = s->p + (s->keep ? item : (int64_t)worker) * size, *y = s->y->data + item * inner;
    real *top = s->spare + (int64_t)worker * 2 * inner, *sum = top + inner;
    memcpy(top, w, (size_t)inner * sizeof *top);
    for (int64_t k = 1; k < s->n; k++) {
        for (int64_t i = 0; i < inner; i++) {
            top[i] = w[k * inner + i] > top[i] ? w[k * inner + i] : top[i];
        }
    }
    for (int64_t k = 0; k < s->n; k++) {
        s->k->add_scaled(inner, w + k * inner, -1, top, p + k * inner);
    }
    s->k->exp(size, p, p);
    memset(sum, 0, (size_t)inner * sizeof *sum);
    s->k->sum_rows(s->n, inner, p, sum);
    for (int64_t i = 0; i < inner; i++) {
        sum[i] = 1 / sum[i];
    }
    memset(y, 0, (size_t)inner * sizeof *y);
    for (int64_t k = 0; k < s->n; k++) {
        s->k->mul(inner, p + k * inner, sum, p + k * inner);
        s->k->mul_add(inner, p + k * inner, x + k * inner, y);
    }
}

/* dx = p dy, dw = p (x - y) dy */
static void softmax_backward_item(void *arg, int64_t item, unsigned worker) {
    const axis_pool *s = arg;
    int64_t size = s->n * s->inner, inner = s->inner;
    const real *x = s->x->data + item * size, *p = s->p + item * size;
    const real *y = s->y->data + item * inner, *dy = s->y->grad + item * inner;
    real *slope = s->spare + (int64_t)worker * 2 * inner, *away = slope + inner;
    for (int64_t k = 0; k < s->n; k++) {
        int64_t at = item * size + k * inner;
        s->k->mul(inner, p + k * inner, dy, slope);
        if (s->dx != NULL) {
            if (s->dx_fresh) {
                memcpy(s->dx + at, slope, (size_t)inner * sizeof *slope);
            } else {
                s->k->axpy(inner, 1, slope, s->dx + at);
            }
        }
        if (s->dw != NULL) {
            s->k->add_scaled(inner, x + k * inner, -1, y, away);
            (s->dw_fresh ? s->k->mul : s->k->mul_add)(inner, slope, away, s->dw + at);
        }
    }
}

static void softmax_backward(tape *t, void *saved) {
    axis_pool *s = saved;
    s->dx = tape_grad_fresh(t, s->x, &s->dx_fresh);
    s->dw = tape_grad_fresh(t, s->w, &s->dw_fresh);
    s->spare = tape_scratch(t, 2 * s->inner * (int64_t)compute_threads(tape_compute(t)));
    if (tape_ok(t)) {
        compute_for(tape_compute(t), s->outer, softmax_backward_item, s);
    }
}

tensor *op_softmax_pool(tape *t, tensor *x, tensor *w, int axis) {
    if (x == NULL || w == NULL) {
        return NULL;
    }
    if (!tensor_same_shape(x, w)) {
        return op_refuse(t, "softmax_pool", "every value needs a weight", x, w);
    }
    axis_pool *s = axis_pool_new(t, "softmax_pool", x, w, axis);
    if (s == NULL) {
        return NULL;
    }
    s->keep = tape_recording(t) && (x->needs_grad || w->needs_grad);
    size_t workers = compute_threads(tape_compute(t));
    s->p = tape_alloc(t, (size_t)(s->n * s->inner) * (s->keep ? (size_t)s->outer : workers), sizeof *s->p);
    s->spare = tape_alloc(t, 2 * (size_t)s->inner * workers, sizeof *s->spare);
    if (!tape_ok(t)) {
        return NULL;
    }
    compute_for(tape_compute(t), s->outer, softmax_item, s);
    if (s->keep) {
        tape_record(t, s->y, softmax_backward, s);
    }
    return s->y;
}
