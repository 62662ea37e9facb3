/* elementwise_max.c: op_max, op_abs and op_scale_rows. */
#include "tensor/ops/chunks.h"
#include "tensor/ops/refuse.h"

typedef struct args {
    tensor *out, *a, *b;
    int64_t cols;
    real *da, *db; /* while backward runs */
} args;

static args *keep(tape *t, args value) {
    args *s = tape_alloc(t, 1, sizeof *s);
    if (s != NULL) {
        *s = value;
    }
    return s;
}

static tensor *run(tape *t, args *s, int64_t n, int64_t size, chunk_fn forward, tape_backward_fn backward) {
    if (s == NULL) {
        return NULL;
    }
    chunks_run(t, n, size, forward, s);
    if (tape_recording(t) && (s->a->needs_grad || (s->b != NULL && s->b->needs_grad))) {
        tape_record(t, s->out, backward, s);
    }
    return s->out;
}

/* ---- max(a, b) ---- */

static void max_forward(const kernels *k, void *arg, int64_t begin, int64_t end) {
    (void)k;
    const args *s = arg;
    for (int64_t i = begin; i < end; i++) {
        real a = s->a->data[i], b = s->b->data[i];
        s->out->data[i] = a != a || a > b ? a : b; /* NaN stays */
    }
}

static void max_slopes(const kernels *k, void *arg, int64_t begin, int64_t end) {
    (void)k;
    const args *s = arg;
    for (int64_t i = begin; i < end; i++) {
        real a = s->a->data[i], b = s->b->data[i], g = s->out->grad[i], share = a > b ? 1 : a < b ? 0 : (real)0.5;
        if (s->da != NULL) {
            s->da[i] += share * g;
        }
        if (s->db != NULL) {
            s->db[i] += (1 - share) * g;
        }
    }
}

static void max_backward(tape *t, void *saved) {
    args *s = saved;
    s->da = tape_grad(t, s->a);
    s->db = tape_grad(t, s->b);
    if (tape_ok(t)) {
        chunks_run(t, tensor_count(s->out), CHUNK_ELEMENTS, max_slopes, s);
    }
}

tensor *op_max(tape *t, tensor *a, tensor *b) {
    if (a == NULL || b == NULL) {
        return NULL;
    }
    if (!tensor_same_shape(a, b)) {
        return op_refuse(t, "op_max", "they must be equal", a, b);
    }
    tensor *out = tape_tensor(t, a->ndim, a->dim);
    return out == NULL ? NULL
                       : run(t, keep(t, (args){.out = out, .a = a, .b = b}), tensor_count(out), CHUNK_ELEMENTS,
                             max_forward, max_backward);
}

/* ---- |x| ---- */

static void abs_forward(const kernels *k, void *arg, int64_t begin, int64_t end) {
    (void)k;
    const args *s = arg;
    for (int64_t i = begin; i < end; i++) {
        real x = s->a->data[i];
        s->out->data[i] = x < 0 ? -x : x;
    }
}

static void abs_slopes(const kernels *k, void *arg, int64_t begin, int64_t end) {
    (void)k;
    const args *s = arg;
    for (int64_t i = begin; i < end; i++) {
        real x = s->a->data[i];
        s->da[i] += x < 0 ? -s->out->grad[i] : x > 0 ? s->out->grad[i] : 0;
    }
}

static void abs_backward(tape *t, void *saved) {
    args *s = saved;
    s->da = tape_grad(t, s->a);
    if (s->da != NULL) {
        chunks_run(t, tensor_count(s->out), CHUNK_ELEMENTS, abs_slopes, s);
    }
}

tensor *op_abs(tape *t, tensor *x) {
    tensor *out = x == NULL ? NULL : tape_tensor(t, x->ndim, x->dim);
    return out == NULL ? NULL
                       : run(t, keep(t, (args){.out = out, .a = x}), tensor_count(out), CHUNK_ELEMENTS, abs_forward,
                             abs_backward);
}

/* ---- rows times numbers ---- */

static void rows_forward(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const args *s = arg;
    for (int64_t r = begin; r < end; r++) {
        k->scale(s->cols, s->b->data[r], s->a->data + r * s->cols, s->out->data + r * s->cols);
    }
}

static void rows_slopes(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const args *s = arg;
    for (int64_t r = begin; r < end; r++) {
        const real *g = s->out->grad + r * s->cols, *x = s->a->data + r * s->cols;
        if (s->da != NULL) {
            k->axpy(s->cols, s->b->data[r], g, s->da + r * s->cols);
        }
        double sum = 0;
        for (int64_t c = 0; s->db != NULL && c < s->cols; c++) {
            sum += (double)g[c] * (double)x[c];
        }
        if (s->db != NULL) {
            s->db[r] += (real)sum;
        }
    }
}

static void rows_backward(tape *t, void *saved) {
    args *s = saved;
    s->da = tape_grad(t, s->a);
    s->db = tape_grad(t, s->b);
    if (tape_ok(t)) {
        chunks_run(t, tensor_count(s->b), chunks_rows(s->cols), rows_slopes, s);
    }
}

tensor *op_scale_rows(tape *t, tensor *x, tensor *s) {
    if (x == NULL || s == NULL) {
        return NULL;
    }
    if (tensor_rows(x) != tensor_count(s)) {
        return op_refuse(t, "op_scale_rows", "every row needs one number", x, s);
    }
    tensor *out = tape_tensor(t, x->ndim, x->dim);
    int64_t cols = tensor_cols(x);
    return out == NULL ? NULL
                       : run(t, keep(t, (args){.out = out, .a = x, .b = s, .cols = cols}), tensor_count(s),
                             chunks_rows(cols), rows_forward, rows_backward);
}
