/* chance.c: see chance.h. */
#include "eval/chance.h"
#include "base/rng.h"
#include "eval/metrics.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM = 0x6368616e }; /* "chan": random numbers of its own */

const char *chance_form_name(chance_form form) {
    static const char *const names[] = {"uniform", "synthetic", "prior", "majority", NULL};
    return names[form];
}

static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts v. */
static chance_figure summary(double *v, size_t n) {
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        mean += v[i];
    }
    mean /= (double)n;
    if (isnan(mean)) {
        return (chance_figure){NAN, NAN, NAN, NAN};
    }
    for (size_t i = 0; i < n; i++) {
        square += (v[i] - mean) * (v[i] - mean);
    }
    qsort(v, n, sizeof *v, rising);
    return (chance_figure){mean, n > 1 ? sqrt(square / (double)(n - 1)) : 0, metric_quantile(v, n, 0.025),
                           metric_quantile(v, n, 0.975)};
}

spoor_status chance_eer(spoor_context *ctx, const unsigned char *target, size_t n, const chance_options *o,
                        chance_figure *out, spoor_error *err) {
    double *score = ctx_alloc(ctx, n, sizeof *score), *eer = ctx_alloc(ctx, o->repetitions, sizeof *eer);
    spoor_status status = score && eer ? SPOOR_OK : error_memory(err, "simulating guesses");
    for (size_t r = 0; status == SPOOR_OK && r < o->repetitions; r++) {
        rng numbers = rng_make(o->seed, STREAM + ((uint64_t)r << 32));
        for (size_t i = 0; i < n; i++) {
            score[i] = rng_uniform(&numbers);
        }
        detection *d = NULL;
        status = ctx_check_cancel(ctx, err);
        status = status == SPOOR_OK ? detection_new(ctx, score, target, n, &d, err) : status;
        if (status == SPOOR_OK) {
            eer[r] = detection_eer(d, NULL, EER_ASVSPOOF, NULL).value;
        }
        detection_free(d);
    }
    if (status == SPOOR_OK) {
        *out = summary(eer, o->repetitions);
    }
    ctx_free(ctx, score);
    ctx_free(ctx, eer);
    return status;
}

typedef struct guessing {
    const int32_t *truth;
    size_t n, classes;
    int64_t human;
    chance_form form;
    uint64_t *count;     /* [classes] of truth */
    int32_t *guess, most;
    uint64_t *confusion; /* [classes, classes + 1] */
    int32_t *labels;     /* those with support */
    size_t n_labels;
} guessing;

static int32_t one_guess(const guessing *g, rng *numbers) {
    switch (g->form) {
    case CHANCE_UNIFORM: return (int32_t)rng_below(numbers, g->classes);
    case CHANCE_SYNTHETIC: {
        int32_t k = (int32_t)rng_below(numbers, g->classes - (g->human >= 0));
        return g->human >= 0 && k >= g->human ? k + 1 : k;
    }
    case CHANCE_PRIOR: return g->truth[rng_below(numbers, g->n)];
    case CHANCE_MAJORITY: return g->most;
    }
    return -1;
}

static void one_repetition(guessing *g, rng *numbers, double *weighted, double *macro, double *accuracy) {
    for (size_t i = 0; i < g->n; i++) {
        g->guess[i] = one_guess(g, numbers);
    }
    metric_confusion(g->truth, g->guess, g->n, NULL, g->classes, g->confusion);
    metric_f1 f = metric_f1_set(g->confusion, g->classes, g->labels, g->n_labels, F1_SUPPORTED);
    *weighted = f.weighted.value;
    *macro = f.macro.value;
    *accuracy = metric_accuracy(g->truth, g->guess, g->n, NULL).value;
}

static void count(guessing *g) {
    memset(g->count, 0, g->classes * sizeof *g->count);
    for (size_t i = 0; i < g->n; i++) {
        g->count[g->truth[i]]++;
    }
    for (size_t k = 0; k < g->classes; k++) {
        if (g->count[k] > 0) {
            g->labels[g->n_labels++] = (int32_t)k;
        }
        g->most = g->count[k] > g->count[g->most] ? (int32_t)k : g->most;
    }
}

spoor_status chance_f1(spoor_context *ctx, const int32_t *truth, size_t n, size_t classes, int64_t human,
                       uint64_t stream, const chance_options *o, chance_figure out[CHANCE_FIGURES], spoor_error *err) {
    if (n == 0 || (o->form == CHANCE_SYNTHETIC && classes < 2)) {
        out[0] = out[1] = out[2] = (chance_figure){NAN, NAN, NAN, NAN};
        return SPOOR_OK;
    }
    guessing g = {.truth = truth, .n = n, .classes = classes, .human = human, .form = o->form,
                  .count = ctx_alloc(ctx, classes, sizeof *g.count), .guess = ctx_alloc(ctx, n, sizeof *g.guess),
                  .confusion = ctx_alloc(ctx, classes, (classes + 1) * sizeof *g.confusion),
                  .labels = ctx_alloc(ctx, classes, sizeof *g.labels)};
    double *v = ctx_alloc(ctx, o->repetitions, CHANCE_FIGURES * sizeof *v);
    bool made = g.count && g.guess && g.confusion && g.labels && v;
    spoor_status status = made ? SPOOR_OK : error_memory(err, "simulating guesses");
    size_t m = o->repetitions;
    if (made) {
        count(&g);
    }
    for (size_t r = 0; status == SPOOR_OK && r < m; r++) {
        rng first = rng_make(o->seed, STREAM + 1 + stream), numbers = rng_make(rng_u64(&first), (uint64_t)r);
        one_repetition(&g, &numbers, &v[r], &v[m + r], &v[2 * m + r]);
        status = ctx_check_cancel(ctx, err);
    }
    for (size_t k = 0; status == SPOOR_OK && k < CHANCE_FIGURES; k++) {
        out[k] = summary(v + k * m, m);
    }
    ctx_free(ctx, g.count);
    ctx_free(ctx, g.guess);
    ctx_free(ctx, g.confusion);
    ctx_free(ctx, g.labels);
    ctx_free(ctx, v);
    return status;
}
