/* linear.c: y = act(x W^T + b).
 * Rows are cut into items; an item does its product, its bias and its activation while its rows are in the cache, and
 * on the way back the activation's slope, its part of dX and its share of dW and db. The shares of items 1, 2, ... are
 * added to item 0's in that order. */
#include "tensor/ops/chunks.h"
#include "tensor/ops/refuse.h"
#include <string.h>

enum { LINEAR_ROWS = 256 }; /* of one forward item */

typedef struct linear {
    tensor *out, *x, *w, *b;
    op_act act;
    real *pre; /* values before the activation, where the slope needs them; else out->data */
    int64_t rows, n, k;
    /* while backward runs */
    int64_t items;
    real *dx, *dw, *db; /* NULL where not wanted */
    bool dx_fresh, dw_fresh;
    real *dw_parts, *db_parts; /* shares of items 1 .. items-1 */
    const kernels *kernels;
} linear;

static void forward_rows(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const linear *s = arg;
    real *pre = s->pre + begin * s->n;
    compute_gemm(&(gemm){.tb = true,
                         .m = end - begin,
                         .n = s->n,
                         .k = s->k,
                         .a = s->x->data + begin * s->k,
                         .lda = s->k,
                         .b = s->w->data,
                         .ldb = s->k,
                         .c = pre,
                         .ldc = s->n});
    if (s->b != NULL) {
        k->add_row(end - begin, s->n, s->b->data, pre);
    }
    if (s->act != OP_ACT_NONE) {
        k->activate((int)s->act, (end - begin) * s->n, pre, s->out->data + begin * s->n);
    }
}

static void backward_item(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    const linear *s = arg;
    int64_t begin = compute_split(s->rows, s->items, item), rows = compute_split(s->rows, s->items, item + 1) - begin;
    real *dy = s->out->grad + begin * s->n;
    if (s->act != OP_ACT_NONE) {
        s->kernels->activate_backward((int)s->act, rows * s->n, s->pre + begin * s->n, s->out->data + begin * s->n, dy,
                                      dy);
    }
    if (s->dx != NULL) {
        compute_gemm(&(gemm){.m = rows,
                             .n = s->k,
                             .k = s->n,
                             .a = dy,
                             .lda = s->n,
                             .b = s->w->data,
                             .ldb = s->k,
                             .c = s->dx + begin * s->k,
                             .ldc = s->k,
                             .accumulate = !s->dx_fresh});
    }
    if (s->dw != NULL) {
        compute_gemm(&(gemm){.ta = true,
                             .m = s->n,
                             .n = s->k,
                             .k = rows,
                             .a = dy,
                             .lda = s->n,
                             .b = s->x->data + begin * s->k,
                             .ldb = s->k,
                             .c = item == 0 ? s->dw : s->dw_parts + (item - 1) * s->n * s->k,
                             .ldc = s->k,
                             .accumulate = item == 0 && !s->dw_fresh});
    }
    if (s->db != NULL) {
        real *db = s->db;
        if (item > 0) {
            db = s->db_parts + (item - 1) * s->n;
            memset(db, 0, (size_t)s->n * sizeof *db);
        }
        s->kernels->sum_rows(rows, s->n, dy, db);
    }
}

static void add_parts(const kernels *k, void *arg, int64_t begin, int64_t end) {
    const linear *s = arg;
    for (int64_t i = 0; i + 1 < s->items; i++) {
        k->axpy(end - begin, 1, s->dw_parts + i * s->n * s->k + begin, s->dw + begin);
    }
}

static void backward(tape *t, void *saved) {
    linear *s = saved;
    s->items = compute_items(s->rows);
    s->kernels = tape_kernels(t);
    s->dx = tape_grad_fresh(t, s->x, &s->dx_fresh);
    s->dw = tape_grad_fresh(t, s->w, &s->dw_fresh);
    s->db = s->b == NULL ? NULL : tape_grad(t, s->b);
    if (s->items > 1 && s->dw != NULL) {
        s->dw_parts = tape_scratch(t, (s->items - 1) * s->n * s->k);
    }
    if (s->items > 1 && s->db != NULL) {
        s->db_parts = tape_scratch(t, (s->items - 1) * s->n);
    }
    if (!tape_ok(t)) {
        return;
    }
    compute_for(tape_compute(t), s->items, backward_item, s);
    if (s->dw != NULL && s->items > 1) {
        chunks_run(t, s->n * s->k, CHUNK_ELEMENTS / 4, add_parts, s);
    }
    for (int64_t i = 0; s->db != NULL && i + 1 < s->items; i++) {
        s->kernels->axpy(s->n, 1, s->db_parts + i * s->n, s->db);
    }
}

/* ---- a product with a frozen weight ---- */

typedef struct packed {
    const linear *s;
    compute *c;
    spoor_error *errors; /* one for each worker */
} packed;

/* Rows do not know each other, so any cut gives the same bits. */
static void packed_item(void *arg, int64_t item, unsigned worker) {
    const packed *p = arg;
    const linear *s = p->s;
    int64_t begin = item * LINEAR_ROWS, rows = s->rows - begin < LINEAR_ROWS ? s->rows - begin : LINEAR_ROWS;
    if (p->errors[worker].status == SPOOR_OK) {
        compute_finish finish = {.bias = s->b == NULL ? NULL : s->b->data, .act = (int)s->act};
        (void)compute_weight_apply(p->c, worker, s->w->packed, rows, s->x->data + begin * s->k, s->k, &finish,
                                   s->out->data + begin * s->n, s->n, &p->errors[worker]);
    }
}

static tensor *forward_packed(tape *t, const linear *s) {
    if (tape_recording(t) && s->x->needs_grad) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_linear: gradients do not flow through a frozen weight");
        return NULL;
    }
    packed p = {s, tape_compute(t), op_errors_new(t)};
    if (p.errors == NULL) {
        return NULL;
    }
    compute_for(p.c, (s->rows + LINEAR_ROWS - 1) / LINEAR_ROWS, packed_item, &p);
    s->out->products = 1 + (int)compute_weight_precision(s->w->packed);
    return op_errors_none(t, p.errors) ? s->out : NULL;
}

tensor *op_linear(tape *t, tensor *x, tensor *w, tensor *b, op_act act) {
    if (x == NULL || w == NULL) {
        return NULL;
    }
    if (w->ndim != 2 || w->dim[1] != tensor_cols(x)) {
        return op_refuse(t, "op_linear", "the weight must be [outputs, columns of the input]", x, w);
    }
    if (b != NULL && (b->ndim != 1 || b->dim[0] != w->dim[0])) {
        return op_refuse(t, "op_linear", "the bias must be one row of the weight's outputs", w, b);
    }
    tensor shape = *x;
    shape.dim[x->ndim - 1] = w->dim[0];
    tensor *out = tape_tensor(t, shape.ndim, shape.dim);
    linear *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = (linear){.out = out, .x = x, .w = w, .b = b, .act = act, .pre = out->data};
    s->rows = tensor_rows(x);
    s->n = w->dim[0];
    s->k = w->dim[1];
    if (w->packed != NULL) {
        return forward_packed(t, s);
    }
    bool record = tape_recording(t) && (x->needs_grad || w->needs_grad || (b != NULL && b->needs_grad));
    if (record && op_act_needs_input(act)) {
        s->pre = tape_alloc(t, (size_t)tensor_count(out), sizeof(real));
        if (s->pre == NULL) {
            return NULL;
        }
    }
    chunks_run(t, s->rows, LINEAR_ROWS, forward_rows, s);
    if (record) {
        tape_record(t, out, backward, s);
    }
    return out;
}
