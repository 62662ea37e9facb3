/* mix_rows.c: mixup of rows (Zhang et al. 2018): some as they are, and behind them weighted sums of two each. Cut by
 * columns, so that a row that several mixtures hold gets its gradient in one order. */
#include "tensor/ops/chunks.h"
#include "tensor/ops/refuse.h"
#include <string.h>

typedef struct mix_rows {
    tensor *out, *x;
    op_row_mix m;
    int64_t cols;
    real *dx;
} mix_rows;

static void forward(const kernels *k, void *arg, int64_t begin, int64_t end) {
    (void)k;
    const mix_rows *s = arg;
    for (int64_t i = 0; i < s->m.plain; i++) {
        memcpy(s->out->data + i * s->cols + begin, s->x->data + i * s->cols + begin,
               (size_t)(end - begin) * sizeof(real));
    }
    for (int64_t i = 0; i < s->m.mixed; i++) {
        const real *a = s->x->data + s->m.one[i] * s->cols, *b = s->x->data + s->m.other[i] * s->cols,
                   share = s->m.lambda[i];
        real *y = s->out->data + (s->m.plain + i) * s->cols;
        for (int64_t c = begin; c < end; c++) {
            y[c] = share * a[c] + (1 - share) * b[c];
        }
    }
}

static void backward_columns(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const mix_rows *s = arg;
    for (int64_t i = 0; i < s->m.plain + s->m.mixed; i++) {
        const real *dy = s->out->grad + i * s->cols + begin;
        if (i < s->m.plain) {
            k->axpy(end - begin, 1, dy, s->dx + i * s->cols + begin);
            continue;
        }
        int64_t j = i - s->m.plain;
        k->axpy(end - begin, s->m.lambda[j], dy, s->dx + s->m.one[j] * s->cols + begin);
        k->axpy(end - begin, 1 - s->m.lambda[j], dy, s->dx + s->m.other[j] * s->cols + begin);
    }
}

/* Columns of a piece: of few rows long ones, of many short ones. */
static int64_t piece(const mix_rows *s) { return chunks_rows(s->m.plain + s->m.mixed); }

static void backward(tape *t, void *saved) {
    mix_rows *s = saved;
    s->dx = tape_grad(t, s->x);
    if (s->dx != NULL) {
        chunks_run(t, s->cols, piece(s), backward_columns, s);
    }
}

tensor *op_mix_rows(tape *t, tensor *x, const op_row_mix *mix) {
    if (x == NULL) {
        return NULL;
    }
    bool good = x->ndim >= 1 && mix->plain <= x->dim[0];
    for (int64_t i = 0; good && i < mix->mixed; i++) {
        good = mix->one[i] >= 0 && mix->one[i] < x->dim[0] && mix->other[i] >= 0 && mix->other[i] < x->dim[0];
    }
    if (!good) {
        return op_refuse(t, "op_mix_rows", "there is no such row", x, NULL);
    }
    tensor shape = *x;
    shape.dim[0] = mix->plain + mix->mixed;
    tensor *out = tape_tensor(t, shape.ndim, shape.dim);
    mix_rows *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = (mix_rows){.out = out, .x = x, .m = *mix, .cols = 1};
    for (int d = 1; d < x->ndim; d++) {
        s->cols *= x->dim[d];
    }
    chunks_run(t, s->cols, piece(s), forward, s);
    if (tape_recording(t) && x->needs_grad) {
        tape_record(t, out, backward, s);
    }
    return out;
}
