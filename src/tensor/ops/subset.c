/* subset.c: probabilities of sets of classes: the log of weighted sums of exponentials, and the loss that says that the
 * class is one of a set. Sums are in double, row by row. */
#include "tensor/ops/refuse.h"
#include <math.h>

/* log sum_c w_c exp(x_c), w NULL: all 1 (log_sum.h has neither weights nor shares). share (may be NULL) gets w_c
 * exp(x_c) divided by the sum. -INFINITY: no w_c is above 0. NaN: an x_c is NaN or infinity. */
static double log_sum(int64_t n, const real *x, const real *w, double *share) {
    double top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < n; c++) {
        top = (w == NULL || w[c] > 0) && (double)x[c] > top ? (double)x[c] : top;
    }
    for (int64_t c = 0; c < n; c++) {
        double own = w == NULL ? 1 : (double)w[c], e = own > 0 ? own * exp((double)x[c] - top) : 0;
        sum += e;
        if (share != NULL) {
            share[c] = e;
        }
    }
    for (int64_t c = 0; share != NULL && sum != 0 && c < n; c++) {
        share[c] /= sum;
    }
    return sum == 0 ? -INFINITY : top + log(sum);
}

/* ---- weighted sums ---- */

typedef struct log_mix {
    tensor *out, *x;
    real *share; /* [B,G,C]: d out[b,g] / d x[b,c] */
} log_mix;

static void log_mix_backward(tape *t, void *saved) {
    log_mix *s = saved;
    real *g = tape_grad(t, s->x);
    int64_t rows = s->x->dim[0], n = s->x->dim[1], groups = s->out->dim[1];
    for (int64_t r = 0; g != NULL && r < rows; r++) {
        for (int64_t k = 0; k < groups; k++) {
            tape_kernels(t)->axpy(n, s->out->grad[r * groups + k], s->share + (r * groups + k) * n, g + r * n);
        }
    }
}

tensor *op_log_mix(tape *t, tensor *x, const real *weight, int64_t groups) {
    if (x == NULL) {
        return NULL;
    }
    if (x->ndim != 2) {
        return op_refuse(t, "op_log_mix", "the logits must be [rows, classes]", x, NULL);
    }
    int64_t rows = x->dim[0], n = x->dim[1], dim[2] = {rows, groups};
    bool record = tape_recording(t) && x->needs_grad;
    tensor *out = tape_tensor(t, 2, dim);
    log_mix *s = tape_alloc(t, 1, sizeof *s);
    double *row = tape_alloc(t, (size_t)n, sizeof *row);
    real *share = record ? tape_alloc(t, (size_t)(rows * groups * n), sizeof *share) : NULL;
    if (!tape_ok(t)) {
        return NULL;
    }
    for (int64_t i = 0; i < rows * groups; i++) {
        double y = log_sum(n, x->data + i / groups * n, weight + i % groups * n, row);
        if (y == -INFINITY) {
            tape_fail(t, SPOOR_ERR_USAGE, "op_log_mix: no class of group %lld has a weight above 0",
                      (long long)(i % groups));
            return NULL;
        }
        out->data[i] = (real)y;
        for (int64_t c = 0; record && c < n; c++) {
            share[i * n + c] = (real)row[c];
        }
    }
    if (record) {
        *s = (log_mix){out, x, share};
        tape_record(t, out, log_mix_backward, s);
    }
    return out;
}

/* ---- the loss ---- */

typedef struct set_nll {
    tensor *out, *x;
    real *slope; /* [B,C] */
} set_nll;

static void set_nll_backward(tape *t, void *saved) {
    set_nll *s = saved;
    real *g = tape_grad(t, s->x);
    if (g != NULL) {
        tape_kernels(t)->axpy(tensor_count(s->x), s->out->grad[0], s->slope, g);
    }
}

static bool takes_part(int64_t n, const real *member) {
    for (int64_t c = 0; c < n; c++) {
        if (member[c] > 0) {
            return true;
        }
    }
    return false;
}

tensor *op_set_nll(tape *t, tensor *logits, const real *member, const real *row_weight) {
    if (logits == NULL) {
        return NULL;
    }
    if (logits->ndim != 2) {
        return op_refuse(t, "op_set_nll", "the logits must be [rows, classes]", logits, NULL);
    }
    int64_t one = 1, rows = logits->dim[0], n = logits->dim[1];
    bool record = tape_recording(t) && logits->needs_grad;
    tensor *out = tape_tensor(t, 1, &one);
    set_nll *s = tape_alloc(t, 1, sizeof *s);
    double *p = tape_alloc(t, (size_t)n, sizeof *p), *q = tape_alloc(t, (size_t)n, sizeof *q);
    real *slope = record ? tape_alloc(t, (size_t)tensor_count(logits), sizeof *slope) : NULL;
    if (!tape_ok(t)) {
        return NULL;
    }
    double total = 0, loss = 0;
    for (int64_t r = 0; r < rows; r++) {
        total += takes_part(n, member + r * n) ? (row_weight == NULL ? 1 : (double)row_weight[r]) : 0;
    }
    for (int64_t r = 0; r < rows; r++) {
        double w = row_weight == NULL ? 1 : (double)row_weight[r];
        bool counts = w > 0 && takes_part(n, member + r * n);
        w = counts ? w / total : 0;
        const real *x = logits->data + r * n;
        loss += counts ? w * (log_sum(n, x, NULL, p) - log_sum(n, x, member + r * n, q)) : 0;
        for (int64_t c = 0; record && c < n; c++) {
            slope[r * n + c] = (real)(counts ? w * (p[c] - q[c]) : 0);
        }
    }
    out->data[0] = (real)loss;
    if (record) {
        *s = (set_nll){out, logits, slope};
        tape_record(t, out, set_nll_backward, s);
    }
    return out;
}
