/* shape.c: steps that change level, spectrum or time alone: gain, equaliser, band limits, masks. */
#include "audio/augment/steps.h"
#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
enum { BAND_TAPS = 511, EQ_TAPS = 257, EQ_SIZE = 512, EQ_MAX_KNOTS = 32 };

spoor_status step_gain(const step_run *run, float *x, size_t n, spoor_error *err) {
    (void)err;
    double gain = pow(10, step_draw(run, 0) / 20);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)((double)x[i] * gain);
    }
    return SPOOR_OK;
}

/* Decibels at f: knots equally spaced in log frequency between 60 Hz and 8 kHz, half a cosine between neighbours. */
static double curve(const double *knots, size_t count, double f) {
    double at = log((f > 60 ? f : 60) / 60) / log(8000.0 / 60) * (double)(count - 1);
    size_t i = (size_t)at < count - 1 ? (size_t)at : count - 2;
    double t = (1 - cos(PI * (at - (double)i))) / 2;
    return knots[i] + (knots[i + 1] - knots[i]) * t;
}

spoor_status step_eq(const step_run *run, float *x, size_t n, spoor_error *err) {
    augment_scratch *s = run->scratch;
    double knots[EQ_MAX_KNOTS];
    size_t count = step_draw_whole(run, 1);
    for (size_t i = 0; i < count; i++) {
        knots[i] = step_draw(run, 0);
    }
    kiss_fftr_cfg backward = fir_fft(s, EQ_SIZE, true);
    if (backward == NULL || !fir_reserve(s, EQ_SIZE)) {
        return error_memory(err, "making an equaliser");
    }
    /* Frequency sampling: zero-phase response, made causal, cut with a Hann window. */
    for (size_t k = 0; k <= EQ_SIZE / 2; k++) {
        double db = curve(knots, count, (double)k * AUGMENT_RATE / EQ_SIZE);
        s->fft_bins[k] = (kiss_fft_cpx){(float)(pow(10, db / 20) / EQ_SIZE), 0};
    }
    kiss_fftri(backward, s->fft_bins, s->fft_time);
    float h[EQ_TAPS];
    for (size_t i = 0; i < EQ_TAPS; i++) {
        size_t at = (i + EQ_SIZE - EQ_TAPS / 2) % EQ_SIZE;
        h[i] = s->fft_time[at] * (float)(0.5 - 0.5 * cos(2 * PI * ((double)i + 1) / (EQ_TAPS + 1)));
    }
    return fir_apply(s, x, n, h, EQ_TAPS, EQ_TAPS / 2, err);
}

spoor_status step_bandlimit(const step_run *run, float *x, size_t n, spoor_error *err) {
    double low = step_draw(run, 0), high = step_draw(run, 1);
    float h[BAND_TAPS];
    fir_bandpass(low < 40 ? 0 : low, high > 7900 ? 8000 : high, BAND_TAPS, h);
    return fir_apply(run->scratch, x, n, h, BAND_TAPS, BAND_TAPS / 2, err);
}

spoor_status step_mask(const step_run *run, float *x, size_t n, spoor_error *err) {
    (void)err;
    size_t count = step_draw_whole(run, 0);
    for (size_t j = 0; j < count; j++) {
        size_t length = (size_t)(step_draw(run, 1) * AUGMENT_RATE);
        length = length < n ? length : n;
        size_t at = (size_t)rng_below(run->rng, n - length + 1);
        memset(x + at, 0, length * sizeof *x);
    }
    return SPOOR_OK;
}
