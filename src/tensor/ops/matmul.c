/* matmul.c: products of two variable matrices, clip by clip. */
#include "tensor/ops/refuse.h"

typedef struct matmul {
    tensor *out, *a, *b;
    bool trans_b;
    int64_t clips, m, n, k;
    real *da, *db; /* while backward runs */
    bool da_fresh, db_fresh;
} matmul;

static void forward(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    const matmul *s = arg;
    compute_gemm(&(gemm){.tb = s->trans_b,
                         .m = s->m,
                         .n = s->n,
                         .k = s->k,
                         .a = s->a->data + item * s->m * s->k,
                         .lda = s->k,
                         .b = s->b->data + item * s->k * s->n,
                         .ldb = s->trans_b ? s->k : s->n,
                         .c = s->out->data + item * s->m * s->n,
                         .ldc = s->n});
}

/* dA = dC B^T and dB = A^T dC; with B stored transposed, dA = dC B and dB = dC^T A. */
static void backward_a(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    const matmul *s = arg;
    compute_gemm(&(gemm){.tb = !s->trans_b,
                         .m = s->m,
                         .n = s->k,
                         .k = s->n,
                         .a = s->out->grad + item * s->m * s->n,
                         .lda = s->n,
                         .b = s->b->data + item * s->k * s->n,
                         .ldb = s->trans_b ? s->k : s->n,
                         .c = s->da + item * s->m * s->k,
                         .ldc = s->k,
                         .accumulate = !s->da_fresh});
}

static void backward_b(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    const matmul *s = arg;
    const real *dc = s->out->grad + item * s->m * s->n, *a = s->a->data + item * s->m * s->k;
    compute_gemm(&(gemm){.ta = true,
                         .m = s->trans_b ? s->n : s->k,
                         .n = s->trans_b ? s->k : s->n,
                         .k = s->m,
                         .a = s->trans_b ? dc : a,
                         .lda = s->trans_b ? s->n : s->k,
                         .b = s->trans_b ? a : dc,
                         .ldb = s->trans_b ? s->k : s->n,
                         .c = s->db + item * s->k * s->n,
                         .ldc = s->trans_b ? s->k : s->n,
                         .accumulate = !s->db_fresh});
}

/* One after the other, so that a and b may be the same tensor. */
static void backward(tape *t, void *saved) {
    matmul *s = saved;
    s->da = tape_grad_fresh(t, s->a, &s->da_fresh);
    if (s->da != NULL) {
        compute_for(tape_compute(t), s->clips, backward_a, s);
    }
    s->db = tape_grad_fresh(t, s->b, &s->db_fresh);
    if (s->db != NULL) {
        compute_for(tape_compute(t), s->clips, backward_b, s);
    }
}

tensor *op_matmul(tape *t, tensor *a, tensor *b, bool trans_b) {
    if (a == NULL || b == NULL) {
        return NULL;
    }
    int d = a->ndim - 2; /* number of the row dimension */
    bool fit = (d == 0 || d == 1) && b->ndim == a->ndim && (d == 0 || a->dim[0] == b->dim[0]) &&
               a->dim[d + 1] == b->dim[trans_b ? d + 1 : d];
    if (!fit) {
        return op_refuse(t, "op_matmul", "rows of the first and columns of the second must be equally long", a, b);
    }
    matmul value = {.a = a, .b = b, .trans_b = trans_b, .clips = d == 0 ? 1 : a->dim[0]};
    value.m = a->dim[d];
    value.k = a->dim[d + 1];
    value.n = b->dim[trans_b ? d : d + 1];
    tensor shape = *a;
    shape.dim[d + 1] = value.n;
    tensor *out = tape_tensor(t, shape.ndim, shape.dim);
    matmul *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = value;
    s->out = out;
    compute_for(tape_compute(t), s->clips, forward, s);
    if (tape_recording(t) && (a->needs_grad || b->needs_grad)) {
        tape_record(t, out, backward, s);
    }
    return out;
}
