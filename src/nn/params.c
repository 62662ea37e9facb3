/* params.c: see params.h. */
#include "nn/params.h"
#include "base/arena.h"
#include "base/checked.h"
#include <math.h>
#include <string.h>

struct params {
    spoor_context *ctx;
    arena *arena; /* all names and numbers */
    uint64_t seed;
    bool weights_follow; /* values come from a file: no initialisation, no gradients */
    bool frozen;         /* and entries have no data until they are given some */
    size_t bytes;
    int64_t numel, max_numel;
    param **items; /* pointers, so that handed-out tensors never move */
    size_t n, capacity;
};

spoor_status params_new(spoor_context *ctx, uint64_t seed, params **out, spoor_error *err) {
    *out = NULL;
    params *p = ctx_calloc(ctx, 1, sizeof *p);
    if (p == NULL) {
        return error_memory(err, "making a parameter set");
    }
    p->ctx = ctx;
    p->seed = seed;
    p->max_numel = INT64_MAX;
    spoor_status status = arena_new(ctx, &p->arena, err);
    if (status != SPOOR_OK) {
        ctx_free(ctx, p);
        return status;
    }
    *out = p;
    return SPOOR_OK;
}

spoor_status params_new_for_weights(spoor_context *ctx, int64_t max_numel, params **out, spoor_error *err) {
    TRY(params_new(ctx, 0, out, err));
    (*out)->weights_follow = true;
    (*out)->max_numel = max_numel;
    return SPOOR_OK;
}

spoor_status params_new_frozen(spoor_context *ctx, int64_t max_numel, params **out, spoor_error *err) {
    TRY(params_new_for_weights(ctx, max_numel, out, err));
    (*out)->frozen = true;
    return SPOOR_OK;
}

void params_free(params *p) {
    if (p != NULL) {
        for (size_t i = 0; i < p->n; i++) {
            if (p->items[i]->owner == p && p->items[i]->value.packed != NULL) {
                compute_weight_free((compute_weight *)(uintptr_t)p->items[i]->value.packed);
            }
        }
        arena_free(p->arena);
        ctx_free(p->ctx, p->items);
        ctx_free(p->ctx, p);
    }
}

static uint64_t name_stream(const char *name) { /* FNV-1a */
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *name != '\0'; name++) {
        h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    }
    return h;
}

static void fill(tensor *x, param_init init, int64_t fan_in, rng r) {
    int64_t n = tensor_count(x);
    double bound = fan_in > 0 ? 1.0 / sqrt((double)fan_in) : 0.0;
    double deviation = tensor_cols(x) > 0 ? 1.0 / sqrt((double)tensor_cols(x)) : 0.0;
    for (int64_t i = 0; i < n; i++) {
        double v = 0.0;
        switch (init) {
        case PARAM_ZEROS: v = 0.0; break;
        case PARAM_ONES: v = 1.0; break;
        case PARAM_UNIFORM_FAN_IN: v = rng_range(&r, -bound, bound); break;
        case PARAM_UNIFORM01: v = rng_uniform(&r); break;
        case PARAM_STANDARD_NORMAL: v = rng_normal(&r); break;
        case PARAM_NORMAL: v = deviation * rng_normal(&r); break;
        }
        x->data[i] = (real)v;
    }
}

spoor_status params_add(params *p, const char *name, int ndim, const int64_t *dim, param_init init, int64_t fan_in,
                        bool trainable, bool decay, tensor **out, spoor_error *err) {
    *out = NULL;
    int64_t count = 1;
    for (int i = 0; i < ndim; i++) {
        if (!checked_mul_i64(count, dim[i], &count) || count > INT32_MAX) {
            return error_set(err, SPOOR_ERR_LIMIT, "the parameter %s would be too large", name);
        }
    }
    if (count > p->max_numel - p->numel) {
        return error_set(err, SPOOR_ERR_USAGE, "its network has more parameters than the file has numbers (at %s)",
                         name);
    }
    if (params_find(p, name) != NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "the parameter %s exists twice", name);
    }
    bool with_grad = trainable && !p->weights_follow;
    param *item = arena_alloc(p->arena, 1, sizeof *item);
    char *copy = arena_alloc(p->arena, strlen(name) + 1, 1);
    real *data = p->frozen ? NULL : arena_alloc(p->arena, (size_t)count, sizeof *data);
    real *grad = with_grad ? arena_alloc(p->arena, (size_t)count, sizeof *grad) : NULL;
    if (item == NULL || copy == NULL || (!p->frozen && data == NULL) || (with_grad && grad == NULL) ||
        !ctx_grow(p->ctx, (void **)&p->items, &p->capacity, p->n + 1, sizeof(param *))) {
        return error_memory(err, "making the network's parameters");
    }
    memcpy(copy, name, strlen(name) + 1);
    *item = (param){.name = copy, .owner = p, .trainable = trainable, .decay = decay};
    item->value = (tensor){.ndim = ndim, .data = data, .grad = grad, .needs_grad = with_grad, .parameter = true};
    memcpy(item->value.dim, dim, (size_t)ndim * sizeof *dim);
    if (!p->frozen) {
        p->bytes += (size_t)count * sizeof *data;
        fill(&item->value, p->weights_follow ? PARAM_ZEROS : init, fan_in, rng_make(p->seed, name_stream(name)));
    }
    p->numel += count;
    if (with_grad) {
        memset(grad, 0, (size_t)count * sizeof *grad);
    }
    p->items[p->n++] = item;
    *out = &item->value;
    return SPOOR_OK;
}

spoor_status params_give(params *p, param *item, const real *data, spoor_error *err) {
    size_t count = (size_t)tensor_count(&item->value);
    if (item->value.data == NULL) {
        item->value.data = arena_alloc(p->arena, count, sizeof *data);
        if (item->value.data == NULL) {
            return error_memory(err, "keeping the weights of a network");
        }
        p->bytes += count * sizeof *data;
    }
    memcpy(item->value.data, data, count * sizeof *data);
    return SPOOR_OK;
}

spoor_status params_pack(params *p, param *item, const real *data, compute_precision precision, spoor_error *err) {
    compute_weight *w;
    int64_t n = item->value.dim[0], k = n == 0 ? 0 : tensor_count(&item->value) / n;
    if (item->groups > 0) {
        TRY(compute_weight_new_grouped(p->ctx, data, n, item->value.dim[1], item->value.dim[2], item->groups, precision,
                                       &w, err));
    } else {
        TRY(compute_weight_new(p->ctx, data, n, k, precision, &w, err));
    }
    compute_weight *before = (compute_weight *)(uintptr_t)item->value.packed;
    p->bytes -= before == NULL ? 0 : compute_weight_bytes(before);
    compute_weight_free(before);
    item->value.packed = w;
    p->bytes += compute_weight_bytes(w);
    return SPOOR_OK;
}

spoor_status params_adopt(params *to, params *from, spoor_error *err) {
    if (!ctx_grow(to->ctx, (void **)&to->items, &to->capacity, to->n + from->n, sizeof(param *))) {
        return error_memory(err, "joining parameters");
    }
    for (size_t i = 0; i < from->n; i++) {
        if (params_find(to, from->items[i]->name) != NULL) {
            return error_set(err, SPOOR_ERR_USAGE, "the parameter %s exists twice", from->items[i]->name);
        }
        to->items[to->n++] = from->items[i];
    }
    return SPOOR_OK;
}

void params_fix(param *item) {
    item->fixed = true;
    item->trainable = item->value.needs_grad = false;
    item->value.grad = NULL;
}

size_t params_bytes(const params *p) { return p->bytes; }
size_t params_count(const params *p) { return p->n; }
param *params_at(params *p, size_t i) { return p->items[i]; }

param *params_find(params *p, const char *name) {
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->items[i]->name, name) == 0) {
            return p->items[i];
        }
    }
    return NULL;
}

bool params_under(const char *name, const char *prefix) {
    size_t n = strlen(prefix);
    return n == 0 || (strncmp(name, prefix, n) == 0 && (name[n] == '\0' || name[n] == '.'));
}

int64_t params_numel(const params *p) {
    int64_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        n += p->items[i]->trainable ? tensor_count(&p->items[i]->value) : 0;
    }
    return n;
}

void params_zero_grad(params *p) {
    for (size_t i = 0; i < p->n; i++) {
        tensor *x = &p->items[i]->value;
        if (x->grad != NULL) {
            memset(x->grad, 0, (size_t)tensor_count(x) * sizeof *x->grad);
        }
    }
}
