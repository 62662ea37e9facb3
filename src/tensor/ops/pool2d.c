/* pool2d.c: op_max_pool2d; see ops.h. Items are clips. Saves which of the window's positions won. */
#include "tensor/ops.h"
#include <string.h>

typedef struct pool2d {
    tensor *x, *y;
    int64_t kernel_h, kernel_w, stride_h, stride_w;
    int32_t *best; /* as y: position in the window, row by row */
    real *dx;
} pool2d;

/* First value of the window of y's position (i, j) of a clip, in x. */
static int64_t corner(const pool2d *s, int64_t clip, int64_t i, int64_t j) {
    const int64_t *dim = s->x->dim;
    return ((clip * dim[1] + i * s->stride_h) * dim[2] + j * s->stride_w) * dim[3];
}

static void window_max(const pool2d *s, const real *x, real *y, int32_t *best) {
    int64_t n = s->x->dim[3], line = s->x->dim[2] * n;
    memcpy(y, x, (size_t)n * sizeof *y);
    memset(best, 0, (size_t)n * sizeof *best);
    for (int64_t k = 1; k < s->kernel_h * s->kernel_w; k++) {
        const real *p = x + k / s->kernel_w * line + k % s->kernel_w * n;
        for (int64_t c = 0; c < n; c++) {
            bool more = p[c] > y[c];
            y[c] = more ? p[c] : y[c];
            best[c] = more ? (int32_t)k : best[c];
        }
    }
}

static void forward_item(void *arg, int64_t clip, unsigned worker) {
    (void)worker;
    pool2d *s = arg;
    const int64_t *out = s->y->dim;
    for (int64_t p = 0; p < out[1] * out[2]; p++) {
        int64_t at = (clip * out[1] * out[2] + p) * out[3];
        window_max(s, s->x->data + corner(s, clip, p / out[2], p % out[2]), s->y->data + at, s->best + at);
    }
}

static void backward_item(void *arg, int64_t clip, unsigned worker) {
    (void)worker;
    pool2d *s = arg;
    const int64_t *out = s->y->dim;
    int64_t n = out[3], line = s->x->dim[2] * n;
    for (int64_t p = 0; p < out[1] * out[2]; p++) {
        int64_t at = (clip * out[1] * out[2] + p) * n;
        real *dx = s->dx + corner(s, clip, p / out[2], p % out[2]);
        for (int64_t c = 0; c < n; c++) {
            int64_t k = s->best[at + c];
            dx[k / s->kernel_w * line + k % s->kernel_w * n + c] += s->y->grad[at + c];
        }
    }
}

static void backward(tape *t, void *saved) {
    pool2d *s = saved;
    s->dx = tape_grad(t, s->x);
    if (s->dx != NULL) {
        compute_for(tape_compute(t), s->x->dim[0], backward_item, s);
    }
}

tensor *op_max_pool2d(tape *t, tensor *x, int64_t kernel_h, int64_t kernel_w, int64_t stride_h, int64_t stride_w) {
    if (x == NULL) {
        return NULL;
    }
    if (x->ndim != 4) {
        tape_fail(t, SPOOR_ERR_USAGE, "max_pool2d: the input must be [B,H,W,C], not of %d dimensions", x->ndim);
        return NULL;
    }
    if (kernel_h < 1 || kernel_w < 1 || stride_h < 1 || stride_w < 1 || kernel_h > x->dim[1] || kernel_w > x->dim[2] ||
        kernel_h > INT32_MAX / kernel_w) {
        tape_fail(t, SPOOR_ERR_USAGE,
                  "max_pool2d: windows of %lld x %lld with stride %lld, %lld do not fit %lld x %lld positions",
                  (long long)kernel_h, (long long)kernel_w, (long long)stride_h, (long long)stride_w,
                  (long long)x->dim[1], (long long)x->dim[2]);
        return NULL;
    }
    int64_t dim[4] = {x->dim[0], (x->dim[1] - kernel_h) / stride_h + 1, (x->dim[2] - kernel_w) / stride_w + 1,
                      x->dim[3]};
    pool2d *s = tape_alloc(t, 1, sizeof *s);
    tensor *y = tape_tensor(t, 4, dim);
    int32_t *best = y == NULL ? NULL : tape_alloc(t, (size_t)tensor_count(y), sizeof *best);
    if (s == NULL || best == NULL) {
        return NULL;
    }
    *s = (pool2d){.x = x, .y = y, .kernel_h = kernel_h, .kernel_w = kernel_w, .stride_h = stride_h,
                  .stride_w = stride_w, .best = best};
    compute_for(tape_compute(t), dim[0], forward_item, s);
    if (tape_recording(t) && x->needs_grad) {
        tape_record(t, y, backward, s);
    }
    return y;
}
