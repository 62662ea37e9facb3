/* n_pair.c: multi-class N-pair loss (Sohn 2016, eq. 7). With S = f p^T, log(1 + sum_{j!=i} exp(S_ij - S_ii)) is the
 * cross-entropy of row i of S against class i; its slope by S, (softmax(S) - I)/N, is kept for the backward pass. */
#include "tensor/ops/log_sum.h"
#include "tensor/ops/refuse.h"

typedef struct n_pair {
    tensor *out, *f, *p;
    real *slope; /* [N,N] */
    real l2;
} n_pair;

/* dx += factor * (slope or its transpose) * y + factor * l2/N * x */
static void add_side(tape *t, const n_pair *s, tensor *x, const tensor *y, bool transposed) {
    int64_t n = x->dim[0], e = x->dim[1];
    real *g = tape_grad(t, x);
    if (g == NULL || n == 0) {
        return;
    }
    compute_gemm(&(gemm){.ta = transposed,
                         .m = n,
                         .n = e,
                         .k = n,
                         .a = s->slope,
                         .lda = n,
                         .b = y->data,
                         .ldb = e,
                         .c = g,
                         .ldc = e,
                         .accumulate = true});
    tape_kernels(t)->axpy(n * e, s->out->grad[0] * s->l2 / (real)n, x->data, g);
}

static void backward(tape *t, void *saved) {
    n_pair *s = saved;
    int64_t n = s->f->dim[0];
    tape_kernels(t)->scale(n * n, s->out->grad[0], s->slope, s->slope);
    add_side(t, s, s->f, s->p, false);
    add_side(t, s, s->p, s->f, true);
}

/* S in, slope out; the sum of the rows' losses. */
static double rows_loss(int64_t n, real *s) {
    double loss = 0;
    for (int64_t i = 0; i < n; i++) {
        real *row = s + i * n;
        double total = log_sum_row(n, row);
        loss += total - (double)row[i];
        for (int64_t j = 0; j < n; j++) {
            row[j] = (real)((exp((double)row[j] - total) - (i == j ? 1 : 0)) / (double)n);
        }
    }
    return loss;
}

static double sum_squares(const tensor *x) {
    double sum = 0;
    for (int64_t i = 0, n = tensor_count(x); i < n; i++) {
        sum += (double)x->data[i] * (double)x->data[i];
    }
    return sum;
}

tensor *op_n_pair(tape *t, tensor *f, tensor *p, real l2) {
    if (f == NULL || p == NULL) {
        return NULL;
    }
    if (f->ndim != 2 || !tensor_same_shape(f, p)) {
        return op_refuse(t, "op_n_pair", "both must be [classes, embedding]", f, p);
    }
    int64_t one = 1, n = f->dim[0], e = f->dim[1], square[2] = {n, n};
    tensor *out = tape_tensor(t, 1, &one);
    tensor *slope = tape_tensor(t, 2, square);
    n_pair *s = tape_alloc(t, 1, sizeof *s);
    if (!tape_ok(t)) {
        return NULL;
    }
    compute_gemm(&(gemm){.tb = true,
                         .m = n,
                         .n = n,
                         .k = e,
                         .a = f->data,
                         .lda = e,
                         .b = p->data,
                         .ldb = e,
                         .c = slope->data,
                         .ldc = n});
    double loss = rows_loss(n, slope->data) + 0.5 * (double)l2 * (sum_squares(f) + sum_squares(p));
    out->data[0] = n == 0 ? 0 : (real)(loss / (double)n);
    if (tape_recording(t) && (f->needs_grad || p->needs_grad)) {
        *s = (n_pair){out, f, p, slope->data, l2};
        tape_record(t, out, backward, s);
    }
    return out;
}
