/* transpose.c: the last two dimensions change places. */
#include "tensor/ops/chunks.h"
#include "tensor/ops/refuse.h"

typedef struct transpose {
    tensor *out, *x;
    int64_t rows, cols; /* of a matrix of `from` */
    const real *from;
    real *to;
    bool add;
} transpose;

enum { TILE = 16 }; /* both sides of a tile stay in the first-level cache */

static void one_tile(const transpose *s, const real *from, real *to, int64_t r0, int64_t c0) {
    int64_t r1 = s->rows < r0 + TILE ? s->rows : r0 + TILE, c1 = s->cols < c0 + TILE ? s->cols : c0 + TILE;
    for (int64_t c = c0; c < c1; c++) {
        for (int64_t r = r0; r < r1; r++) {
            real old = s->add ? to[c * s->rows + r] : 0;
            to[c * s->rows + r] = old + from[r * s->cols + c];
        }
    }
}

static void matrices(const kernels *k, void *arg, int64_t begin, int64_t end) {
    (void)k;
    const transpose *s = arg;
    for (int64_t i = begin; i < end; i++) {
        for (int64_t r = 0; r < s->rows; r += TILE) {
            for (int64_t c = 0; c < s->cols; c += TILE) {
                one_tile(s, s->from + i * s->rows * s->cols, s->to + i * s->rows * s->cols, r, c);
            }
        }
    }
}

static void run(tape *t, transpose *s) {
    int64_t size = s->rows * s->cols;
    if (size > 0) {
        chunks_run(t, tensor_count(s->x) / size, chunks_rows(size), matrices, s);
    }
}

static void backward(tape *t, void *saved) {
    transpose *s = saved;
    bool fresh;
    real *g = tape_grad_fresh(t, s->x, &fresh);
    if (g != NULL) {
        transpose back = *s;
        back.rows = s->cols;
        back.cols = s->rows;
        back.from = s->out->grad;
        back.to = g;
        back.add = !fresh;
        run(t, &back);
    }
}

tensor *op_transpose(tape *t, tensor *x) {
    if (x == NULL) {
        return NULL;
    }
    if (x->ndim < 2) {
        return op_refuse(t, "op_transpose", "it must have two dimensions or more", x, NULL);
    }
    tensor shape = *x;
    int last = x->ndim - 1;
    shape.dim[last] = x->dim[last - 1];
    shape.dim[last - 1] = x->dim[last];
    tensor *out = tape_tensor(t, shape.ndim, shape.dim);
    transpose *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = (transpose){out, x, x->dim[last - 1], x->dim[last], x->data, out->data, false};
    run(t, s);
    if (tape_recording(t) && x->needs_grad) {
        tape_record(t, out, backward, s);
    }
    return out;
}
