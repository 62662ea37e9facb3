/* elementwise.c: sums and products of equal shapes, a row added to all rows, reshape. Where a gradient is the
 * gradient of the result times something, it is computed in the result's buffer, which is then handed over. */
#include "tensor/ops/chunks.h"
#include "tensor/ops/refuse.h"
#include <string.h>

typedef struct args {
    tensor *out, *a, *b;
    real scale;
    const real *x, *y; /* operands of the loop that runs */
    real *z;
} args;

static args *keep(tape *t, args value) {
    args *s = tape_alloc(t, 1, sizeof *s);
    if (s != NULL) {
        *s = value;
    }
    return s;
}

static void record(tape *t, tensor *out, tape_backward_fn fn, args value) {
    bool wanted = value.a->needs_grad || (value.b != NULL && value.b->needs_grad);
    if (tape_recording(t) && wanted) {
        value.out = out;
        args *s = keep(t, value);
        if (s != NULL) {
            tape_record(t, out, fn, s);
        }
    }
}

static void do_add_scaled(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const args *s = arg;
    k->add_scaled(end - begin, s->x + begin, s->scale, s->y + begin, s->z + begin);
}
static void do_scale(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const args *s = arg;
    k->scale(end - begin, s->scale, s->x + begin, s->z + begin);
}
static void do_mul(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const args *s = arg;
    k->mul(end - begin, s->x + begin, s->y + begin, s->z + begin);
}
static void do_mul_add(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const args *s = arg;
    k->mul_add(end - begin, s->x + begin, s->y + begin, s->z + begin);
}

/* gradient of x += scale * gradient of out, leaving the latter as it is */
static void add_grad(tape *t, const tensor *out, tensor *x, real scale) {
    bool fresh;
    real *g = tape_grad_fresh(t, x, &fresh);
    if (g != NULL) {
        args loop = {.scale = scale, .x = fresh ? out->grad : g, .y = out->grad, .z = g};
        chunks_run(t, tensor_count(x), CHUNK_ELEMENTS, fresh ? do_scale : do_add_scaled, &loop);
    }
}

/* ---- a + scale * b ---- */

static void add_backward(tape *t, void *saved) {
    args *s = saved;
    if (s->scale == 1 && !s->a->needs_grad) {
        tape_grad_pass(t, s->out, s->b);
        return;
    }
    add_grad(t, s->out, s->b, s->scale);
    tape_grad_pass(t, s->out, s->a);
}

tensor *op_add(tape *t, tensor *a, tensor *b, real scale) {
    if (a == NULL || b == NULL) {
        return NULL;
    }
    if (!tensor_same_shape(a, b)) {
        return op_refuse(t, "op_add", "they must be equal", a, b);
    }
    tensor *out = tape_tensor(t, a->ndim, a->dim);
    if (out == NULL) {
        return NULL;
    }
    args s = {.a = a, .b = b, .scale = scale, .x = a->data, .y = b->data, .z = out->data};
    chunks_run(t, tensor_count(out), CHUNK_ELEMENTS, do_add_scaled, &s);
    record(t, out, add_backward, s);
    return out;
}

/* ---- a * b ---- */

static void mul_backward(tape *t, void *saved) {
    args *s = saved;
    int64_t n = tensor_count(s->out);
    bool fresh;
    real *g = tape_grad_fresh(t, s->b, &fresh);
    if (g != NULL) {
        args loop = {.x = s->out->grad, .y = s->a->data, .z = g};
        chunks_run(t, n, CHUNK_ELEMENTS, fresh ? do_mul : do_mul_add, &loop);
    }
    if (s->a->needs_grad) {
        args loop = {.x = s->out->grad, .y = s->b->data, .z = s->out->grad};
        chunks_run(t, n, CHUNK_ELEMENTS, do_mul, &loop);
        tape_grad_pass(t, s->out, s->a);
    }
}

tensor *op_mul(tape *t, tensor *a, tensor *b) {
    if (a == NULL || b == NULL) {
        return NULL;
    }
    if (!tensor_same_shape(a, b)) {
        return op_refuse(t, "op_mul", "they must be equal", a, b);
    }
    tensor *out = tape_tensor(t, a->ndim, a->dim);
    if (out == NULL) {
        return NULL;
    }
    args s = {.a = a, .b = b, .x = a->data, .y = b->data, .z = out->data};
    chunks_run(t, tensor_count(out), CHUNK_ELEMENTS, do_mul, &s);
    record(t, out, mul_backward, s);
    return out;
}

/* ---- factor * x ---- */

static void scale_backward(tape *t, void *saved) {
    args *s = saved;
    args loop = {.scale = s->scale, .x = s->out->grad, .z = s->out->grad};
    chunks_run(t, tensor_count(s->out), CHUNK_ELEMENTS, do_scale, &loop);
    tape_grad_pass(t, s->out, s->a);
}

tensor *op_scale(tape *t, tensor *x, real factor) {
    tensor *out = x == NULL ? NULL : tape_tensor(t, x->ndim, x->dim);
    if (out == NULL) {
        return NULL;
    }
    args s = {.a = x, .scale = factor, .x = x->data, .z = out->data};
    chunks_run(t, tensor_count(out), CHUNK_ELEMENTS, do_scale, &s);
    record(t, out, scale_backward, s);
    return out;
}

/* ---- x[..,C] + b[C] ---- */

static void add_row_backward(tape *t, void *saved) {
    args *s = saved;
    real *g = tape_grad(t, s->b);
    if (g != NULL) {
        tape_kernels(t)->sum_rows(tensor_rows(s->out), tensor_cols(s->out), s->out->grad, g);
    }
    tape_grad_pass(t, s->out, s->a);
}

tensor *op_add_row(tape *t, tensor *x, tensor *b) {
    if (x == NULL || b == NULL) {
        return NULL;
    }
    if (b->ndim != 1 || b->dim[0] != tensor_cols(x)) {
        return op_refuse(t, "op_add_row", "the second must be one row of the first", x, b);
    }
    tensor *out = tape_tensor(t, x->ndim, x->dim);
    if (out == NULL) {
        return NULL;
    }
    memcpy(out->data, x->data, (size_t)tensor_count(x) * sizeof *x->data);
    tape_kernels(t)->add_row(tensor_rows(x), tensor_cols(x), b->data, out->data);
    record(t, out, add_row_backward, (args){.a = x, .b = b});
    return out;
}

/* ---- another shape ---- */

static void reshape_backward(tape *t, void *saved) {
    args *s = saved;
    tape_grad_pass(t, s->out, s->a);
}

tensor *op_reshape(tape *t, tensor *x, int ndim, const int64_t *dim) {
    tensor *out = x == NULL ? NULL : tape_view(t, ndim, dim, x->data);
    if (out == NULL) {
        return NULL;
    }
    if (tensor_count(out) != tensor_count(x)) {
        return op_refuse(t, "op_reshape", "they must hold equally many numbers", x, out);
    }
    record(t, out, reshape_backward, (args){.a = x});
    return out;
}

/* ---- one-element results ---- */

static void sum_backward(tape *t, void *saved) {
    args *s = saved;
    bool fresh;
    real *g = tape_grad_fresh(t, s->a, &fresh);
    for (int64_t i = 0, n = tensor_count(s->a); g != NULL && i < n; i++) {
        g[i] = (fresh ? 0 : g[i]) + s->scale * s->out->grad[0];
    }
}

tensor *op_sum(tape *t, tensor *x, real factor) {
    int64_t one = 1;
    tensor *out = x == NULL ? NULL : tape_tensor(t, 1, &one);
    if (out == NULL) {
        return NULL;
    }
    double sum = 0;
    for (int64_t i = 0, n = tensor_count(x); i < n; i++) {
        sum += (double)x->data[i];
    }
    out->data[0] = (real)(sum * (double)factor);
    record(t, out, sum_backward, (args){.a = x, .scale = factor});
    return out;
}

typedef struct weighted {
    tensor *out;
    tensor **x;
    real *weight;
    size_t n;
} weighted;

static void weighted_sum_backward(tape *t, void *saved) {
    weighted *s = saved;
    for (size_t i = 0; i < s->n; i++) {
        real *g = tape_grad(t, s->x[i]);
        if (g != NULL) {
            g[0] += s->weight[i] * s->out->grad[0];
        }
    }
}

tensor *op_weighted_sum(tape *t, tensor *const *x, const real *weight, size_t n) {
    bool wanted = false;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] == NULL) {
            return NULL;
        }
        if (tensor_count(x[i]) != 1) {
            return op_refuse(t, "op_weighted_sum", "every term must have one element", x[i], NULL);
        }
        wanted = wanted || x[i]->needs_grad;
        sum += (double)weight[i] * (double)x[i]->data[0];
    }
    int64_t one = 1;
    tensor *out = tape_tensor(t, 1, &one);
    weighted *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = (weighted){out, tape_alloc(t, n, sizeof *s->x), tape_alloc(t, n, sizeof *s->weight), n};
    if (s->x == NULL || s->weight == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        s->x[i] = x[i];
        s->weight[i] = weight[i];
    }
    out->data[0] = (real)sum;
    if (tape_recording(t) && wanted) {
        tape_record(t, out, weighted_sum_backward, s);
    }
    return out;
}
