/* helpers.h: what the augmentation tests share: a speech-like signal, running a chain, spectra. */
#ifndef TESTS_AUGMENT_HELPERS_H
#define TESTS_AUGMENT_HELPERS_H
#include "audio/augment/augment.h"
#include "support/support.h"
#include <kissfft/kiss_fftr.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Harmonics of a gliding pitch under an envelope of syllables, with some breath: broad-band, no two parts alike. */
static inline void helpers_speech(float *out, size_t n) {
    rng r = rng_make(42, 0);
    double phase = 0;
    for (size_t i = 0; i < n; i++) {
        double t = (double)i / 16000, syllable = 0.5 - 0.5 * cos(2 * 3.14159265358979 * 3.3 * t), v = 0;
        phase += 2 * 3.14159265358979 * (120 + 30 * sin(2.1 * t) + 11 * sin(17.3 * t)) / 16000;
        for (int h = 1; h <= 30; h++) {
            v += sin(phase * h + h * h) / (1 + 0.3 * fabs(h - 5 - 4 * sin(5 * t)));
        }
        out[i] = (float)(0.12 * syllable * v + 0.003 * rng_normal(&r));
    }
}

static inline augment *helpers_make(spoor_context *ctx, const char *steps) {
    json_t *config = json_loads(steps, 0, NULL);
    augment *a;
    spoor_error err = {0};
    assert_non_null(config);
    support_ok(augment_new(ctx, config, &a, &err), &err);
    json_decref(config);
    return a;
}

static inline spoor_status helpers_try(spoor_context *ctx, const char *steps, uint64_t seed,
                                       const augment_sources *sources, float *x, size_t n, spoor_error *err) {
    json_t *config = json_loads(steps, 0, NULL);
    assert_non_null(config);
    augment *a;
    augment_scratch *s = NULL;
    rng r = rng_make(seed, 0);
    spoor_status status = augment_new(ctx, config, &a, err);
    json_decref(config);
    if (status == SPOOR_OK) {
        status = augment_scratch_new(a, &s, err);
    }
    if (status == SPOOR_OK) {
        status = augment_apply(a, s, sources, &r, x, n, err);
    }
    augment_scratch_free(s);
    augment_free(a);
    return status;
}

static inline void helpers_run(spoor_context *ctx, const char *steps, uint64_t seed, float *x, size_t n) {
    spoor_error err = {0};
    support_ok(helpers_try(ctx, steps, seed, NULL, x, n, &err), &err);
}

static inline double helpers_power(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return sum / (double)n;
}

/* Part of the power of x[n], n even, between two frequencies (a plain periodogram). */
static inline double helpers_band(const float *x, size_t n, double low, double high) {
    kiss_fftr_cfg fft = kiss_fftr_alloc((int)n, 0, NULL, NULL);
    kiss_fft_cpx *bins = malloc((n / 2 + 1) * sizeof *bins);
    kiss_fftr(fft, x, bins);
    double sum = 0;
    for (size_t k = 1; k < n / 2; k++) {
        double f = (double)k * 16000 / (double)n;
        if (f >= low && f < high) {
            sum += (double)bins[k].r * (double)bins[k].r + (double)bins[k].i * (double)bins[k].i;
        }
    }
    free(bins);
    kiss_fftr_free(fft);
    return 2 * sum / ((double)n * (double)n);
}

/* |sum x e^-jwt| */
static inline double helpers_response(const float *x, size_t n, double f) {
    double re = 0, im = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != 0) {
            double w = 2 * 3.14159265358979323846 * f / 16000 * (double)i;
            re += (double)x[i] * cos(w);
            im += (double)x[i] * sin(w);
        }
    }
    return sqrt(re * re + im * im);
}

/* The lag within +-reach at which y follows x best: y[i + lag] ~ x[i]. */
static inline int helpers_best_lag(const float *x, const float *y, size_t n, int reach) {
    double best = -1;
    int at = 0;
    for (int lag = -reach; lag <= reach; lag++) {
        double sum = 0;
        for (size_t i = (size_t)reach; i + (size_t)reach < n; i++) {
            sum += (double)x[i] * (double)y[(size_t)((int64_t)i + lag)];
        }
        if (sum > best) {
            best = sum;
            at = lag;
        }
    }
    return at;
}
#endif
