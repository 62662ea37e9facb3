/* conv2d.c: op_conv2d; see ops.h. The work is done in conv.c. */
#include "tensor/ops/conv.h"

tensor *op_conv2d(tape *t, tensor *x, tensor *w, tensor *b, int64_t stride_h, int64_t stride_w, int64_t pad_h,
                  int64_t pad_w) {
    if (x == NULL || w == NULL) {
        return NULL;
    }
    if (x->ndim != 4 || w->ndim != 4 || x->dim[3] != w->dim[3] || (b != NULL && tensor_count(b) != w->dim[0])) {
        tape_fail(t, SPOOR_ERR_USAGE,
                  "conv2d: input [B,H,W,C] with %d dimensions and %lld channels does not fit weights [O,KH,KW,C] with "
                  "%d dimensions, %lld outputs and %lld channels, and %lld biases",
                  x->ndim, (long long)tensor_cols(x), w->ndim, (long long)w->dim[0], (long long)tensor_cols(w),
                  (long long)(b != NULL ? tensor_count(b) : 0));
        return NULL;
    }
    int64_t height = conv_places(x->dim[1], w->dim[1], stride_h, 1, pad_h, pad_h);
    int64_t width = conv_places(x->dim[2], w->dim[2], stride_w, 1, pad_w, pad_w);
    if (height == 0 || width == 0) {
        tape_fail(t, SPOOR_ERR_USAGE,
                  "conv2d: %lld x %lld positions with padding %lld and %lld do not fit a kernel of %lld x %lld (stride "
                  "%lld, %lld)",
                  (long long)x->dim[1], (long long)x->dim[2], (long long)pad_h, (long long)pad_w, (long long)w->dim[1],
                  (long long)w->dim[2], (long long)stride_h, (long long)stride_w);
        return NULL;
    }
    conv_shape s = {.clips = x->dim[0], .height = x->dim[1], .width = x->dim[2], .channels = x->dim[3],
                    .out_height = height, .out_width = width, .out = w->dim[0], .taps_h = w->dim[1],
                    .taps_w = w->dim[2], .groups = 1, .stride_h = stride_h, .stride_w = stride_w, .dilation = 1,
                    .pad_top = pad_h, .pad_left = pad_w};
    return conv_run(t, &s, x, w, b, NULL, tape_tensor(t, 4, (int64_t[]){s.clips, height, width, s.out}));
}
