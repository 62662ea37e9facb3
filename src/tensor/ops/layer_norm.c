/* layer_norm.c: op_layer_norm (Ba, Kiros and Hinton 2016); see ops.h. Saves mean and 1/std of each row. */
#include "tensor/ops.h"
#include <string.h>

enum { LAYER_NORM_ROWS = 128 }; /* rows of a forward item: they have no sum in common */

typedef struct layer_norm {
    const kernels *k;
    tensor *x, *g, *b, *y;
    real eps, *mean, *rstd;
    op_act act; /* where nothing is recorded */
    int64_t rows, cols, items;
    bool fresh;
    real *dx, *sums; /* sums: [items][2][cols], parts of dg and db */
} layer_norm;

static void forward_item(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    layer_norm *s = arg;
    int64_t first = item * LAYER_NORM_ROWS;
    int64_t rows = s->rows - first < LAYER_NORM_ROWS ? s->rows - first : LAYER_NORM_ROWS;
    int64_t at = first * s->cols;
    s->k->layer_norm(rows, s->cols, s->eps, s->x->data + at, s->g->data, s->b->data, s->y->data + at, s->mean + first,
                     s->rstd + first);
    if (s->act != OP_ACT_NONE) {
        s->k->activate((int)s->act, rows * s->cols, s->y->data + at, s->y->data + at);
    }
}

static void backward_item(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    layer_norm *s = arg;
    int64_t first = compute_split(s->rows, s->items, item), end = compute_split(s->rows, s->items, item + 1);
    int64_t at = first * s->cols;
    real *sums = s->sums + item * 2 * s->cols;
    memset(sums, 0, (size_t)(2 * s->cols) * sizeof *sums);
    s->k->layer_norm_backward(end - first, s->cols, s->x->data + at, s->y->grad + at, s->g->data, s->mean + first,
                              s->rstd + first, !s->fresh, s->dx == NULL ? NULL : s->dx + at, sums, sums + s->cols);
}

static void backward(tape *t, void *saved) {
    layer_norm *s = saved;
    s->items = compute_items(s->rows);
    s->dx = tape_grad_fresh(t, s->x, &s->fresh);
    s->sums = tape_alloc(t, (size_t)(s->items * 2 * s->cols), sizeof(real));
    if (!tape_ok(t)) {
        return;
    }
    compute_for(tape_compute(t), s->cols == 0 ? 0 : s->items, backward_item, s);
    real *dg = tape_grad(t, s->g), *db = tape_grad(t, s->b);
    if (!tape_ok(t)) {
        return;
    }
    for (int64_t i = 0; i < s->items; i++) {
        const real *sums = s->sums + i * 2 * s->cols;
        if (dg != NULL) {
            s->k->axpy(s->cols, 1, sums, dg);
        }
        if (db != NULL) {
            s->k->axpy(s->cols, 1, sums + s->cols, db);
        }
    }
}

static tensor *run(tape *t, tensor *x, tensor *g, tensor *b, real eps, op_act act) {
    if (x == NULL || g == NULL || b == NULL) {
        return NULL;
    }
    int64_t cols = tensor_cols(x);
    if (tensor_count(g) != cols || tensor_count(b) != cols) {
        tape_fail(t, SPOOR_ERR_USAGE, "layer_norm: %lld columns need as many weights and biases, not %lld and %lld",
                  (long long)cols, (long long)tensor_count(g), (long long)tensor_count(b));
        return NULL;
    }
    layer_norm *s = tape_alloc(t, 1, sizeof *s);
    tensor *y = tape_tensor(t, x->ndim, x->dim);
    int64_t rows = tensor_rows(x);
    real *stats = tape_alloc(t, (size_t)rows, 2 * sizeof *stats);
    if (s == NULL || y == NULL || stats == NULL) {
        return NULL;
    }
    *s = (layer_norm){.k = tape_kernels(t), .x = x, .g = g, .b = b, .y = y, .eps = eps, .mean = stats,
                      .rstd = stats + rows, .rows = rows, .cols = cols, .act = act};
    compute_for(tape_compute(t), cols == 0 ? 0 : (rows + LAYER_NORM_ROWS - 1) / LAYER_NORM_ROWS, forward_item, s);
    if (tape_recording(t) && (x->needs_grad || g->needs_grad || b->needs_grad)) {
        tape_record(t, y, backward, s);
    }
    return y;
}

tensor *op_layer_norm(tape *t, tensor *x, tensor *g, tensor *b, real eps) {
    return run(t, x, g, b, eps, OP_ACT_NONE);
}

/* Recording, the activation's slope needs what the norm gave: they are two ops then. */
tensor *op_layer_norm_act(tape *t, tensor *x, tensor *g, tensor *b, real eps, op_act act) {
    return tape_recording(t) ? op_activation(t, run(t, x, g, b, eps, OP_ACT_NONE), act) : run(t, x, g, b, eps, act);
}
