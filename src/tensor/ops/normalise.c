/* normalise.c: rows of unit length. */
#include "tensor/ops/chunks.h"
#include "tensor/ops/refuse.h"
#include <math.h>

typedef struct normalise {
    tensor *out, *x;
    real *norm; /* of each row */
    real eps;
    real *dx;
    bool fresh;
} normalise;

static void forward(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const normalise *s = arg;
    int64_t c = tensor_cols(s->x);
    for (int64_t r = begin; r < end; r++) {
        const real *x = s->x->data + r * c;
        double sum = 0;
        for (int64_t i = 0; i < c; i++) {
            sum += (double)x[i] * (double)x[i];
        }
        s->norm[r] = (real)sqrt(sum);
        k->scale(c, 1 / (s->norm[r] > s->eps ? s->norm[r] : s->eps), x, s->out->data + r * c);
    }
}

/* dx = (dy - y (y . dy)) / |x|, or dy / eps for rows shorter than eps */
static void backward_rows(const kernels *k, void *arg, int64_t begin, int64_t end) {
    (void)k;
    const normalise *s = arg;
    int64_t c = tensor_cols(s->x);
    for (int64_t r = begin; r < end; r++) {
        const real *dy = s->out->grad + r * c, *y = s->out->data + r * c;
        real *dx = s->dx + r * c;
        bool unit = s->norm[r] > s->eps;
        double dot = 0;
        for (int64_t i = 0; unit && i < c; i++) {
            dot += (double)y[i] * (double)dy[i];
        }
        real factor = 1 / (unit ? s->norm[r] : s->eps);
        for (int64_t i = 0; i < c; i++) {
            dx[i] = (s->fresh ? 0 : dx[i]) + factor * (dy[i] - (real)dot * y[i]);
        }
    }
}

static void backward(tape *t, void *saved) {
    normalise *s = saved;
    s->dx = tape_grad_fresh(t, s->x, &s->fresh);
    if (s->dx != NULL) {
        chunks_run(t, tensor_rows(s->x), chunks_rows(tensor_cols(s->x)), backward_rows, s);
    }
}

tensor *op_normalise(tape *t, tensor *x, real eps) {
    if (x == NULL) {
        return NULL;
    }
    if (!(eps > 0)) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_normalise: eps must be above 0, not %g", (double)eps);
        return NULL;
    }
    tensor *out = tape_tensor(t, x->ndim, x->dim);
    normalise *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    real *norm = s == NULL ? NULL : tape_alloc(t, (size_t)tensor_rows(x), sizeof *norm);
    if (norm == NULL) {
        return NULL;
    }
    *s = (normalise){.out = out, .x = x, .norm = norm, .eps = eps};
    chunks_run(t, tensor_rows(x), chunks_rows(tensor_cols(x)), forward, s);
    if (tape_recording(t) && x->needs_grad) {
        tape_record(t, out, backward, s);
    }
    return out;
}
