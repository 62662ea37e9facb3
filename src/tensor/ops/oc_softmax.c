/* oc_softmax.c: One-Class Softmax (Zhang et al. 2021) of cosines to a centre. Each row's slope is computed in the
 * forward pass and kept. */
#include "tensor/ops/refuse.h"
#include <math.h>

typedef struct oc_softmax {
    tensor *out, *cosine;
    real *slope; /* [B] */
} oc_softmax;

static void backward(tape *t, void *saved) {
    oc_softmax *s = saved;
    real *g = tape_grad(t, s->cosine);
    if (g != NULL) {
        tape_kernels(t)->axpy(tensor_count(s->cosine), s->out->grad[0], s->slope, g);
    }
}

/* log(1 + exp(x)), and its slope 1 / (1 + exp(-x)) */
static double softplus(double x, double *slope) {
    double e = exp(-fabs(x));
    *slope = x > 0 ? 1 / (1 + e) : e / (1 + e);
    return fmax(x, 0) + log1p(e);
}

static double row_loss(const op_margins *m, double cosine, double share, double *slope) {
    double real_slope, fake_slope, alpha = (double)m->alpha;
    double real_loss = softplus(alpha * ((double)m->r_real - cosine), &real_slope);
    double fake_loss = softplus(alpha * (cosine - (double)m->r_fake), &fake_slope);
    *slope = alpha * ((1 - share) * fake_slope - share * real_slope);
    return share * real_loss + (1 - share) * fake_loss;
}

tensor *op_oc_softmax(tape *t, tensor *cosine, const real *share, const real *weight, const op_margins *margins) {
    if (cosine == NULL) {
        return NULL;
    }
    if (cosine->ndim != 2 || cosine->dim[1] != 1) {
        return op_refuse(t, "op_oc_softmax", "cosines must be [clips, 1]", cosine, NULL);
    }
    int64_t one = 1, rows = cosine->dim[0];
    tensor *out = tape_tensor(t, 1, &one);
    oc_softmax *s = tape_alloc(t, 1, sizeof *s);
    real *slope = tape_alloc(t, (size_t)rows, sizeof *slope);
    if (!tape_ok(t)) {
        return NULL;
    }
    double loss = 0, total = 0;
    for (int64_t i = 0; i < rows; i++) {
        total += weight == NULL ? 1 : (double)weight[i];
    }
    for (int64_t i = 0; i < rows; i++) {
        double w = (weight == NULL ? 1 : (double)weight[i]) / (total > 0 ? total : 1), own = 0;
        loss += w > 0 ? w * row_loss(margins, (double)cosine->data[i], (double)share[i], &own) : 0;
        slope[i] = (real)(w * own);
    }
    out->data[0] = (real)loss;
    if (tape_recording(t) && cosine->needs_grad) {
        *s = (oc_softmax){out, cosine, slope};
        tape_record(t, out, backward, s);
    }
    return out;
}
