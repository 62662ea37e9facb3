/* correlation_pool.c: op_correlation_pool: how columns that are near one another move together over the frames of
 * x[B,T,C]. With z = (x - mean) / sqrt(biased variance + eps) over a clip's frames, the result holds for d = 1..near
 * and every c < C - d the mean over frames of z_c z_(c+d), those of d = 1 first. Items are clips. */
#include "tensor/ops.h"
#include <math.h>
#include <string.h>

typedef struct correlations {
    const kernels *k;
    tensor *x, *y;
    int64_t frames, cols, near, size;
    real eps;
    real *stats; /* [B][2][cols] mean, 1 / deviation; of one clip a worker where nothing is recorded */
    real *rows;  /* [workers][3][cols]: a row standardised, zeros, its slopes */
    bool keep;
    real *dx;
    bool fresh;
} correlations;

static void correlate_item(void *arg, int64_t clip, unsigned worker) {
    const correlations *s = arg;
    int64_t cols = s->cols;
    const real *x = s->x->data + clip * s->frames * cols;
    real *y = s->y->data + clip * s->size, inverse = (real)1 / (real)s->frames;
    real *mean = s->stats + (s->keep ? clip : (int64_t)worker) * 2 * cols, *scale = mean + cols;
    real *z = s->rows + (int64_t)worker * 3 * cols, *zeros = z + cols;
    s->k->moments(s->frames, cols, x, mean, scale);
    for (int64_t c = 0; c < cols; c++) {
        scale[c] = (real)(1 / sqrt(scale[c] * inverse + s->eps));
        zeros[c] = 0;
    }
    memset(y, 0, (size_t)s->size * sizeof *y);
    for (int64_t t = 0; t < s->frames; t++) {
        s->k->affine(1, cols, x + t * cols, mean, scale, zeros, false, z);
        real *to = y;
        for (int64_t d = 1; d <= s->near; to += cols - d, d++) {
            s->k->mul_add(cols - d, z, z + d, to);
        }
    }
    s->k->scale(s->size, inverse, y, y);
}

/* With g_c = sum over d of dr_(c,c+d) r_(c,c+d) + dr_(c-d,c) r_(c-d,c):
 * dx_c = (sum over d of dr_(c,c+d) z_(c+d) + dr_(c-d,c) z_(c-d) - g_c z_c) / (T deviation_c) */
static void correlate_backward_item(void *arg, int64_t clip, unsigned worker) {
    const correlations *s = arg;
    int64_t cols = s->cols;
    const real *x = s->x->data + clip * s->frames * cols, *mean = s->stats + clip * 2 * cols, *scale = mean + cols;
    const real *y = s->y->data + clip * s->size, *dy = s->y->grad + clip * s->size;
    real *dx = s->dx + clip * s->frames * cols, *z = s->rows + (int64_t)worker * 3 * cols;
    real *own = z + cols, *slope = own + cols, inverse = (real)1 / (real)s->frames;
    memset(own, 0, (size_t)cols * sizeof *own);
    int64_t at = 0;
    for (int64_t d = 1; d <= s->near; at += cols - d, d++) {
        for (int64_t c = 0; c < cols - d; c++) {
            real share = dy[at + c] * y[at + c];
            own[c] -= share;
            own[c + d] -= share;
        }
    }
    for (int64_t t = 0; t < s->frames; t++, dx += cols) {
        for (int64_t c = 0; c < cols; c++) {
            z[c] = (x[t * cols + c] - mean[c]) * scale[c];
        }
        s->k->mul(cols, own, z, slope);
        const real *from = dy;
        for (int64_t d = 1; d <= s->near; from += cols - d, d++) {
            s->k->mul_add(cols - d, from, z + d, slope);
            s->k->mul_add(cols - d, from, z, slope + d);
        }
        s->k->scale(cols, inverse, slope, slope);
        (s->fresh ? s->k->mul : s->k->mul_add)(cols, slope, scale, dx);
    }
}

static void correlate_backward(tape *t, void *saved) {
    correlations *s = saved;
    s->dx = tape_grad_fresh(t, s->x, &s->fresh);
    s->rows = tape_scratch(t, 3 * s->cols * (int64_t)compute_threads(tape_compute(t)));
    if (tape_ok(t)) {
        compute_for(tape_compute(t), s->x->dim[0], correlate_backward_item, s);
    }
}

tensor *op_correlation_pool(tape *t, tensor *x, int64_t near, real eps) {
    if (x == NULL) {
        return NULL;
    }
    if (x->ndim != 3 || x->dim[1] < 1) {
        tape_fail(t, SPOOR_ERR_USAGE, "correlation_pool: the input must be [B,T,C] with at least one frame");
        return NULL;
    }
    int64_t cols = x->dim[2];
    if (near < 1 || near >= cols) {
        tape_fail(t, SPOOR_ERR_USAGE, "correlation_pool: %lld neighbours of %lld columns; there must be 1 to %lld",
                  (long long)near, (long long)cols, (long long)cols - 1);
        return NULL;
    }
    int64_t size = near * cols - near * (near + 1) / 2;
    correlations *s = tape_alloc(t, 1, sizeof *s);
    tensor *y = tape_tensor(t, 2, (int64_t[]){x->dim[0], size});
    if (s == NULL || y == NULL) {
        return NULL;
    }
    *s = (correlations){.k = tape_kernels(t),
                        .x = x,
                        .y = y,
                        .frames = x->dim[1],
                        .cols = cols,
                        .near = near,
                        .size = size,
                        .eps = eps,
                        .keep = tape_recording(t) && x->needs_grad};
    size_t workers = compute_threads(tape_compute(t));
    s->stats = tape_alloc(t, (size_t)(2 * cols) * (s->keep ? (size_t)x->dim[0] : workers), sizeof *s->stats);
    s->rows = tape_alloc(t, 3 * (size_t)cols * workers, sizeof *s->rows);
    if (!tape_ok(t)) {
        return NULL;
    }
    compute_for(tape_compute(t), x->dim[0], correlate_item, s);
    if (s->keep) {
        tape_record(t, y, correlate_backward, s);
    }
    return y;
}
