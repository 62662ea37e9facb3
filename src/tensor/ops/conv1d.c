/* conv1d.c: op_conv1d; see ops.h. The work is done in conv.c. */
#include "tensor/ops/conv.h"

static tensor *run(tape *t, tensor *x, tensor *w, tensor *b, int64_t stride, int64_t dilation, int64_t pad_left,
                   int64_t pad_right, int64_t groups, const compute_finish *finish) {
    if (x == NULL || w == NULL) {
        return NULL;
    }
    if (x->ndim != 3 || w->ndim != 3 || groups < 1 || x->dim[2] % groups != 0 || w->dim[0] % groups != 0 ||
        x->dim[2] / groups != w->dim[2] || (b != NULL && tensor_count(b) != w->dim[0])) {
        tape_fail(t, SPOOR_ERR_USAGE,
                  "conv1d: input [B,T,C] with %d dimensions and %lld channels in %lld groups does not fit weights "
                  "[O,K,C/groups] with %d dimensions, %lld outputs and %lld channels, and %lld biases",
                  x->ndim, (long long)tensor_cols(x), (long long)groups, w->ndim, (long long)w->dim[0],
                  (long long)tensor_cols(w), (long long)(b != NULL ? tensor_count(b) : 0));
        return NULL;
    }
    int64_t frames = conv_places(x->dim[1], w->dim[1], stride, dilation, pad_left, pad_right);
    if (frames == 0) {
        tape_fail(t, SPOOR_ERR_USAGE,
                  "conv1d: %lld frames with padding %lld and %lld do not fit a kernel of %lld taps (stride %lld, "
                  "dilation %lld)",
                  (long long)x->dim[1], (long long)pad_left, (long long)pad_right, (long long)w->dim[1],
                  (long long)stride, (long long)dilation);
        return NULL;
    }
    conv_shape s = {.clips = x->dim[0], .height = 1, .width = x->dim[1], .channels = x->dim[2], .out_height = 1,
                    .out_width = frames, .out = w->dim[0], .taps_h = 1, .taps_w = w->dim[1], .groups = groups,
                    .stride_h = 1, .stride_w = stride, .dilation = dilation, .pad_left = pad_left};
    return conv_run(t, &s, x, w, b, finish, tape_tensor(t, 3, (int64_t[]){s.clips, frames, s.out}));
}

tensor *op_conv1d(tape *t, tensor *x, tensor *w, tensor *b, int64_t stride, int64_t dilation, int64_t pad_left,
                  int64_t pad_right, int64_t groups) {
    return run(t, x, w, b, stride, dilation, pad_left, pad_right, groups, NULL);
}

tensor *op_conv1d_norm_act(tape *t, tensor *x, tensor *w, tensor *b, int64_t stride, int64_t pad, tensor *g,
                           tensor *shift, real eps, op_act act) {
    bool normed = g != NULL && shift != NULL && w != NULL;
    if (normed && (tensor_count(g) != w->dim[0] || tensor_count(shift) != w->dim[0])) {
        tape_fail(t, SPOOR_ERR_USAGE, "conv1d: a norm of %lld and %lld values does not fit %lld outputs",
                  (long long)tensor_count(g), (long long)tensor_count(shift), (long long)w->dim[0]);
        return NULL;
    }
    if (w == NULL || w->packed == NULL || tape_recording(t)) {
        x = op_conv1d(t, x, w, b, stride, 1, pad, pad, 1);
        return normed ? op_layer_norm_act(t, x, g, shift, eps, act) : op_activation(t, x, act);
    }
    compute_finish finish = {.gain = normed ? g->data : NULL, .shift = normed ? shift->data : NULL, .eps = eps,
                             .act = (int)act};
    return run(t, x, w, b, stride, 1, pad, pad, 1, &finish);
}
