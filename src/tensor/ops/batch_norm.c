/* batch_norm.c: op_batch_norm (Ioffe and Szegedy 2015), alone and with an activation behind it in the same pass; see
 * ops.h. Saves mean and 1/std of each column. */
#include "tensor/ops.h"
#include <math.h>
#include <string.h>

enum {
    BATCH_NORM_ROWS = 128,  /* rows of an item that has no sum to make, or a step if that is more */
    BATCH_NORM_STEP = 2048  /* values, about, that are normalised and activated while they are in the first cache */
};

typedef struct batch_norm {
    const kernels *k;
    tensor *x, *g, *b, *y;
    real *mean, *rstd; /* [cols] */
    bool batch;        /* batch statistics were used */
    op_act act;        /* whose slope is computed from its result */
    int64_t rows, cols, items;
    real *part;                   /* [items][2][cols] */
    const real *scale, *slope, *shift; /* of affine and affine_backward, [cols] */
    real *dx;
    bool fresh;
} batch_norm;

/* Rows of a step: a multiple of 8, over which the kernels make their sums. */
static int64_t step_rows(const batch_norm *s) {
    int64_t rows = BATCH_NORM_STEP / (s->cols + 1) / 8 * 8;
    return rows < 8 ? 8 : rows;
}

static int64_t item_rows(const batch_norm *s) {
    return step_rows(s) > BATCH_NORM_ROWS ? step_rows(s) : BATCH_NORM_ROWS;
}

static int64_t row_items(const batch_norm *s) { return s->cols == 0 ? 0 : (s->rows + item_rows(s) - 1) / item_rows(s); }

static int64_t row_range(const batch_norm *s, int64_t item, int64_t *first) {
    *first = item * item_rows(s);
    int64_t left = s->rows - *first;
    return left < item_rows(s) ? left : item_rows(s);
}

static void moments_item(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    batch_norm *s = arg;
    int64_t first = compute_split(s->rows, s->items, item), end = compute_split(s->rows, s->items, item + 1);
    real *part = s->part + item * 2 * s->cols;
    s->k->moments(end - first, s->cols, s->x->data + first * s->cols, part, part + s->cols);
}

/* Batch mean and sum of squared deviations, joined over the items in order. */
static void join_moments(batch_norm *s, real *mean, real *m2) {
    memcpy(mean, s->part, (size_t)s->cols * sizeof *mean);
    memcpy(m2, s->part + s->cols, (size_t)s->cols * sizeof *m2);
    for (int64_t i = 1; i < s->items; i++) {
        int64_t seen = compute_split(s->rows, s->items, i), rows = compute_split(s->rows, s->items, i + 1) - seen;
        real part = (real)rows / (real)(seen + rows), cross = (real)seen * part;
        const real *m = s->part + i * 2 * s->cols;
        for (int64_t c = 0; c < s->cols; c++) {
            real delta = m[c] - mean[c];
            mean[c] += delta * part;
            m2[c] += m[s->cols + c] + delta * delta * cross;
        }
    }
}

static void affine_item(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    batch_norm *s = arg;
    int64_t first, rows = row_range(s, item, &first), step = step_rows(s);
    for (int64_t done = 0, n; done < rows; done += n) {
        n = rows - done < step ? rows - done : step;
        int64_t at = (first + done) * s->cols;
        real *y = s->y->data + at;
        s->k->affine(n, s->cols, s->x->data + at, s->mean, s->scale, s->shift, false, y);
        if (s->act != OP_ACT_NONE) {
            s->k->activate((int)s->act, n * s->cols, y, y);
        }
    }
}

static void sums_item(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    batch_norm *s = arg;
    int64_t first = compute_split(s->rows, s->items, item), end = compute_split(s->rows, s->items, item + 1);
    int64_t step = step_rows(s);
    real *part = s->part + item * 2 * s->cols;
    memset(part, 0, (size_t)(2 * s->cols) * sizeof *part);
    for (int64_t n; first < end; first += n) {
        n = end - first < step ? end - first : step;
        int64_t at = first * s->cols;
        real *dy = s->y->grad + at;
        if (s->act != OP_ACT_NONE) { /* from here on the gradient of what the activation saw */
            s->k->activate_backward((int)s->act, n * s->cols, NULL, s->y->data + at, dy, dy);
        }
        s->k->norm_sums(n, s->cols, s->x->data + at, dy, s->mean, part, part + s->cols);
    }
}

static void dx_item(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    batch_norm *s = arg;
    int64_t first, rows = row_range(s, item, &first), at = first * s->cols;
    s->k->affine_backward(rows, s->cols, s->x->data + at, s->y->grad + at, s->mean, s->scale, s->slope, s->shift,
                          !s->fresh, s->dx + at);
}

/* With sums over the n rows S = sum dy, P = sum dy (x - mean), r = rstd:
 * db = S, dg = P r, and with batch statistics dx = g r (dy - S/n - (x - mean) r^2 P/n), else dx = g r dy. */
static void backward(tape *t, void *saved) {
    batch_norm *s = saved;
    int64_t cols = s->cols;
    s->items = compute_items(s->rows);
    s->part = tape_alloc(t, (size_t)(s->items * 2 * cols), sizeof(real));
    real *coef = tape_alloc(t, (size_t)(3 * cols), sizeof(real));
    real *dg = tape_grad(t, s->g), *db = tape_grad(t, s->b);
    s->dx = tape_grad_fresh(t, s->x, &s->fresh);
    if (!tape_ok(t)) {
        return;
    }
    compute_for(tape_compute(t), cols == 0 ? 0 : s->items, sums_item, s);
    for (int64_t i = 1; i < s->items; i++) {
        s->k->axpy(2 * cols, 1, s->part + i * 2 * cols, s->part);
    }
    real inverse = s->batch && s->rows > 0 ? (real)1 / (real)s->rows : 0;
    for (int64_t c = 0; c < cols; c++) {
        real sum = s->part[c], product = s->part[cols + c] * s->rstd[c], scale = s->g->data[c] * s->rstd[c];
        if (dg != NULL) {
            dg[c] += product;
        }
        if (db != NULL) {
            db[c] += sum;
        }
        coef[c] = scale;
        coef[cols + c] = -scale * s->rstd[c] * product * inverse;
        coef[2 * cols + c] = -scale * sum * inverse;
    }
    s->scale = coef;
    s->slope = coef + cols;
    s->shift = coef + 2 * cols;
    if (s->dx != NULL) {
        compute_for(tape_compute(t), row_items(s), dx_item, s);
    }
}

static bool shapes_fit(tape *t, const tensor *x, const tensor *g, const tensor *b, const tensor *m, const tensor *v) {
    int64_t cols = tensor_cols(x);
    if (tensor_count(g) == cols && tensor_count(b) == cols && tensor_count(m) == cols && tensor_count(v) == cols) {
        return true;
    }
    tape_fail(t, SPOOR_ERR_USAGE,
              "batch_norm: %lld columns need as many weights, biases, running means and variances, not %lld, %lld, "
              "%lld and %lld",
              (long long)cols, (long long)tensor_count(g), (long long)tensor_count(b), (long long)tensor_count(m),
              (long long)tensor_count(v));
    return false;
}

/* Batch statistics into mean and rstd, and a step of the running ones. One row has no unbiased variance: the running
 * variance then stays. */
static void use_batch(tape *t, batch_norm *s, tensor *running_mean, tensor *running_var, real momentum, real eps) {
    s->items = compute_items(s->rows);
    s->part = tape_alloc(t, (size_t)(s->items * 2 * s->cols), sizeof(real));
    if (s->part == NULL) {
        return;
    }
    compute_for(tape_compute(t), s->cols == 0 ? 0 : s->items, moments_item, s);
    join_moments(s, s->mean, s->rstd);
    real n = (real)s->rows;
    bool follow = !tape_replaying(t); /* a step is counted once */
    for (int64_t c = 0; c < s->cols; c++) {
        real m2 = s->rstd[c];
        if (follow) {
            running_mean->data[c] += momentum * (s->mean[c] - running_mean->data[c]);
        }
        if (follow && s->rows > 1) {
            running_var->data[c] += momentum * (m2 / (n - 1) - running_var->data[c]);
        }
        s->rstd[c] = (real)1 / (real)sqrt(m2 / n + eps);
    }
}

tensor *op_batch_norm(tape *t, tensor *x, tensor *g, tensor *b, tensor *running_mean, tensor *running_var,
                      real momentum, real eps) {
    return op_batch_norm_act(t, x, g, b, running_mean, running_var, momentum, eps, OP_ACT_NONE);
}

tensor *op_batch_norm_act(tape *t, tensor *x, tensor *g, tensor *b, tensor *running_mean, tensor *running_var,
                          real momentum, real eps, op_act act) {
    if (op_act_needs_input(act)) {
        tape_fail(t, SPOOR_ERR_USAGE, "batch_norm: the slope of this activation needs its input, which is not kept");
        return NULL;
    }
    if (x == NULL || g == NULL || b == NULL || running_mean == NULL || running_var == NULL ||
        !shapes_fit(t, x, g, b, running_mean, running_var)) {
        return NULL;
    }
    int64_t cols = tensor_cols(x), rows = tensor_rows(x);
    batch_norm *s = tape_alloc(t, 1, sizeof *s);
    tensor *y = tape_tensor(t, x->ndim, x->dim);
    real *stats = tape_alloc(t, (size_t)cols, 3 * sizeof *stats);
    if (s == NULL || y == NULL || stats == NULL) {
        return NULL;
    }
    real *mean = stats, *rstd = stats + cols, *scale = stats + 2 * cols;
    *s = (batch_norm){.k = tape_kernels(t), .x = x, .g = g, .b = b, .y = y, .mean = mean, .rstd = rstd,
                      .batch = tape_training(t), .rows = rows, .cols = cols, .scale = scale, .shift = b->data,
                      .act = act};
    if (rows == 0) {
        memset(stats, 0, (size_t)cols * 3 * sizeof *stats);
    } else if (s->batch) {
        use_batch(t, s, running_mean, running_var, momentum, eps);
    } else {
        memcpy(mean, running_mean->data, (size_t)cols * sizeof *mean);
        for (int64_t c = 0; c < cols; c++) {
            rstd[c] = (real)1 / (real)sqrt(running_var->data[c] + eps);
        }
    }
    if (!tape_ok(t)) {
        return NULL;
    }
    for (int64_t c = 0; c < cols; c++) {
        scale[c] = g->data[c] * rstd[c];
    }
    compute_for(tape_compute(t), row_items(s), affine_item, s);
    if (tape_recording(t) && (x->needs_grad || g->needs_grad || b->needs_grad)) {
        tape_record(t, y, backward, s);
    }
    return y;
}
