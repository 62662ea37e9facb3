/* glu.c: gated linear unit (Dauphin et al. 2017): the first half of the columns times the sigmoid of the second. */
#include "tensor/ops/chunks.h"
#include "tensor/ops/refuse.h"

typedef struct glu {
    tensor *out, *x;
    real *dx;
    bool fresh;
} glu;

static void forward(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const glu *s = arg;
    int64_t c = tensor_cols(s->out);
    for (int64_t r = begin; r < end; r++) {
        const real *x = s->x->data + 2 * c * r;
        k->glu(c, x, x + c, s->out->data + c * r);
    }
}

static void backward_rows(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const glu *s = arg;
    int64_t c = tensor_cols(s->out);
    for (int64_t r = begin; r < end; r++) {
        const real *x = s->x->data + 2 * c * r;
        real *dx = s->dx + 2 * c * r;
        k->glu_backward(c, x, x + c, s->out->grad + c * r, !s->fresh, dx, dx + c);
    }
}

static void backward(tape *t, void *saved) {
    glu *s = saved;
    s->dx = tape_grad_fresh(t, s->x, &s->fresh);
    if (s->dx != NULL) {
        chunks_run(t, tensor_rows(s->out), chunks_rows(tensor_cols(s->x)), backward_rows, s);
    }
}

tensor *op_glu(tape *t, tensor *x) {
    if (x == NULL) {
        return NULL;
    }
    if (tensor_cols(x) % 2 != 0) {
        return op_refuse(t, "op_glu", "the number of columns must be even", x, NULL);
    }
    tensor shape = *x;
    shape.dim[x->ndim - 1] /= 2;
    tensor *out = tape_tensor(t, shape.ndim, shape.dim);
    glu *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = (glu){.out = out, .x = x};
    chunks_run(t, tensor_rows(out), chunks_rows(tensor_cols(x)), forward, s);
    if (tape_recording(t) && x->needs_grad) {
        tape_record(t, out, backward, s);
    }
    return out;
}
