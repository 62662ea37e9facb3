/* verify_fit.c: see verify_fit.h. */
#include "openset/verify_fit.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t SHOTS[] = {1, 2, 3, 5};
static const double RATES[] = {0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005};
enum { N_SHOTS = sizeof SHOTS / sizeof *SHOTS, N_RATES = sizeof RATES / sizeof *RATES };

typedef struct scored { /* growing */
    double *score;
    unsigned char *target;
    size_t n, score_room, target_room;
} scored;

static spoor_status put(spoor_context *ctx, scored *s, double score, bool target, spoor_error *err) {
    if (!ctx_grow(ctx, (void **)&s->score, &s->score_room, s->n + 1, sizeof *s->score) ||
        !ctx_grow(ctx, (void **)&s->target, &s->target_room, s->n + 1, 1)) {
        return error_memory(err, "calibrating comparisons");
    }
    s->score[s->n] = score;
    s->target[s->n++] = target;
    return SPOOR_OK;
}

static void clear(spoor_context *ctx, scored *s) {
    ctx_free(ctx, s->score);
    ctx_free(ctx, s->target);
    *s = (scored){0};
}

/* ---- pairs ---- */

/* several[s]: the source has recordings from two pages. */
static void find_pages(const verify_data *d, int32_t *first, unsigned char *several) {
    for (size_t s = 0; s < d->sources; s++) {
        first[s] = -1;
    }
    for (size_t i = 0; i < d->n; i++) {
        int32_t *page = &first[d->source[i]];
        several[d->source[i]] |= *page >= 0 && *page != d->page[i];
        *page = d->page[i];
    }
}

static spoor_status score_pairs(spoor_context *ctx, const verify_data *d, const unsigned char *several, scored *out,
                                spoor_error *err) {
    size_t used = d->n < VERIFY_FIT_MAX_PAIRED ? d->n : VERIFY_FIT_MAX_PAIRED;
    for (size_t a = 0; a < used; a++) {
        TRY(ctx_check_cancel(ctx, err));
        for (size_t b = 0; b < a; b++) {
            size_t i = a * d->n / used, j = b * d->n / used;
            bool same = d->source[i] == d->source[j];
            if (!same || !several[d->source[i]] || d->page[i] != d->page[j]) {
                TRY(put(ctx, out, verify_dot(d->u + i * d->dim, d->u + j * d->dim, d->dim), same, err));
            }
        }
    }
    return SPOOR_OK;
}

static spoor_status fit_pairs(spoor_context *ctx, const verify_data *d, double prior, verify *v, spoor_error *err) {
    scored s = {0};
    int32_t *first = ctx_alloc(ctx, d->sources, sizeof *first);
    unsigned char *several = ctx_calloc(ctx, d->sources, 1);
    spoor_status status = first && several ? SPOOR_OK : error_memory(err, "calibrating comparisons");
    if (status == SPOOR_OK) {
        find_pages(d, first, several);
        status = score_pairs(ctx, d, several, &s, err);
    }
    size_t same = 0;
    for (size_t i = 0; i < s.n; i++) {
        same += s.target[i];
    }
    if (status == SPOOR_OK && (same == 0 || same == s.n)) {
        status = error_set(err, SPOOR_ERR_INPUT, "dev has no two synthetic recordings of %s, so that pairs cannot be "
                                                 "calibrated",
                           same == 0 ? "one source" : "different sources");
    }
    if (status == SPOOR_OK) {
        status = calibrate_logistic_fit(s.score, s.target, s.n, prior, &v->pair, err);
    }
    clear(ctx, &s);
    ctx_free(ctx, first);
    ctx_free(ctx, several);
    return status;
}

/* ---- enrolled sources ---- */

typedef struct work {
    spoor_context *ctx;
    const verify_data *d;
    size_t *own;          /* recordings of one source, shuffled */
    double *units, *centre;
    scored all;
    double *impostor;     /* scores of known recordings */
    size_t n_impostors, room;
} work;

/* The recordings of an unknown source in a random order; how many. */
static size_t shuffle(work *w, int32_t source, rng *r) {
    size_t n = 0;
    for (size_t i = 0; i < w->d->n; i++) {
        if (w->d->source[i] == source && !w->d->is_known[i]) {
            w->own[n++] = i;
        }
    }
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)rng_below(r, i), swap = w->own[k];
        w->own[k] = w->own[i - 1];
        w->own[i - 1] = swap;
    }
    return n;
}

static spoor_status score_one(work *w, size_t i, bool target, spoor_error *err) {
    const verify_data *d = w->d;
    double score = verify_enrolled_score(verify_dot(d->u + i * d->dim, w->centre, d->dim), d->known[i]);
    TRY(put(w->ctx, &w->all, score, target, err));
    if (d->is_known[i]) {
        if (!ctx_grow(w->ctx, (void **)&w->impostor, &w->room, w->n_impostors + 1, sizeof *w->impostor)) {
            return error_memory(err, "calibrating comparisons");
        }
        w->impostor[w->n_impostors++] = score;
    }
    return SPOOR_OK;
}

static spoor_status enrol_one(work *w, int32_t source, size_t files, rng *r, spoor_error *err) {
    const verify_data *d = w->d;
    size_t n = shuffle(w, source, r);
    if (n <= files) {
        return SPOOR_OK;
    }
    for (size_t k = 0; k < files; k++) {
        memcpy(w->units + k * d->dim, d->u + w->own[k] * d->dim, d->dim * sizeof *w->units);
    }
    verify_centroid(w->units, files, d->dim, w->centre);
    for (size_t k = files; k < n; k++) {
        TRY(score_one(w, w->own[k], true, err));
    }
    for (size_t i = 0; i < d->n; i++) {
        if (d->source[i] != source) {
            TRY(score_one(w, i, false, err));
        }
    }
    return SPOOR_OK;
}

static int falling(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

static spoor_status fit_shot(work *w, size_t files, double prior, uint64_t seed, verify *v, spoor_error *err) {
    w->all.n = w->n_impostors = 0;
    for (uint64_t draw = 0; draw < VERIFY_FIT_DRAWS; draw++) {
        rng r = rng_make(seed, draw);
        for (size_t s = 0; s < w->d->sources; s++) {
            TRY(ctx_check_cancel(w->ctx, err));
            TRY(enrol_one(w, (int32_t)s, files, &r, err));
        }
    }
    if (w->all.n == 0) {
        return SPOOR_OK; /* no source has so many recordings */
    }
    if (w->n_impostors == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "dev has no recording of a source that the model knows, so that it "
                         "cannot be said how often one would get an enrolled name");
    }
    verify_shot *shot = &v->shot[v->n_shots++];
    shot->files = files;
    qsort(w->impostor, w->n_impostors, sizeof *w->impostor, falling);
    for (size_t i = 0; i < N_RATES; i++) { /* floor(rate n) of them score above this one */
        shot->threshold[i] = nextafter(w->impostor[(size_t)(RATES[i] * (double)w->n_impostors)], INFINITY);
    }
    return calibrate_logistic_fit(w->all.score, w->all.target, w->all.n, prior, &shot->map, err);
}

static spoor_status fit_enrolled(work *w, double prior, uint64_t seed, verify *v, spoor_error *err) {
    size_t dim = w->d->dim;
    w->own = ctx_alloc(w->ctx, w->d->n, sizeof *w->own);
    w->units = ctx_alloc(w->ctx, SHOTS[N_SHOTS - 1] + 1, dim * sizeof *w->units);
    if (w->own == NULL || w->units == NULL) {
        return error_memory(err, "calibrating comparisons");
    }
    w->centre = w->units + SHOTS[N_SHOTS - 1] * dim;
    for (size_t i = 0; i < N_SHOTS; i++) {
        TRY(fit_shot(w, SHOTS[i], prior, seed, v, err));
    }
    return v->n_shots > 0 ? SPOOR_OK
                          : error_set(err, SPOOR_ERR_INPUT, "dev has no source that the model does not know with two "
                                      "recordings, so that nothing can be enrolled to calibrate by");
}

spoor_status verify_fit(spoor_context *ctx, const verify_data *d, double false_acceptance, double prior, uint64_t seed,
                        verify *v, spoor_error *err) {
    if (!(false_acceptance > 0 && false_acceptance < 1)) {
        return error_set(err, SPOOR_ERR_USAGE, "the share of known recordings that get an enrolled name must be "
                                               "between 0 and 1");
    }
    verify fitted = {.space = v->space, .false_acceptance = false_acceptance, .n_rates = N_RATES};
    memcpy(fitted.rate, RATES, sizeof RATES);
    work w = {.ctx = ctx, .d = d};
    TRY(fit_pairs(ctx, d, prior, &fitted, err));
    spoor_status status = fit_enrolled(&w, prior, seed, &fitted, err);
    clear(ctx, &w.all);
    ctx_free(ctx, w.impostor);
    ctx_free(ctx, w.own);
    ctx_free(ctx, w.units);
    if (status == SPOOR_OK) {
        fitted.calibrated = true;
        *v = fitted;
    }
    return status;
}
