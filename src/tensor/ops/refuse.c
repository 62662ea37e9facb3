/* refuse.c: see refuse.h. */
#include "tensor/ops/refuse.h"
#include <stdio.h>

enum { SHAPE_TEXT = 96 };

static void shape_text(char text[SHAPE_TEXT], const tensor *x) {
    size_t used = 0;
    for (int i = 0; i < x->ndim && used < SHAPE_TEXT; i++) {
        int n = snprintf(text + used, SHAPE_TEXT - used, "%s%lld", i == 0 ? "[" : ",", (long long)x->dim[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    if (used < SHAPE_TEXT) {
        (void)snprintf(text + used, SHAPE_TEXT - used, "]");
    }
}

tensor *op_refuse(tape *t, const char *op, const char *why, const tensor *a, const tensor *b) {
    char first[SHAPE_TEXT], second[SHAPE_TEXT];
    shape_text(first, a);
    if (b == NULL) {
        tape_fail(t, SPOOR_ERR_USAGE, "%s: shape %s does not fit: %s", op, first, why);
    } else {
        shape_text(second, b);
        tape_fail(t, SPOOR_ERR_USAGE, "%s: shapes %s and %s do not fit: %s", op, first, second, why);
    }
    return NULL;
}

spoor_error *op_errors_new(tape *t) {
    unsigned n = compute_threads(tape_compute(t));
    spoor_error *errors = tape_alloc(t, n, sizeof *errors);
    for (unsigned i = 0; errors != NULL && i < n; i++) {
        errors[i].status = SPOOR_OK;
    }
    return errors;
}

bool op_errors_none(tape *t, const spoor_error *errors) {
    for (unsigned i = 0; i < compute_threads(tape_compute(t)); i++) {
        if (errors[i].status != SPOOR_OK) {
            tape_fail(t, errors[i].status, "%s", errors[i].message);
            return false;
        }
    }
    return true;
}
