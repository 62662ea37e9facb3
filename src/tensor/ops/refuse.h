/* refuse.h: how an op says that its inputs do not fit. */
#ifndef TENSOR_OPS_REFUSE_H
#define TENSOR_OPS_REFUSE_H
#include "tensor/ops.h"

/* Fails the tape with "op_linear: shapes [2,3] and [4,5] do not fit: WHY" (b may be NULL: "shape [2,3] does not fit:
 * WHY") and gives NULL, so that an op can `return op_refuse(...)`. */
tensor *op_refuse(tape *t, const char *op, const char *why, const tensor *a, const tensor *b);

/* For ops whose items can fail: an error for each worker, all SPOOR_OK; NULL and tape_fail when out of memory.
 * Afterwards op_errors_none fails the tape with the first of them; true: there was none. */
spoor_error *op_errors_new(tape *t);
bool op_errors_none(tape *t, const spoor_error *errors);
#endif
