/* group_norm.c: op_group_norm (Wu and He 2018); see ops.h. Items are clips. Saves mean and 1/std, for each clip and
 * column those of the column's group. */
#include "tensor/ops.h"
#include <math.h>
#include <string.h>

typedef struct group_norm {
    const kernels *k;
    tensor *x, *g, *b, *y;
    int64_t clips, rows, cols, groups; /* rows of a clip */
    real eps;
    real *mean, *rstd; /* [clips][cols] */
    real *coef;        /* [clips][3][cols]: of affine and affine_backward */
    real *sums;        /* [clips][2][cols]: sum dy, sum dy (x - mean) */
    real *dx;
    bool fresh;
} group_norm;

/* Joins the moments of the columns (sums of squares in rstd) to those of their group. */
static void join_columns(const group_norm *s, real *mean, real *rstd) {
    int64_t n = s->cols / s->groups;
    for (int64_t first = 0; first < s->cols; first += n) {
        real centre = 0, squares = 0;
        for (int64_t c = first; c < first + n; c++) {
            centre += mean[c];
        }
        centre /= (real)n;
        for (int64_t c = first; c < first + n; c++) {
            real d = mean[c] - centre;
            squares += rstd[c] + (real)s->rows * d * d;
        }
        real r = (real)1 / (real)sqrt(squares / ((real)s->rows * (real)n) + s->eps);
        for (int64_t c = first; c < first + n; c++) {
            mean[c] = centre;
            rstd[c] = r;
        }
    }
}

static void forward_item(void *arg, int64_t clip, unsigned worker) {
    (void)worker;
    group_norm *s = arg;
    real *mean = s->mean + clip * s->cols, *rstd = s->rstd + clip * s->cols, *scale = s->coef + clip * 3 * s->cols;
    int64_t at = clip * s->rows * s->cols;
    s->k->moments(s->rows, s->cols, s->x->data + at, mean, rstd);
    join_columns(s, mean, rstd);
    s->k->mul(s->cols, s->g->data, rstd, scale);
    s->k->affine(s->rows, s->cols, s->x->data + at, mean, scale, s->b->data, false, s->y->data + at);
}

/* With r = rstd and the sums S = sum g dy, P = sum g dy (x - mean) over the N values of a group:
 * dx = r g dy - r^3 P/N (x - mean) - r S/N. */
static void backward_item(void *arg, int64_t clip, unsigned worker) {
    (void)worker;
    group_norm *s = arg;
    int64_t n = s->cols / s->groups, at = clip * s->rows * s->cols;
    const real *mean = s->mean + clip * s->cols, *rstd = s->rstd + clip * s->cols, *g = s->g->data;
    real *sum = s->sums + clip * 2 * s->cols, *product = sum + s->cols;
    real *scale = s->coef + clip * 3 * s->cols, *slope = scale + s->cols, *shift = slope + s->cols;
    memset(sum, 0, (size_t)(2 * s->cols) * sizeof *sum);
    s->k->norm_sums(s->rows, s->cols, s->x->data + at, s->y->grad + at, mean, sum, product);
    if (s->dx == NULL) {
        return;
    }
    real inverse = (real)1 / ((real)s->rows * (real)n);
    for (int64_t first = 0; first < s->cols; first += n) {
        real total = 0, moment = 0, r = rstd[first];
        for (int64_t c = first; c < first + n; c++) {
            total += g[c] * sum[c];
            moment += g[c] * product[c];
        }
        for (int64_t c = first; c < first + n; c++) {
            scale[c] = r * g[c];
            slope[c] = -r * r * r * moment * inverse;
            shift[c] = -r * total * inverse;
        }
    }
    s->k->affine_backward(s->rows, s->cols, s->x->data + at, s->y->grad + at, mean, scale, slope, shift, !s->fresh,
                          s->dx + at);
}

static void backward(tape *t, void *saved) {
    group_norm *s = saved;
    s->dx = tape_grad_fresh(t, s->x, &s->fresh);
    real *dg = tape_grad(t, s->g), *db = tape_grad(t, s->b);
    s->sums = tape_alloc(t, (size_t)(s->clips * 2 * s->cols), sizeof(real));
    if (!tape_ok(t)) {
        return;
    }
    compute_for(tape_compute(t), s->rows == 0 || s->cols == 0 ? 0 : s->clips, backward_item, s);
    for (int64_t i = 0; s->rows > 0 && i < s->clips; i++) {
        const real *sum = s->sums + i * 2 * s->cols;
        if (db != NULL) {
            s->k->axpy(s->cols, 1, sum, db);
        }
        if (dg != NULL) {
            s->k->mul_add(s->cols, sum + s->cols, s->rstd + i * s->cols, dg);
        }
    }
}

tensor *op_group_norm(tape *t, tensor *x, tensor *g, tensor *b, int64_t groups, real eps) {
    if (x == NULL || g == NULL || b == NULL) {
        return NULL;
    }
    int64_t cols = tensor_cols(x), clips = x->dim[0], rows = 1;
    if (x->ndim < 2 || tensor_count(g) != cols || tensor_count(b) != cols || groups < 1 || cols % groups != 0) {
        tape_fail(t, SPOOR_ERR_USAGE,
                  "group_norm: an input [B,..,C] with %d dimensions and %lld columns does not fit %lld groups, %lld "
                  "weights and %lld biases",
                  x->ndim, (long long)cols, (long long)groups, (long long)tensor_count(g), (long long)tensor_count(b));
        return NULL;
    }
    for (int i = 1; i + 1 < x->ndim; i++) {
        rows *= x->dim[i];
    }
    group_norm *s = tape_alloc(t, 1, sizeof *s);
    tensor *y = tape_tensor(t, x->ndim, x->dim);
    real *stats = tape_alloc(t, (size_t)(clips * cols), 5 * sizeof *stats);
    if (s == NULL || y == NULL || stats == NULL) {
        return NULL;
    }
    *s = (group_norm){.k = tape_kernels(t), .x = x, .g = g, .b = b, .y = y, .clips = clips, .rows = rows, .cols = cols,
                      .groups = groups, .eps = eps, .mean = stats, .rstd = stats + clips * cols,
                      .coef = stats + 2 * clips * cols};
    compute_for(tape_compute(t), rows == 0 || cols == 0 ? 0 : clips, forward_item, s);
    if (tape_recording(t) && (x->needs_grad || g->needs_grad || b->needs_grad)) {
        tape_record(t, y, backward, s);
    }
    return y;
}
