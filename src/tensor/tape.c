/* tape.c: see tape.h. Gradients of intermediate results live from their first use to the end of their op's backward
 * function; their buffers are then reused, which keeps the backward pass within the cache. */
#include "tensor/tape.h"
#include "base/arena.h"
#include "base/checked.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct tape_node {
    tensor *out;
    tape_backward_fn fn;
    void *saved;
} tape_node;

typedef struct spare {
    real *data;
    int64_t count;
} spare;

struct tape {
    spoor_context *ctx;
    compute *compute;
    arena *arena;
    bool record, train, replaying;
    uint64_t seed, streams;
    tape_node *nodes;
    size_t n_nodes, cap_nodes;
    spare *spares; /* gradient buffers that may be used again */
    size_t n_spares, cap_spares;
    size_t first_spare; /* those before it belong to whoever runs the stage that is walked back */
    spare *lent; /* scratch of the backward function that runs now */
    size_t n_lent, cap_lent;
    spoor_error error; /* sticky */
};

spoor_status tape_new(spoor_context *ctx, compute *c, tape **out, spoor_error *err) {
    *out = NULL;
    tape *t = ctx_calloc(ctx, 1, sizeof *t);
    if (t == NULL) {
        return error_memory(err, "making a tape");
    }
    t->ctx = ctx;
    t->compute = c;
    spoor_status status = arena_new(ctx, &t->arena, err);
    if (status != SPOOR_OK) {
        ctx_free(ctx, t);
        return status;
    }
    *out = t;
    return SPOOR_OK;
}

void tape_free(tape *t) {
    if (t != NULL) {
        arena_free(t->arena);
        ctx_free(t->ctx, t->nodes);
        ctx_free(t->ctx, t->spares);
        ctx_free(t->ctx, t->lent);
        ctx_free(t->ctx, t);
    }
}

void tape_begin(tape *t, bool record, bool train, uint64_t seed) {
    arena_reset(t->arena);
    t->record = record;
    t->train = train;
    t->seed = seed;
    t->streams = 0;
    t->n_nodes = 0;
    t->n_spares = t->first_spare = 0;
    t->replaying = false;
    t->n_lent = 0;
    t->error = (spoor_error){.status = SPOOR_OK};
}

bool tape_recording(const tape *t) { return t->record; }
bool tape_training(const tape *t) { return t->train; }
bool tape_replaying(const tape *t) { return t->replaying; }
uint64_t tape_streams(const tape *t) { return t->streams; }
rng tape_rng(tape *t) { return rng_make(t->seed, t->streams++); }
compute *tape_compute(tape *t) { return t->compute; }
const kernels *tape_kernels(tape *t) { return compute_kernels(t->compute); }
size_t tape_bytes(const tape *t) { return arena_bytes(t->arena); }

void *tape_alloc(tape *t, size_t n, size_t size) {
    void *p = t->error.status == SPOOR_OK ? arena_alloc(t->arena, n, size) : NULL;
    if (p == NULL) {
        tape_fail(t, SPOOR_ERR_LIMIT, "out of memory in a network step (%zu x %zu bytes)", n, size);
    }
    return p;
}

static tensor *shape_only(tape *t, int ndim, const int64_t *dim, int64_t *count) {
    *count = 1;
    bool good = ndim >= 1 && ndim <= TENSOR_DIMS;
    for (int i = 0; good && i < ndim; i++) {
        good = dim[i] >= 0 && checked_mul_i64(*count, dim[i], count);
    }
    if (!good || *count > INT64_MAX / (int64_t)sizeof(real)) {
        tape_fail(t, SPOOR_ERR_LIMIT, "a tensor with an impossible shape was asked for");
        return NULL;
    }
    tensor *x = tape_alloc(t, 1, sizeof *x);
    if (x != NULL) {
        *x = (tensor){.ndim = ndim};
        memcpy(x->dim, dim, (size_t)ndim * sizeof *dim);
    }
    return x;
}

tensor *tape_tensor(tape *t, int ndim, const int64_t *dim) {
    int64_t count;
    tensor *x = shape_only(t, ndim, dim, &count);
    if (x != NULL) {
        x->data = tape_alloc(t, (size_t)count, sizeof(real));
        if (x->data == NULL) {
            return NULL;
        }
    }
    return x;
}

tensor *tape_view(tape *t, int ndim, const int64_t *dim, real *data) {
    int64_t count;
    tensor *x = shape_only(t, ndim, dim, &count);
    if (x != NULL) {
        x->data = data;
    }
    return x;
}

tape_mark tape_mark_here(tape *t) { return (tape_mark){arena_mark_here(t->arena), t->n_nodes}; }

void tape_release(tape *t, tape_mark mark) {
    if (t->n_nodes == mark.nodes) { /* a recorded op still needs its memory */
        arena_release(t->arena, mark.memory);
    }
}

void tape_fail(tape *t, spoor_status status, const char *format, ...) {
    if (t->error.status != SPOOR_OK) {
        return; /* the first failure is the cause */
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(t->error.message, sizeof t->error.message, format, args);
    va_end(args);
    t->error.status = status;
}

bool tape_ok(const tape *t) { return t->error.status == SPOOR_OK; }

spoor_status tape_status(const tape *t, spoor_error *err) {
    if (t->error.status != SPOOR_OK && err != NULL) {
        *err = t->error;
    }
    return t->error.status;
}

void tape_record(tape *t, tensor *out, tape_backward_fn fn, void *saved) {
    if (!ctx_grow(t->ctx, (void **)&t->nodes, &t->cap_nodes, t->n_nodes + 1, sizeof *t->nodes)) {
        tape_fail(t, SPOOR_ERR_LIMIT, "out of memory in a network step (tape)");
        return;
    }
    out->needs_grad = true;
    t->nodes[t->n_nodes++] = (tape_node){out, fn, saved};
}

static real *buffer_take(tape *t, int64_t count) {
    for (size_t i = t->n_spares; i-- > t->first_spare;) {
        if (t->spares[i].count == count) {
            real *data = t->spares[i].data;
            t->spares[i] = t->spares[--t->n_spares];
            return data;
        }
    }
    return tape_alloc(t, (size_t)count, sizeof(real));
}

static void buffer_keep(tape *t, spare s) { /* out of memory: the buffer is merely not used again */
    if (ctx_grow(t->ctx, (void **)&t->spares, &t->cap_spares, t->n_spares + 1, sizeof *t->spares)) {
        t->spares[t->n_spares++] = s;
    }
}

static void buffer_give(tape *t, tensor *x) {
    if (x->parameter || x->grad == NULL) {
        return;
    }
    buffer_keep(t, (spare){x->grad, tensor_count(x)});
    x->grad = NULL;
}

real *tape_scratch(tape *t, int64_t count) {
    real *data = buffer_take(t, count);
    if (data != NULL && ctx_grow(t->ctx, (void **)&t->lent, &t->cap_lent, t->n_lent + 1, sizeof *t->lent)) {
        t->lent[t->n_lent++] = (spare){data, count};
    }
    return data;
}

real *tape_grad_fresh(tape *t, tensor *x, bool *fresh) {
    *fresh = false;
    if (!x->needs_grad) {
        return NULL;
    }
    if (x->grad == NULL) {
        x->grad = buffer_take(t, tensor_count(x));
        *fresh = x->grad != NULL;
    }
    return x->grad;
}

real *tape_grad(tape *t, tensor *x) {
    bool fresh;
    real *g = tape_grad_fresh(t, x, &fresh);
    if (g != NULL && fresh) {
        memset(g, 0, (size_t)tensor_count(x) * sizeof *g);
    }
    return g;
}

void tape_grad_pass(tape *t, tensor *out, tensor *x) {
    if (!x->needs_grad) {
        return;
    }
    if (x->grad == NULL && !x->parameter) {
        x->grad = out->grad;
        out->grad = NULL;
        return;
    }
    real *g = tape_grad(t, x);
    if (g != NULL) {
        compute_kernels(t->compute)->axpy(tensor_count(x), 1, out->grad, g);
    }
}

/* The backward functions of all nodes from the end to `first`. */
static void walk_back(tape *t, size_t first) {
    for (size_t i = t->n_nodes; i-- > first && tape_ok(t);) {
        tape_node node = t->nodes[i]; /* a copy: a stage that runs again may move the list */
        size_t lent = t->n_lent;
        if (node.out->grad != NULL) {
            node.fn(t, node.saved);
            buffer_give(t, node.out);
            while (t->n_lent > lent) {
                buffer_keep(t, t->lent[--t->n_lent]);
            }
        }
    }
}

/* ---- stages that run again ---- */

/* The stage recorded nothing: its memory is given back, its result moves in front of it, into `out`. */
static tensor *settle(tape *t, tape_mark before, tensor *x, const tensor *y, tensor *out) {
    if (y == x) {
        tape_release(t, before);
        return x;
    }
    size_t count = (size_t)tensor_count(y);
    const real *from = y->data; /* still there after the release, and never in front of the copy's place */
    *out = (tensor){.ndim = y->ndim};
    memcpy(out->dim, y->dim, sizeof out->dim);
    tape_release(t, before);
    out->data = tape_alloc(t, count, sizeof *from);
    if (out->data == NULL) {
        return NULL;
    }
    memmove(out->data, from, count * sizeof *from);
    return out;
}

tensor *tape_stage_run(tape *t, tensor *x, tape_stage_fn fn, void *user, bool *wanted) {
    tensor *out = tape_alloc(t, 1, sizeof *out); /* in front of the mark, so that it is not written over the result */
    tape_mark before = tape_mark_here(t);
    bool record = t->record;
    t->record = record && !x->needs_grad; /* else only recording tells whether a parameter of the stage is trained */
    tensor *y = fn(t, x, user);
    t->record = record;
    t->n_nodes = before.nodes;
    *wanted = record && y != NULL && y != x && (x->needs_grad || y->needs_grad);
    return y == NULL || !tape_ok(t) ? NULL : settle(t, before, x, y, out);
}

tensor *tape_stage_keep(tape *t, tensor *x, tape_stage_fn fn, void *user) {
    tensor *out = tape_alloc(t, 1, sizeof *out);
    tape_mark before = tape_mark_here(t);
    tensor *y = fn(t, x, user);
    bool recorded = t->n_nodes != before.nodes;
    return y == NULL || !tape_ok(t) || recorded ? y : settle(t, before, x, y, out);
}

/* The gradient of x lies where the stage's memory is: to where it stays, unless it is `dy` or was there before. */
static void save_gradient(tape *t, tensor *x, const real *dy, real *place) {
    if (place == NULL) {
        return;
    }
    if (x->grad == NULL || x->grad == dy) {
        buffer_keep(t, (spare){place, tensor_count(x)});
        return;
    }
    memcpy(place, x->grad, (size_t)tensor_count(x) * sizeof *place);
    x->grad = place;
}

void tape_stage_back(tape *t, tensor *out, tensor *x, tape_stage_fn fn, void *user, uint64_t streams) {
    real *dy = out->grad, *place = NULL;
    if (x->needs_grad && x->grad == NULL) {
        place = buffer_take(t, tensor_count(x));
        if (place == NULL) {
            return;
        }
    }
    size_t first_spare = t->first_spare;
    uint64_t streams_after = t->streams;
    bool replaying = t->replaying;
    tape_mark before = tape_mark_here(t);
    t->first_spare = t->n_spares;
    t->streams = streams;
    t->replaying = true;
    tensor *y = fn(t, x, user);
    t->streams = streams_after;
    t->replaying = replaying;
    bool walk = tape_ok(t) && y != NULL && y->needs_grad;
    if (walk) {
        y->grad = dy;
        out->grad = NULL;
        walk_back(t, before.nodes);
    }
    t->n_spares = t->first_spare;
    t->first_spare = first_spare;
    save_gradient(t, x, dy, place);
    if (walk && x->grad != dy) {
        buffer_keep(t, (spare){dy, tensor_count(out)});
    }
    t->n_nodes = before.nodes;
    tape_release(t, before);
}

spoor_status tape_backward(tape *t, tensor *loss, spoor_error *err) {
    if (loss == NULL || !tape_ok(t)) {
        return tape_status(t, err);
    }
    if (tensor_count(loss) != 1) {
        return error_set(err, SPOOR_ERR_USAGE, "backward starts from a loss with one element, not %lld",
                         (long long)tensor_count(loss));
    }
    real *seed = tape_grad(t, loss);
    if (seed != NULL) {
        *seed = 1;
    }
    walk_back(t, 0);
    return tape_status(t, err);
}
