/* mix_layers.c: op_mix_layers, a learned weighted sum of hidden states (Peters et al. 2018; Yang et al. 2021); see
 * ops.h. */
#include "tensor/ops/refuse.h"
#include <math.h>

typedef struct mix {
    tensor *out, *x, *w;
    int64_t rows, layers, width;
    real *share; /* softmax(w) [layers] */
    real *dots;  /* backward: [rows][layers], dy . x_l */
    real *dx;
    bool fresh;
    const kernels *k;
} mix;

static void forward_row(void *arg, int64_t row, unsigned worker) {
    (void)worker;
    const mix *s = arg;
    const real *x = s->x->data + row * s->layers * s->width;
    real *y = s->out->data + row * s->width;
    s->k->scale(s->width, s->share[0], x, y);
    for (int64_t l = 1; l < s->layers; l++) {
        s->k->axpy(s->width, s->share[l], x + l * s->width, y);
    }
}

static void backward_row(void *arg, int64_t row, unsigned worker) {
    (void)worker;
    const mix *s = arg;
    const real *x = s->x->data + row * s->layers * s->width, *dy = s->out->grad + row * s->width;
    for (int64_t l = 0; l < s->layers; l++) {
        double dot = 0;
        for (int64_t i = 0; i < s->width; i++) {
            dot += (double)dy[i] * (double)x[l * s->width + i];
        }
        s->dots[row * s->layers + l] = (real)dot;
        if (s->dx != NULL) {
            real *dx = s->dx + (row * s->layers + l) * s->width;
            if (s->fresh) {
                s->k->scale(s->width, s->share[l], dy, dx);
            } else {
                s->k->axpy(s->width, s->share[l], dy, dx);
            }
        }
    }
}

/* With g_l = sum over rows of dy . x_l and p = softmax(w): dw_l = p_l (g_l - sum_k p_k g_k). */
static void backward(tape *t, void *saved) {
    mix *s = saved;
    s->dx = tape_grad_fresh(t, s->x, &s->fresh);
    s->dots = tape_scratch(t, s->rows * s->layers);
    real *dw = tape_grad(t, s->w), *g = tape_scratch(t, s->layers);
    if (!tape_ok(t)) {
        return;
    }
    compute_for(tape_compute(t), s->rows, backward_row, s);
    if (dw == NULL) {
        return;
    }
    double mean = 0;
    for (int64_t l = 0; l < s->layers; l++) {
        double sum = 0;
        for (int64_t r = 0; r < s->rows; r++) {
            sum += (double)s->dots[r * s->layers + l];
        }
        g[l] = (real)sum;
        mean += (double)s->share[l] * sum;
    }
    for (int64_t l = 0; l < s->layers; l++) {
        dw[l] += s->share[l] * (g[l] - (real)mean);
    }
}

tensor *op_mix_layers(tape *t, tensor *x, tensor *w) {
    if (x == NULL || w == NULL) {
        return NULL;
    }
    int64_t layers = tensor_count(w);
    if (w->ndim != 1 || layers < 1 || tensor_cols(x) % layers != 0) {
        return op_refuse(t, "op_mix_layers", "the columns must be as many layers side by side as there are weights", x,
                         w);
    }
    tensor shape = *x;
    shape.dim[x->ndim - 1] = tensor_cols(x) / layers;
    tensor *out = tape_tensor(t, shape.ndim, shape.dim);
    mix *s = tape_alloc(t, 1, sizeof *s);
    real *share = tape_alloc(t, (size_t)layers, sizeof *share);
    if (out == NULL || s == NULL || share == NULL) {
        return NULL;
    }
    *s = (mix){.out = out, .x = x, .w = w, .rows = tensor_rows(x), .layers = layers, .width = tensor_cols(out),
               .share = share, .k = tape_kernels(t)};
    s->k->softmax(layers, w->data, share);
    compute_for(tape_compute(t), s->rows, forward_row, s);
    if (tape_recording(t) && (x->needs_grad || w->needs_grad)) {
        tape_record(t, out, backward, s);
    }
    return out;
}
