/* gather.c: rows by number, and the frames with the highest scores. */
#include "tensor/ops/refuse.h"
#include <stdlib.h>
#include <string.h>

typedef struct gather {
    tensor *out, *table;
    const int64_t *index;
    int64_t n, size; /* size: values of a row */
} gather;

static void backward(tape *t, void *saved) {
    gather *s = saved;
    real *g = tape_grad(t, s->table);
    for (int64_t i = 0; g != NULL && i < s->n; i++) {
        tape_kernels(t)->axpy(s->size, 1, s->out->grad + i * s->size, g + s->index[i] * s->size);
    }
}

/* index: checked, and valid until backward */
static tensor *gather_rows(tape *t, tensor *table, int64_t size, const int64_t *index, int64_t n, tensor *out) {
    gather *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    for (int64_t i = 0; size > 0 && i < n; i++) {
        memcpy(out->data + i * size, table->data + index[i] * size, (size_t)size * sizeof(real));
    }
    if (tape_recording(t) && table->needs_grad) {
        *s = (gather){out, table, index, n, size};
        tape_record(t, out, backward, s);
    }
    return out;
}

tensor *op_gather(tape *t, tensor *table, const int64_t *index, int64_t n) {
    if (table == NULL) {
        return NULL;
    }
    for (int64_t i = 0; i < n; i++) {
        if (index[i] < 0 || index[i] >= table->dim[0]) {
            tape_fail(t, SPOOR_ERR_USAGE, "op_gather: row %lld of a table with %lld rows", (long long)index[i],
                      (long long)table->dim[0]);
            return NULL;
        }
    }
    tensor shape = *table;
    shape.dim[0] = n;
    int64_t size = 1;
    for (int d = 1; d < table->ndim; d++) {
        size *= table->dim[d];
    }
    return gather_rows(t, table, size, index, n, tape_tensor(t, shape.ndim, shape.dim));
}

typedef struct scored {
    real score;
    int64_t frame;
} scored;

/* Higher score first, then the earlier frame; NaN last, so that the order is total. */
static int by_score(const void *a, const void *b) {
    const scored *x = a, *y = b;
    bool x_nan = x->score != x->score, y_nan = y->score != y->score;
    if (x_nan != y_nan) {
        return x_nan ? 1 : -1;
    }
    if (!x_nan && x->score != y->score) {
        return x->score > y->score ? -1 : 1;
    }
    return x->frame < y->frame ? -1 : x->frame > y->frame;
}

tensor *op_top_k(tape *t, tensor *x, tensor *score, int64_t k) {
    if (x == NULL || score == NULL) {
        return NULL;
    }
    if (x->ndim != 3 || score->ndim != 2 || score->dim[0] != x->dim[0] || score->dim[1] != x->dim[1]) {
        return op_refuse(t, "op_top_k", "they must be [clips, frames, channels] and [clips, frames]", x, score);
    }
    int64_t clips = x->dim[0], frames = x->dim[1];
    if (k < 0 || k > frames) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_top_k: %lld of %lld frames were asked for", (long long)k, (long long)frames);
        return NULL;
    }
    int64_t dim[3] = {clips, k, x->dim[2]};
    tensor *out = tape_tensor(t, 3, dim);
    scored *order = tape_alloc(t, (size_t)frames, sizeof *order);
    int64_t *index = out == NULL ? NULL : tape_alloc(t, (size_t)(clips * k), sizeof *index);
    if (order == NULL || index == NULL) {
        return NULL;
    }
    for (int64_t b = 0; b < clips; b++) {
        for (int64_t f = 0; f < frames; f++) {
            order[f] = (scored){score->data[b * frames + f], f};
        }
        qsort(order, (size_t)frames, sizeof *order, by_score);
        for (int64_t i = 0; i < k; i++) {
            index[b * k + i] = b * frames + order[i].frame;
        }
    }
    return gather_rows(t, x, x->dim[2], index, clips * k, out);
}
