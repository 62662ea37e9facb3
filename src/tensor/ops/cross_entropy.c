/* cross_entropy.c: cross-entropy against class numbers or distributions. Both are sum_ic q_ic (-log p_ic) for some
 * q >= 0; its slope by the logits, p_ic sum_c(q_ic) - q_ic, is computed in the forward pass and kept. */
#include "tensor/ops/log_sum.h"
#include "tensor/ops/refuse.h"
#include <math.h>

typedef struct cross_entropy {
    tensor *out, *logits;
    real *slope; /* [B,C] */
} cross_entropy;

/* sum_c q_c (-log softmax(x)_c) and, if slope is not NULL, its gradient. q_c = 0 leaves class c out. */
static double row_loss(int64_t n, const real *x, const double *q, real *slope) {
    double total = log_sum_row(n, x), loss = 0, mass = 0;
    for (int64_t c = 0; c < n; c++) {
        loss += q[c] != 0 ? q[c] * (total - (double)x[c]) : 0;
        mass += q[c];
    }
    for (int64_t c = 0; slope != NULL && c < n; c++) {
        slope[c] = (real)(exp((double)x[c] - total) * mass - q[c]);
    }
    return loss;
}

static void backward(tape *t, void *saved) {
    cross_entropy *s = saved;
    real *g = tape_grad(t, s->logits);
    if (g != NULL) {
        tape_kernels(t)->axpy(tensor_count(s->logits), s->out->grad[0], s->slope, g);
    }
}

/* Fills q[C] for one row; false: the row is left out. */
typedef bool (*row_fn)(const void *arg, int64_t row, double *q);

static tensor *run(tape *t, tensor *logits, row_fn fill, const void *arg) {
    int64_t one = 1, rows = logits->dim[0], n = logits->dim[1];
    bool record = tape_recording(t) && logits->needs_grad;
    tensor *out = tape_tensor(t, 1, &one);
    cross_entropy *s = tape_alloc(t, 1, sizeof *s);
    double *q = tape_alloc(t, (size_t)n, sizeof *q);
    real *slope = record ? tape_alloc(t, (size_t)tensor_count(logits), sizeof *slope) : NULL;
    if (!tape_ok(t)) {
        return NULL;
    }
    double loss = 0;
    for (int64_t r = 0; r < rows; r++) {
        real *row_slope = record ? slope + r * n : NULL;
        if (fill(arg, r, q)) {
            loss += row_loss(n, logits->data + r * n, q, row_slope);
        } else {
            for (int64_t c = 0; record && c < n; c++) {
                row_slope[c] = 0;
            }
        }
    }
    out->data[0] = (real)loss;
    if (record) {
        *s = (cross_entropy){out, logits, slope};
        tape_record(t, out, backward, s);
    }
    return out;
}

/* ---- class numbers ---- */

typedef struct hard {
    const int64_t *target;
    const real *weight;
    double smoothing, total; /* total: sum of the targets' weights */
    int64_t n;
} hard;

static bool hard_row(const void *arg, int64_t row, double *q) {
    const hard *h = arg;
    int64_t target = h->target[row];
    if (target < 0 || !(h->total > 0)) {
        return false;
    }
    for (int64_t c = 0; c < h->n; c++) {
        double w = h->weight == NULL ? 1 : (double)h->weight[c];
        q[c] = w * (h->smoothing / (double)h->n + (c == target ? 1 - h->smoothing : 0)) / h->total;
    }
    return true;
}

tensor *op_cross_entropy(tape *t, tensor *logits, const int64_t *target, const real *class_weight, real smoothing) {
    if (logits == NULL) {
        return NULL;
    }
    if (logits->ndim != 2) {
        return op_refuse(t, "op_cross_entropy", "the logits must be [rows, classes]", logits, NULL);
    }
    if (!(smoothing >= 0 && smoothing < 1)) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_cross_entropy: a label smoothing of %g is not in [0,1)", (double)smoothing);
        return NULL;
    }
    hard h = {target, class_weight, (double)smoothing, 0, logits->dim[1]};
    for (int64_t r = 0; r < logits->dim[0]; r++) {
        if (target[r] < -1 || target[r] >= h.n) {
            tape_fail(t, SPOOR_ERR_USAGE, "op_cross_entropy: row %lld has class %lld of %lld", (long long)r,
                      (long long)target[r], (long long)h.n);
            return NULL;
        }
        if (target[r] >= 0) {
            h.total += class_weight == NULL ? 1 : (double)class_weight[target[r]];
        }
    }
    return run(t, logits, hard_row, &h);
}

/* ---- distributions ---- */

typedef struct soft {
    const real *target, *weight;
    double total;
    int64_t n;
} soft;

static bool soft_row(const void *arg, int64_t row, double *q) {
    const soft *s = arg;
    double w = s->weight == NULL ? 1 : (double)s->weight[row];
    if (w == 0 || !(s->total > 0)) {
        return false;
    }
    for (int64_t c = 0; c < s->n; c++) {
        q[c] = w * (double)s->target[row * s->n + c] / s->total;
    }
    return true;
}

tensor *op_soft_cross_entropy(tape *t, tensor *logits, const real *target, const real *row_weight) {
    if (logits == NULL) {
        return NULL;
    }
    if (logits->ndim != 2) {
        return op_refuse(t, "op_soft_cross_entropy", "the logits must be [rows, classes]", logits, NULL);
    }
    soft s = {target, row_weight, 0, logits->dim[1]};
    for (int64_t r = 0; r < logits->dim[0]; r++) {
        s.total += row_weight == NULL ? 1 : (double)row_weight[r];
    }
    return run(t, logits, soft_row, &s);
}
