/* softmax.c: softmax and its logarithm over the last dimension. */
#include "tensor/ops/chunks.h"
#include "tensor/ops/log_sum.h"
#include "tensor/ops/refuse.h"
#include <math.h>

typedef struct softmax {
    tensor *out, *x;
    real *dx;
} softmax;

static tensor *run(tape *t, tensor *x, chunk_fn forward, tape_backward_fn backward) {
    tensor *out = x == NULL ? NULL : tape_tensor(t, x->ndim, x->dim);
    softmax *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = (softmax){.out = out, .x = x};
    if (tensor_count(x) > 0) {
        chunks_run(t, tensor_rows(x), chunks_rows(tensor_cols(x)), forward, s);
    }
    if (tape_recording(t) && x->needs_grad) {
        tape_record(t, out, backward, s);
    }
    return out;
}

static void run_backward(tape *t, softmax *s, chunk_fn rows) {
    s->dx = tape_grad(t, s->x);
    if (s->dx != NULL && tensor_count(s->x) > 0) {
        chunks_run(t, tensor_rows(s->x), chunks_rows(tensor_cols(s->x)), rows, s);
    }
}

static void softmax_rows(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const softmax *s = arg;
    int64_t c = tensor_cols(s->x);
    for (int64_t r = begin; r < end; r++) {
        k->softmax(c, s->x->data + r * c, s->out->data + r * c);
    }
}

static void softmax_backward_rows(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const softmax *s = arg;
    int64_t c = tensor_cols(s->x);
    for (int64_t r = begin; r < end; r++) {
        k->softmax_backward(c, s->out->data + r * c, s->out->grad + r * c, s->dx + r * c);
    }
}

static void softmax_backward(tape *t, void *saved) { run_backward(t, saved, softmax_backward_rows); }

tensor *op_softmax(tape *t, tensor *x) { return run(t, x, softmax_rows, softmax_backward); }

/* y = x - log(sum exp(x)); dx = dy - exp(y) sum(dy) */
static void log_softmax_rows(const kernels *k, void *arg, int64_t begin, int64_t end) {
    (void)k;
    const softmax *s = arg;
    int64_t c = tensor_cols(s->x);
    for (int64_t r = begin; r < end; r++) {
        const real *x = s->x->data + r * c;
        double total = log_sum_row(c, x);
        for (int64_t i = 0; i < c; i++) {
            s->out->data[r * c + i] = (real)((double)x[i] - total);
        }
    }
}

static void log_softmax_backward_rows(const kernels *k, void *arg, int64_t begin, int64_t end) {
    (void)k;
    const softmax *s = arg;
    int64_t c = tensor_cols(s->x);
    for (int64_t r = begin; r < end; r++) {
        const real *dy = s->out->grad + r * c, *y = s->out->data + r * c;
        double sum = 0;
        for (int64_t i = 0; i < c; i++) {
            sum += (double)dy[i];
        }
        for (int64_t i = 0; i < c; i++) {
            s->dx[r * c + i] += (real)((double)dy[i] - exp((double)y[i]) * sum);
        }
    }
}

static void log_softmax_backward(tape *t, void *saved) { run_backward(t, saved, log_softmax_backward_rows); }

tensor *op_log_softmax(tape *t, tensor *x) { return run(t, x, log_softmax_rows, log_softmax_backward); }
