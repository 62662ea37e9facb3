/* tape.h: reverse-mode automatic differentiation. Ops (tensor/ops/) append to the tape as they run forward;
 * tape_backward walks it from the end. All memory of a step comes from the tape's arena and is forgotten by the next
 * tape_begin.
 *
 * Errors are sticky: a failing op calls tape_fail and returns NULL, every op given a NULL input returns NULL, and the
 * caller asks tape_status once at the end. So a network reads like the formula that it follows. */
#ifndef TENSOR_TAPE_H
#define TENSOR_TAPE_H
#include "base/arena.h"
#include "base/context.h"
#include "base/rng.h"
#include "tensor/compute.h"
#include "tensor/tensor.h"

typedef struct tape tape;
/* Adds to the gradients of the op's inputs, given the gradient of its output (out->grad, never NULL). */
typedef void (*tape_backward_fn)(tape *t, void *saved);

spoor_status tape_new(spoor_context *ctx, compute *c, tape **out, spoor_error *err);
void tape_free(tape *t);

/* Start a step: forget the last one. record: backward will be called. train: dropout is on and batch norm uses (and
 * updates) batch statistics. seed: random numbers of this step (dropout). */
void tape_begin(tape *t, bool record, bool train, uint64_t seed);
bool tape_recording(const tape *t);
bool tape_training(const tape *t);
/* A fresh random stream, the n-th of this step: same seed and same order of ops give the same numbers. */
rng tape_rng(tape *t);
compute *tape_compute(tape *t);
const kernels *tape_kernels(tape *t);
size_t tape_bytes(const tape *t);

/* Uninitialised tensor, or NULL (and tape_fail) when out of memory or a dimension is negative or absurd. Its needs_grad
 * is false; an op that records sets it. */
tensor *tape_tensor(tape *t, int ndim, const int64_t *dim);
/* A tensor over the caller's data, which must outlive the step. Gets no gradient unless the caller sets needs_grad. */
tensor *tape_view(tape *t, int ndim, const int64_t *dim, real *data);
/* n * size bytes from the arena, aligned to 64; NULL and tape_fail when out of memory. */
void *tape_alloc(tape *t, size_t n, size_t size);

/* Give memory back in the middle of a step: everything allocated since the mark. Only where nothing was recorded
 * since. */
typedef struct tape_mark {
    arena_mark memory;
    size_t nodes;
} tape_mark;
tape_mark tape_mark_here(tape *t);
void tape_release(tape *t, tape_mark mark);

void tape_fail(tape *t, spoor_status status, const char *format, ...) BASE_PRINTF(3, 4);
bool tape_ok(const tape *t);
spoor_status tape_status(const tape *t, spoor_error *err);

/* Called by an op after its forward pass when tape_recording(t) and some input needs a gradient; sets
 * out->needs_grad. */
void tape_record(tape *t, tensor *out, tape_backward_fn fn, void *saved);

/* In a backward function: where to add the gradient of x (zeroed on first use); NULL if x needs none. */
real *tape_grad(tape *t, tensor *x);
/* The same without zeroing: *fresh = true means that the contents are undefined and must be assigned, not added to. */
real *tape_grad_fresh(tape *t, tensor *x, bool *fresh);
/* For ops that pass the gradient of `out` through unchanged to x (same number of elements): hands the buffer over
 * without copying where x has none yet, else adds. Call at most once per `out`, as the last use of out->grad. */
void tape_grad_pass(tape *t, tensor *out, tensor *x);
/* In a backward function: `count` uninitialised values that are given back for reuse when the function returns; NULL
 * and tape_fail when out of memory. */
real *tape_scratch(tape *t, int64_t count);

/* ---- stages that run again in backward (op_checkpoint) ---- */

typedef tensor *(*tape_stage_fn)(tape *t, tensor *x, void *user);
/* fn(t, x, user) without recording; everything that it took is given back but its result (x itself, or a tensor of the
 * stage's own making). *wanted: the tape records, and something in the stage asks for a gradient. */
tensor *tape_stage_run(tape *t, tensor *x, tape_stage_fn fn, void *user, bool *wanted);
/* fn(t, x, user) as it is; where it recorded nothing, everything that it took is given back but its result. */
tensor *tape_stage_keep(tape *t, tensor *x, tape_stage_fn fn, void *user);
/* In the backward function of `out`: the stage once more, recorded, with the random streams that begin at `streams`;
 * from the gradient of out to those of x and of parameters; then everything it took is given back. */
void tape_stage_back(tape *t, tensor *out, tensor *x, tape_stage_fn fn, void *user, uint64_t streams);
uint64_t tape_streams(const tape *t); /* taken so far in this step */
/* True while a stage runs again: what is done once in a step (running statistics) has been done. */
bool tape_replaying(const tape *t);

/* loss must have one element. Gradients of parameters are added to what they hold (zero them before). */
spoor_status tape_backward(tape *t, tensor *loss, spoor_error *err);
#endif
