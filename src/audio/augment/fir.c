/* fir.c: FIR filters of the augmentation steps: design, and convolution by FFT (overlap-save). */
#include "audio/augment/steps.h"
#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

size_t fir_fft_size(size_t n) {
    size_t size = 16;
    while (size < n) {
        size *= 2;
    }
    return size;
}

kiss_fftr_cfg fir_fft(augment_scratch *s, size_t size, bool inverse) {
    size_t k = 0;
    while ((size_t)1 << k < size) {
        k++;
    }
    if (k >= STEP_FFT_SIZES) {
        return NULL;
    }
    kiss_fftr_cfg *slot = &s->fft[inverse][k];
    if (*slot == NULL) {
        size_t bytes = 0;
        kiss_fftr_alloc((int)size, inverse, NULL, &bytes);
        *slot = ctx_alloc(s->ctx, 1, bytes);
        if (*slot != NULL) {
            kiss_fftr_alloc((int)size, inverse, *slot, &bytes);
        }
    }
    return *slot;
}

bool fir_reserve(augment_scratch *s, size_t size) {
    if (size <= s->fft_capacity) {
        return true;
    }
    s->fft_capacity = 0;
    ctx_free(s->ctx, s->fft_time);
    ctx_free(s->ctx, s->fft_bins);
    ctx_free(s->ctx, s->fft_filter);
    s->fft_time = ctx_alloc(s->ctx, size, sizeof *s->fft_time);
    s->fft_bins = ctx_alloc(s->ctx, size / 2 + 1, sizeof *s->fft_bins);
    s->fft_filter = ctx_alloc(s->ctx, size / 2 + 1, sizeof *s->fft_filter);
    if (s->fft_time == NULL || s->fft_bins == NULL || s->fft_filter == NULL) {
        return false;
    }
    s->fft_capacity = size;
    return true;
}

/* out[count] = x[from ...], zero outside 0 .. n-1. */
static void take(const float *x, size_t n, int64_t from, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int64_t at = from + (int64_t)i;
        out[i] = at >= 0 && at < (int64_t)n ? x[at] : 0;
    }
}

static void multiply(kiss_fft_cpx *a, const kiss_fft_cpx *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        kiss_fft_cpx p = {a[i].r * b[i].r - a[i].i * b[i].i, a[i].r * b[i].i + a[i].i * b[i].r};
        a[i] = p;
    }
}

spoor_status fir_add(augment_scratch *s, const float *x, size_t n, const float *h, size_t m, size_t delay, float *y,
                     spoor_error *err) {
    /* Blocks of four filter lengths cost least, but never more than the whole convolution at once. */
    size_t size = fir_fft_size(4 * m > 1024 ? 4 * m : 1024), whole = fir_fft_size(n + m);
    size = size < whole ? size : whole;
    kiss_fftr_cfg forward = fir_fft(s, size, false), backward = fir_fft(s, size, true);
    if (forward == NULL || backward == NULL || !fir_reserve(s, size)) {
        return error_memory(err, "filtering a clip");
    }
    memset(s->fft_time, 0, size * sizeof *s->fft_time);
    memcpy(s->fft_time, h, m * sizeof *h);
    kiss_fftr(forward, s->fft_time, s->fft_filter);
    size_t valid = size - m + 1; /* samples of a block that no wrap-around has touched */
    float scale = 1 / (float)size;
    for (size_t at = 0; at < n; at += valid) {
        take(x, n, (int64_t)(at + delay) - (int64_t)(m - 1), s->fft_time, size);
        kiss_fftr(forward, s->fft_time, s->fft_bins);
        multiply(s->fft_bins, s->fft_filter, size / 2 + 1);
        kiss_fftri(backward, s->fft_bins, s->fft_time);
        for (size_t i = 0; i < valid && at + i < n; i++) {
            y[at + i] += scale * s->fft_time[m - 1 + i];
        }
    }
    return SPOOR_OK;
}

spoor_status fir_apply(augment_scratch *s, float *x, size_t n, const float *h, size_t m, size_t delay,
                       spoor_error *err) {
    float *y = step_buffer(s, 0, n);
    if (y == NULL) {
        return error_memory(err, "filtering a clip");
    }
    memset(y, 0, n * sizeof *y);
    TRY(fir_add(s, x, n, h, m, delay, y, err));
    memcpy(x, y, n * sizeof *x);
    return SPOOR_OK;
}

/* Impulse response at offset t of an ideal low pass with cut-off f hertz. */
static double ideal(double f, double t) {
    double w = 2 * f / AUGMENT_RATE;
    return t == 0 ? w : sin(PI * w * t) / (PI * t);
}

void fir_bandpass(double low, double high, size_t m, float *h) {
    double half = (double)(m - 1) / 2;
    for (size_t i = 0; i < m; i++) {
        double t = (double)i - half;
        double v = (high >= AUGMENT_RATE / 2 ? (t == 0) : ideal(high, t)) - (low <= 0 ? 0 : ideal(low, t));
        h[i] = (float)(v * (0.54 - 0.46 * cos(2 * PI * (double)i / (double)(m - 1))));
    }
}
