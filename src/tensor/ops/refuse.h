/* refuse.h: how an op says that its inputs do not fit. */
#ifndef TENSOR_OPS_REFUSE_H
#define TENSOR_OPS_REFUSE_H
#include "tensor/ops.h"

/* Fails the tape with "op_linear: shapes [2,3] and [4,5] do not fit: WHY" (b may be NULL: "shape [2,3] does not fit:
 * WHY") and gives NULL, so that an op can `return op_refuse(...)`. */
tensor *op_refuse(tape *t, const char *op, const char *why, const tensor *a, const tensor *b);
#endif
