/* vectors.h: for tests against committed vectors that PyTorch made (tests/torch/): a case of vectors with a tape to run on, and
 * comparisons with a bound; a network of a case with its parameters from there (vectors_network). */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H
#include "net/net.h"
#include "support/support.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct vectors {
    spoor_context *ctx;
    safetensors *file;
    json_t *meta; /* of the case; NULL: none */
    compute *compute;
    tape *tape;
    net *net;        /* of vectors_network; NULL: none */
    float *features; /* that it sees */
} vectors;

/* path: under the source tree. */
static inline void vectors_open(vectors *v, const char *path, unsigned threads) {
    spoor_error err = {0};
    *v = (vectors){.ctx = support_context()};
    support_ok(safetensors_open(v->ctx, support_path(path), &v->file, &err), &err);
    const char *meta = safetensors_meta(v->file, "test");
    v->meta = meta == NULL ? NULL : json_loads(meta, 0, NULL);
    support_ok(compute_new(v->ctx, threads, &v->compute, &err), &err);
    support_ok(tape_new(v->ctx, v->compute, &v->tape, &err), &err);
}

static inline void vectors_close(vectors *v) {
    free(v->features);
    net_free(v->net);
    tape_free(v->tape);
    compute_free(v->compute);
    json_decref(v->meta);
    safetensors_free(v->file);
    spoor_context_free(v->ctx);
}

/* The vector that the two texts name one after the other; the test fails where there is none. */
static inline const safetensors_tensor *vectors_need(const vectors *v, const char *first, const char *second) {
    char key[300];
    snprintf(key, sizeof key, "%s%s", first, second);
    const safetensors_tensor *t = safetensors_find(v->file, key);
    if (t == NULL) {
        fail_msg("vector %s is missing", key);
    }
    return t;
}

/* It as an input with a gradient. */
static inline tensor *vectors_input(const vectors *v, const char *first, const char *second) {
    const safetensors_tensor *t = vectors_need(v, first, second);
    tensor *x = tape_tensor(v->tape, t->rank, t->shape);
    assert_non_null(x);
    safetensors_to_f32(t, x->data);
    x->needs_grad = true;
    return x;
}

/* The largest error over the largest value, which counts as `floor` at least, is within the tolerance. */
static inline void vectors_same(const vectors *v, const char *first, const char *second, const float *got, double floor,
                                double tolerance) {
    const safetensors_tensor *t = vectors_need(v, first, second);
    double *want = malloc((t->count + 1) * sizeof *want), worst = 0, top = floor > 1e-30 ? floor : 1e-30;
    safetensors_to_f64(t, want);
    for (size_t i = 0; i < t->count; i++) {
        top = fabs(want[i]) > top ? fabs(want[i]) : top;
    }
    for (size_t i = 0; i < t->count; i++) {
        double d = fabs((double)got[i] - want[i]) / top;
        worst = d <= worst || isnan(worst) ? worst : d; /* NAN stays */
    }
    free(want);
    if (!(worst <= tolerance)) {
        fail_msg("%s%s: relative error %.3g", first, second, worst);
    }
}

/* ---- networks ---- */

/* The network of the case, for these tasks, with the parameters "param.NAME", of the same shapes; `made`: one that the network makes
 * itself and that is compared instead; NULL: none. */
static inline void vectors_network(vectors *v, const net_task *tasks, size_t n_tasks, const char *made) {
    spoor_error err = {0};
    const safetensors_tensor *x = vectors_need(v, "features", "");
    support_ok(net_new(v->ctx, json_object_get(v->meta, "network"), x->shape[2], tasks, n_tasks, 1, &v->net, &err), &err);
    params *p = net_params(v->net);
    for (size_t i = 0; i < params_count(p); i++) {
        const char *name = params_at(p, i)->name;
        const safetensors_tensor *t = vectors_need(v, "param.", name);
        const tensor *value = &params_at(p, i)->value;
        assert_int_equal(t->rank, value->ndim);
        assert_memory_equal(t->shape, value->dim, (size_t)t->rank * sizeof *t->shape);
        if (made != NULL && strcmp(name, made) == 0) {
            vectors_same(v, "param.", name, value->data, 0, 1e-4);
        } else {
            safetensors_to_f32(t, value->data);
        }
    }
    v->features = malloc(x->bytes);
    safetensors_to_f32(x, v->features);
}

/* What the network sees, with a gradient. */
static inline tensor *vectors_features(const vectors *v) {
    tensor *x = tape_view(v->tape, 3, vectors_need(v, "features", "")->shape, v->features);
    assert_non_null(x);
    x->needs_grad = true;
    return x;
}

/* After a step: gradients are "grad.NAME", held against the floor that `floor` gives for their parameter; what is not trained
 * has become "after.NAME". */
static inline void vectors_stepped(const vectors *v, double (*floor)(const vectors *v, const char *name), double tolerance) {
    params *p = net_params(v->net);
    for (size_t i = 0; i < params_count(p); i++) {
        const param *item = params_at(p, i);
        if (item->trainable) {
            vectors_same(v, "grad.", item->name, item->value.grad, floor(v, item->name), tolerance);
        } else {
            vectors_same(v, "after.", item->name, item->value.data, 0, tolerance);
        }
    }
}

/* Parameters and gradients of two networks have the same bits. */
static inline void vectors_same_bits(const vectors *one, const vectors *other) {
    params *a = net_params(one->net), *b = net_params(other->net);
    for (size_t i = 0; i < params_count(a); i++) {
        const tensor *x = &params_at(a, i)->value, *y = &params_at(b, i)->value;
        assert_memory_equal(x->data, y->data, (size_t)tensor_count(x) * sizeof(float));
        if (x->grad != NULL) {
            assert_memory_equal(x->grad, y->grad, (size_t)tensor_count(x) * sizeof(float));
        }
    }
}
#endif
