/* activation.c: an activation of its own (op_linear has it built in). */
#include "tensor/ops/chunks.h"
#include "tensor/ops/refuse.h"

typedef struct activation {
    tensor *out, *x;
    op_act act;
} activation;

static void forward(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const activation *s = arg;
    k->activate((int)s->act, end - begin, s->x->data + begin, s->out->data + begin);
}

static void backward_chunk(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const activation *s = arg;
    k->activate_backward((int)s->act, end - begin, s->x->data + begin, s->out->data + begin, s->out->grad + begin,
                         s->out->grad + begin);
}

static void backward(tape *t, void *saved) {
    activation *s = saved;
    chunks_run(t, tensor_count(s->out), CHUNK_ELEMENTS, backward_chunk, s);
    tape_grad_pass(t, s->out, s->x);
}

tensor *op_activation(tape *t, tensor *x, op_act act) {
    if (x == NULL || act == OP_ACT_NONE) {
        return x;
    }
    tensor *out = tape_tensor(t, x->ndim, x->dim);
    activation *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = (activation){out, x, act};
    chunks_run(t, tensor_count(out), CHUNK_ELEMENTS, forward, s);
    if (tape_recording(t) && x->needs_grad) {
        tape_record(t, out, backward, s);
    }
    return out;
}
