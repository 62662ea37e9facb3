/* dropout.c: the mask is a hash of (stream of this op, position), so backward computes it again instead of keeping
 * it. */
#include "tensor/ops/chunks.h"
#include "tensor/ops/refuse.h"

typedef struct dropout {
    tensor *out;
    tensor *x;
    uint64_t key;
    uint32_t threshold;
    real scale;
    const real *from;
    real *to;
} dropout;

static void mask(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const dropout *s = arg;
    k->dropout(end - begin, s->key, (uint32_t)begin, s->threshold, s->scale, s->from + begin, s->to + begin);
}

static void backward(tape *t, void *saved) {
    dropout *s = saved;
    s->from = s->to = s->out->grad;
    chunks_run(t, tensor_count(s->out), CHUNK_ELEMENTS, mask, s);
    tape_grad_pass(t, s->out, s->x);
}

tensor *op_dropout(tape *t, tensor *x, double p) {
    if (x == NULL || !tape_training(t) || p == 0) {
        return x;
    }
    if (!(p > 0 && p < 1)) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_dropout: a probability of %g is not in [0,1)", p);
        return NULL;
    }
    tensor *out = tape_tensor(t, x->ndim, x->dim);
    dropout *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    rng r = tape_rng(t);
    *s = (dropout){.out = out,
                   .x = x,
                   .key = rng_u64(&r),
                   .threshold = (uint32_t)(p * 4294967296.0),
                   .scale = (real)(1 / (1 - p)),
                   .from = x->data,
                   .to = out->data};
    chunks_run(t, tensor_count(x), CHUNK_ELEMENTS, mask, s);
    if (tape_recording(t) && x->needs_grad) {
        tape_record(t, out, backward, s);
    }
    return out;
}
