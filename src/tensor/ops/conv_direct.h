/* conv_direct.h: two-dimensional convolution with stride 1 without a matrix of rows: the input is read where it lies,
 * by the panel kernel. Needs channels of the result in multiples of 16. conv.c chooses. */
#ifndef TENSOR_OPS_CONV_DIRECT_H
#define TENSOR_OPS_CONV_DIRECT_H
#include "tensor/ops/conv.h"

/* Stride, dilation and groups 1, `out` a multiple of 16, not too deep a kernel, no padding beyond its reach. */
bool conv_direct_fits(const conv_shape *s);
/* The weights as the forward pass reads them: [out/16][taps_h][taps_w][channels][16], out * taps * channels values. */
void conv_direct_pack(const conv_shape *s, const real *w, real *packed);
/* The shape of the convolution that makes dx from dy, and its packed weights: the kernel turned round, channels and
 * outputs exchanged. Fits where channels are a multiple of 16. */
conv_shape conv_direct_turned(const conv_shape *s);
void conv_direct_pack_turned(const conv_shape *s, const real *w, real *packed);
/* Lines [first, end) of one clip's y; with add, y +=, and no bias. */
void conv_direct_lines(const kernels *k, const conv_shape *s, const real *x, const real *packed, const real *bias,
                       bool add, int64_t first, int64_t end, real *y);
/* dw[taps_h][taps_w][channels][out] += x and dy of one clip. */
void conv_direct_weights(const kernels *k, const conv_shape *s, const real *x, const real *dy, real *dw);
#endif
