/* gradcheck.h: everything that an op must keep, checked from one description of a case.
 *
 * gradcheck_op() runs the op with every kernel table of this processor and with 1, 2 and 8 threads, with memory that
 * starts as NaN, and fails the test unless
 *  - the result equals the naive twin (float: relative error <= tolerance; double: <= 1e-12),
 *  - the gradients of sum_i w_i out_i (w random) equal five-point central differences of the naive twin (float:
 *    <= tolerance; double: <= 1e-6) and, in the double build, of the op itself (<= 1e-6),
 *  - 1, 2 and 8 threads give the same bits, and so does a run that does not record,
 *  - gradients are added to what a parameter holds, and each input can be the only one that wants a gradient.
 * Relative error: largest absolute error over the largest absolute value wanted (at least 1e-3). */
#ifndef TESTS_GRADCHECK_H
#define TESTS_GRADCHECK_H
#include "support/support.h"
#include "tensor/ops.h"

/* Cases are written as initialisers that leave most fields at zero. */
#if defined(__GNUC__) || defined(__clang__)
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif

enum { GRADCHECK_INPUTS = 6 };

typedef struct gradcheck_input {
    int ndim; /* 0 ends the list */
    int64_t dim[TENSOR_DIMS];
    double scale;         /* values are shift + scale * N(0,1); scale 0 means 1 */
    double shift;
    const double *values; /* or these; rounded to float in the float build */
    bool constant;        /* wants no gradient */
} gradcheck_input;

typedef struct op_case op_case;
struct op_case {
    const char *name;
    tensor *(*build)(tape *t, tensor *const *in, const void *arg);
    /* Fills the result, whose size is that of the op's result. NULL: no twin (gradients are then checked in the double
     * build alone). */
    void (*naive)(const op_case *c, const double *const *in, double *out);
    const void *arg;
    gradcheck_input in[GRADCHECK_INPUTS];
    bool train;       /* run in training mode */
    double tolerance; /* of the float build; 0 means 1e-5 */
    int coordinates;  /* most gradient entries checked per input; 0 means 64 */
};

void gradcheck_op(const op_case *c);
/* The op must give NULL and leave a sentence that contains `word`. */
void gradcheck_refuses(const op_case *c, const char *word);
/* With the n-th allocation failing, for every n, the op must end in SPOOR_ERR_LIMIT or succeed, and leak nothing. */
void gradcheck_memory(const op_case *c);
#endif
