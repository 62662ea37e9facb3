/* optimiser.c: see optimiser.h. */
#include "train/optimiser.h"
#include <math.h>
#include <string.h>

#ifdef SPOOR_DOUBLE
#define square_root sqrt
#else
#define square_root sqrtf
#endif

enum { PIECE = 16384 }; /* numbers that one item of work updates */

/* A piece of one parameter. */
typedef struct piece {
    size_t param;
    int64_t begin, end;
} piece;

/* all: buffers too. */
static bool has_pieces(const param *p, bool all) { return p->trainable || (all && !p->fixed); }

static int64_t count_pieces(params *p, bool all) {
    int64_t n = 0;
    for (size_t i = 0; i < params_count(p); i++) {
        if (has_pieces(params_at(p, i), all)) {
            n += (tensor_count(&params_at(p, i)->value) + PIECE - 1) / PIECE;
        }
    }
    return n;
}

static piece *make_pieces(spoor_context *ctx, params *p, bool all, int64_t *n) {
    *n = count_pieces(p, all);
    piece *list = ctx_alloc(ctx, (size_t)*n, sizeof *list);
    int64_t k = 0;
    for (size_t i = 0; list && i < params_count(p); i++) {
        int64_t size = tensor_count(&params_at(p, i)->value);
        for (int64_t at = 0; has_pieces(params_at(p, i), all) && at < size; at += PIECE) {
            list[k++] = (piece){i, at, at + PIECE < size ? at + PIECE : size};
        }
    }
    return list;
}

/* ---- Adam ---- */

struct optimiser {
    spoor_context *ctx;
    params *params;
    optimiser_options options;
    real **moment[2]; /* of each parameter; NULL: not trainable */
    optimiser_group *group; /* of each parameter */
    piece *pieces;
    double *partial;  /* sum of squares of each piece */
    int64_t n_pieces;
    uint64_t steps;
    /* of the update in progress */
    real scale;       /* of the gradient */
    double lr;
};

void optimiser_free(optimiser *o) {
    if (!o) {
        return;
    }
    for (int which = 0; which < 2; which++) {
        for (size_t i = 0; o->moment[which] && i < params_count(o->params); i++) {
            ctx_free(o->ctx, o->moment[which][i]);
        }
        ctx_free(o->ctx, o->moment[which]);
    }
    ctx_free(o->ctx, o->group);
    ctx_free(o->ctx, o->pieces);
    ctx_free(o->ctx, o->partial);
    ctx_free(o->ctx, o);
}

static bool make_moments(optimiser *o) {
    size_t n = params_count(o->params);
    for (int which = 0; which < 2; which++) {
        o->moment[which] = ctx_calloc(o->ctx, n, sizeof *o->moment[which]);
        for (size_t i = 0; o->moment[which] && i < n; i++) {
            const param *p = params_at(o->params, i);
            if (p->trainable) {
                o->moment[which][i] = ctx_calloc(o->ctx, (size_t)tensor_count(&p->value), sizeof(real));
                if (!o->moment[which][i]) {
                    return false;
                }
            }
        }
        if (!o->moment[which]) {
            return false;
        }
    }
    return true;
}

static bool make_groups(optimiser *o, const optimiser_options *options) {
    size_t n = params_count(o->params);
    o->group = ctx_alloc(o->ctx, n, sizeof *o->group);
    for (size_t i = 0; o->group && i < n; i++) {
        o->group[i] = (optimiser_group){NULL, 1, 0};
        size_t longest = 0;
        for (size_t g = 0; g < options->n_groups; g++) {
            size_t length = strlen(options->group[g].prefix) + 1;
            if (length > longest && params_under(params_at(o->params, i)->name, options->group[g].prefix)) {
                longest = length;
                o->group[i] = (optimiser_group){NULL, options->group[g].factor, options->group[g].start};
            }
        }
    }
    return o->group != NULL;
}

spoor_status optimiser_new(spoor_context *ctx, params *p, const optimiser_options *options, optimiser **out,
                           spoor_error *err) {
    *out = NULL;
    optimiser *o = ctx_calloc(ctx, 1, sizeof *o);
    if (!o) {
        return error_memory(err, "making an optimiser");
    }
    o->ctx = ctx;
    o->params = p;
    o->options = *options;
    o->options.group = NULL;
    o->pieces = make_pieces(ctx, p, false, &o->n_pieces);
    o->partial = ctx_alloc(ctx, (size_t)o->n_pieces, sizeof *o->partial);
    if (!o->pieces || !o->partial || !make_groups(o, options) || !make_moments(o)) {
        optimiser_free(o);
        return error_memory(err, "making an optimiser");
    }
    *out = o;
    return SPOOR_OK;
}

bool optimiser_active(const optimiser *o, size_t i) { return o->steps >= o->group[i].start; }

static void sum_squares(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    optimiser *o = arg;
    const piece *q = &o->pieces[item];
    const real *g = params_at(o->params, q->param)->value.grad;
    o->partial[item] = 0;
    if (!optimiser_active(o, q->param)) {
        return;
    }
    double sum[8] = {0};
    int64_t i = q->begin;
    for (; i + 8 <= q->end; i += 8) {
        for (int k = 0; k < 8; k++) {
            sum[k] += (double)g[i + k] * (double)g[i + k];
        }
    }
    for (; i < q->end; i++) {
        sum[0] += (double)g[i] * (double)g[i];
    }
    o->partial[item] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

static void update(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    optimiser *o = arg;
    const optimiser_options *s = &o->options;
    const piece *q = &o->pieces[item];
    param *p = params_at(o->params, q->param);
    const optimiser_group *group = &o->group[q->param];
    if (o->steps <= group->start) {
        return;
    }
    int64_t n = q->end - q->begin;
    real *restrict w = p->value.data + q->begin;
    const real *restrict g = p->value.grad + q->begin;
    real *restrict m = o->moment[0][q->param] + q->begin;
    real *restrict v = o->moment[1][q->param] + q->begin;
    double decay = p->decay ? s->weight_decay : 0;
    double t = (double)(o->steps - group->start), lr = o->lr * group->factor;
    const real keep = s->decoupled ? (real)(1 - lr * decay) : 1;
    const real add = s->decoupled ? 0 : (real)decay;
    const real b1 = (real)s->beta1, b2 = (real)s->beta2, c1 = (real)(1 - s->beta1), c2 = (real)(1 - s->beta2);
    const real rate = (real)(lr / (1 - pow(s->beta1, t)));
    const real root = (real)sqrt(1 - pow(s->beta2, t)), eps = (real)s->eps, scale = o->scale;
    for (int64_t i = 0; i < n; i++) {
        real grad = g[i] * scale + add * w[i];
        m[i] = m[i] * b1 + c1 * grad;
        v[i] = v[i] * b2 + c2 * grad * grad;
        real bottom = square_root(v[i]) / root + eps;
        w[i] = w[i] * keep - rate * m[i] / bottom;
    }
}

spoor_status optimiser_step(optimiser *o, compute *c, double lr, double *norm, spoor_error *err) {
    compute_for(c, o->n_pieces, sum_squares, o);
    double total = 0;
    for (int64_t i = 0; i < o->n_pieces; i++) {
        total += o->partial[i];
    }
    *norm = sqrt(total);
    if (!isfinite(total)) {
        return error_set(err, SPOOR_ERR_USAGE, "the gradient is not finite after %llu updates: the training diverged; "
                         "lower optimiser.lr or lengthen schedule.warmup", (unsigned long long)o->steps);
    }
    double factor = o->options.clip > 0 ? o->options.clip / (*norm + 1e-6) : 1;
    o->scale = (real)(factor < 1 ? factor : 1);
    o->lr = lr;
    o->steps++;
    compute_for(c, o->n_pieces, update, o);
    return SPOOR_OK;
}

uint64_t optimiser_steps(const optimiser *o) { return o->steps; }
void optimiser_set_steps(optimiser *o, uint64_t steps) { o->steps = steps; }
real *optimiser_moment(optimiser *o, size_t i, int which) { return o->moment[which][i]; }

/* ---- schedule ---- */

double schedule_rate(const schedule *s, uint64_t step) {
    double at = (double)step;
    if (at + 1 < s->warmup) {
        return s->lr * (at + 1) / s->warmup;
    }
    if (s->kind == SCHEDULE_COSINE) {
        double length = s->total - s->warmup, done = length > 0 ? (at - s->warmup) / length : 1;
        done = done < 0 ? 0 : done > 1 ? 1 : done;
        return s->lr * (s->floor + (1 - s->floor) * 0.5 * (1 + cos(3.14159265358979323846 * done)));
    }
    if (s->kind == SCHEDULE_STEP) {
        return s->lr * pow(s->factor, floor(at / s->every));
    }
    return s->lr;
}

/* ---- averages ---- */

struct average {
    spoor_context *ctx;
    params *params;
    real **values; /* NULL where a parameter is fixed */
    piece *pieces;
    int64_t n_pieces;
    real share;
};

void average_free(average *a) {
    if (!a) {
        return;
    }
    for (size_t i = 0; a->values && i < params_count(a->params); i++) {
        ctx_free(a->ctx, a->values[i]);
    }
    ctx_free(a->ctx, a->values);
    ctx_free(a->ctx, a->pieces);
    ctx_free(a->ctx, a);
}

spoor_status average_new(spoor_context *ctx, params *p, average **out, spoor_error *err) {
    *out = NULL;
    average *a = ctx_calloc(ctx, 1, sizeof *a);
    if (!a) {
        return error_memory(err, "averaging weights");
    }
    a->ctx = ctx;
    a->params = p;
    a->pieces = make_pieces(ctx, p, true, &a->n_pieces);
    a->values = ctx_calloc(ctx, params_count(p), sizeof *a->values);
    bool ok = a->pieces && a->values;
    for (size_t i = 0; ok && i < params_count(p); i++) {
        const tensor *t = &params_at(p, i)->value;
        if (params_at(p, i)->fixed) {
            continue;
        }
        a->values[i] = ctx_alloc(ctx, (size_t)tensor_count(t), sizeof(real));
        ok = a->values[i] != NULL;
        if (ok) {
            memcpy(a->values[i], t->data, (size_t)tensor_count(t) * sizeof(real));
        }
    }
    if (!ok) {
        average_free(a);
        return error_memory(err, "averaging weights");
    }
    *out = a;
    return SPOOR_OK;
}

static void mix(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    average *a = arg;
    const piece *q = &a->pieces[item];
    const real *restrict w = params_at(a->params, q->param)->value.data;
    real *restrict to = a->values[q->param];
    if (a->share == (real)1) {
        memcpy(to + q->begin, w + q->begin, (size_t)(q->end - q->begin) * sizeof(real));
        return;
    }
    for (int64_t i = q->begin; i < q->end; i++) {
        to[i] += a->share * (w[i] - to[i]);
    }
}

void average_update(average *a, compute *c, double share) {
    a->share = (real)share;
    compute_for(c, a->n_pieces, mix, a);
}

void average_swap(average *a) {
    for (size_t i = 0; i < params_count(a->params); i++) {
        real *w = params_at(a->params, i)->value.data, *v = a->values[i];
        for (int64_t k = 0; v && k < tensor_count(&params_at(a->params, i)->value); k++) {
            real keep = w[k];
            w[k] = v[k];
            v[k] = keep;
        }
    }
}

real *average_values(average *a, size_t i) { return a->values[i]; }
