/* concat.c: joining tensors, taking frames, a token in front of every clip. All of them copy blocks of memory, and on
 * the way back add the same blocks the other way. */
#include "tensor/ops/refuse.h"
#include <string.h>

/* `count` blocks of `size` values, one every `to_step` and every `from_step` values. */
static void copy_blocks(int64_t count, int64_t size, real *to, int64_t to_step, const real *from, int64_t from_step) {
    for (int64_t i = 0; size > 0 && i < count; i++) {
        memcpy(to + i * to_step, from + i * from_step, (size_t)size * sizeof *to);
    }
}

static void add_blocks(const kernels *k, int64_t count, int64_t size, real *to, int64_t to_step, const real *from,
                       int64_t from_step) {
    for (int64_t i = 0; i < count; i++) {
        k->axpy(size, 1, from + i * from_step, to + i * to_step);
    }
}

/* ---- op_concat ---- */

typedef struct concat {
    tensor *out;
    tensor **x;
    size_t n;
    int axis;
} concat;

/* The shape seen as [outer, inner]: inner counts the axis and all dimensions after it. */
static int64_t inner_size(const tensor *x, int axis) {
    int64_t n = 1;
    for (int d = axis; d < x->ndim; d++) {
        n *= x->dim[d];
    }
    return n;
}
static int64_t outer_size(const tensor *x, int axis) {
    int64_t n = 1;
    for (int d = 0; d < axis; d++) {
        n *= x->dim[d];
    }
    return n;
}

static void concat_backward(tape *t, void *saved) {
    concat *s = saved;
    int64_t outer = outer_size(s->out, s->axis), width = inner_size(s->out, s->axis), at = 0;
    for (size_t i = 0; i < s->n; i++) {
        int64_t size = inner_size(s->x[i], s->axis);
        bool fresh;
        real *g = tape_grad_fresh(t, s->x[i], &fresh);
        if (g != NULL && fresh) {
            copy_blocks(outer, size, g, size, s->out->grad + at, width);
        } else if (g != NULL) {
            add_blocks(tape_kernels(t), outer, size, g, size, s->out->grad + at, width);
        }
        at += size;
    }
}

/* The result's shape in *shape; false after a failure. */
static bool concat_shape(tape *t, tensor *const *x, size_t n, int axis, tensor *shape) {
    if (n == 0) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_concat: nothing to join");
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (x[i] == NULL) {
            return false;
        }
    }
    *shape = *x[0];
    if (axis < 0 || axis >= shape->ndim) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_concat: axis %d of a tensor with %d dimensions", axis, shape->ndim);
        return false;
    }
    for (size_t i = 1; i < n; i++) {
        tensor other = *x[i];
        other.dim[axis] = shape->dim[axis]; /* the one dimension that may differ */
        if (!tensor_same_shape(&other, shape)) {
            (void)op_refuse(t, "op_concat", "they may differ along the joined dimension only", x[0], x[i]);
            return false;
        }
        shape->dim[axis] += x[i]->dim[axis];
    }
    return true;
}

tensor *op_concat(tape *t, tensor *const *x, size_t n, int axis) {
    tensor shape;
    if (!concat_shape(t, x, n, axis, &shape)) {
        return NULL;
    }
    tensor *out = tape_tensor(t, shape.ndim, shape.dim);
    concat *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    tensor **inputs = s == NULL ? NULL : tape_alloc(t, n, sizeof(tensor *));
    if (inputs == NULL) {
        return NULL;
    }
    int64_t outer = outer_size(out, axis), width = inner_size(out, axis), at = 0;
    bool wanted = false;
    for (size_t i = 0; i < n; i++) {
        int64_t size = inner_size(x[i], axis);
        copy_blocks(outer, size, out->data + at, width, x[i]->data, size);
        at += size;
        wanted = wanted || x[i]->needs_grad;
        inputs[i] = x[i];
    }
    if (tape_recording(t) && wanted) {
        *s = (concat){out, inputs, n, axis};
        tape_record(t, out, concat_backward, s);
    }
    return out;
}

/* ---- op_slice_frames ---- */

typedef struct slice {
    tensor *out, *x;
    int64_t start;
} slice;

static void slice_backward(tape *t, void *saved) {
    slice *s = saved;
    int64_t c = s->x->dim[2], from = s->x->dim[1] * c, size = s->out->dim[1] * c;
    real *g = tape_grad(t, s->x);
    if (g != NULL) {
        add_blocks(tape_kernels(t), s->x->dim[0], size, g + s->start * c, from, s->out->grad, size);
    }
}

tensor *op_slice_frames(tape *t, tensor *x, int64_t start, int64_t n) {
    if (x == NULL) {
        return NULL;
    }
    if (x->ndim != 3) {
        return op_refuse(t, "op_slice_frames", "it must be [clips, frames, channels]", x, NULL);
    }
    if (start < 0 || n < 0 || start > x->dim[1] || n > x->dim[1] - start) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_slice_frames: %lld frames from %lld on were asked of %lld frames",
                  (long long)n, (long long)start, (long long)x->dim[1]);
        return NULL;
    }
    int64_t c = x->dim[2], from = x->dim[1] * c, dim[3] = {x->dim[0], n, c};
    tensor *out = tape_tensor(t, 3, dim);
    slice *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    copy_blocks(x->dim[0], n * c, out->data, n * c, x->data + start * c, from);
    if (tape_recording(t) && x->needs_grad) {
        *s = (slice){out, x, start};
        tape_record(t, out, slice_backward, s);
    }
    return out;
}

/* ---- op_prepend_token ---- */

typedef struct prepend {
    tensor *out, *x, *token;
} prepend;

static void prepend_backward(tape *t, void *saved) {
    prepend *s = saved;
    int64_t c = s->token->dim[0], size = s->x->dim[1] * c;
    bool fresh;
    real *g = tape_grad_fresh(t, s->x, &fresh);
    if (g != NULL && fresh) {
        copy_blocks(s->x->dim[0], size, g, size, s->out->grad + c, size + c);
    } else if (g != NULL) {
        add_blocks(tape_kernels(t), s->x->dim[0], size, g, size, s->out->grad + c, size + c);
    }
    g = tape_grad(t, s->token);
    if (g != NULL) {
        add_blocks(tape_kernels(t), s->x->dim[0], c, g, 0, s->out->grad, size + c);
    }
}

tensor *op_prepend_token(tape *t, tensor *x, tensor *token) {
    if (x == NULL || token == NULL) {
        return NULL;
    }
    if (x->ndim != 3 || token->ndim != 1 || token->dim[0] != x->dim[2]) {
        return op_refuse(t, "op_prepend_token", "they must be [clips, frames, channels] and [channels]", x, token);
    }
    int64_t c = x->dim[2], size = x->dim[1] * c, dim[3] = {x->dim[0], x->dim[1] + 1, c};
    tensor *out = tape_tensor(t, 3, dim);
    prepend *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    copy_blocks(x->dim[0], c, out->data, size + c, token->data, 0);
    copy_blocks(x->dim[0], size, out->data + c, size + c, x->data, size);
    if (tape_recording(t) && (x->needs_grad || token->needs_grad)) {
        *s = (prepend){out, x, token};
        tape_record(t, out, prepend_backward, s);
    }
    return out;
}
