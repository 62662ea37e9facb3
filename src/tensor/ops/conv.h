/* conv.h: what conv1d.c and conv2d.c have in common: convolution of rows of channels as matrix products. */
#ifndef TENSOR_OPS_CONV_H
#define TENSOR_OPS_CONV_H
#include "tensor/ops.h"

enum { CONV_LIMIT = 1 << 20 }; /* of strides, dilation and padding */

/* One-dimensional convolution is the case of height 1. Only the width knows dilation. */
typedef struct conv_shape {
    int64_t clips, height, width, channels; /* x[clips][height][width][channels] */
    int64_t out_height, out_width, out;     /* y[clips][out_height][out_width][out] */
    int64_t taps_h, taps_w, groups;         /* w[out][taps_h][taps_w][channels / groups] */
    int64_t stride_h, stride_w, dilation, pad_top, pad_left;
} conv_shape;

/* How many places a kernel of `taps` finds on n + padding positions, or 0 if it finds none or a number is out of
 * range. */
int64_t conv_places(int64_t n, int64_t taps, int64_t stride, int64_t dilation, int64_t pad_before, int64_t pad_after);

/* Runs the convolution into y, which has the shape that `shape` says, and records it. finish: what becomes of each
 * place beside the bias, with frozen weights without groups only; NULL: nothing. Returns y, or NULL. */
tensor *conv_run(tape *t, const conv_shape *shape, tensor *x, tensor *w, tensor *b, const compute_finish *finish,
                 tensor *y);
#endif
