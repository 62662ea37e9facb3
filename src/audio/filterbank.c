/* filterbank.c: see filterbank.h. Everything is computed in double and rounded once. */
#include "audio/filterbank.h"
#include <math.h>

static const double PI = 3.14159265358979323846;

/* Slaney's Auditory Toolbox: linear below 1 kHz (200/3 Hz a mel), then logarithmic with 27 steps per factor 6.4.
 * HTK: 2595 log10(1 + f / 700). */
static double to_scale(filterbank_scale scale, double hertz) {
    switch (scale) {
    case FILTERBANK_SLANEY:
        return hertz < 1000 ? hertz * 3 / 200 : 15 + log(hertz / 1000) * 27 / log(6.4);
    case FILTERBANK_HTK:
        return 2595 * log10(1 + hertz / 700);
    case FILTERBANK_LINEAR:
    default:
        return hertz;
    }
}

static double from_scale(filterbank_scale scale, double value) {
    switch (scale) {
    case FILTERBANK_SLANEY:
        return value < 15 ? value * 200 / 3 : 1000 * exp((value - 15) * log(6.4) / 27);
    case FILTERBANK_HTK:
        return 700 * (pow(10, value / 2595) - 1);
    case FILTERBANK_LINEAR:
    default:
        return value;
    }
}

static double corner(filterbank_scale scale, double f_min, double f_max, size_t n, size_t i) {
    double low = to_scale(scale, f_min), high = to_scale(scale, f_max);
    return from_scale(scale, low + (high - low) * (double)i / (double)(n + 1));
}

/* Height at f of the triangle with the corners a < b < c. */
static double triangle(double a, double b, double c, double f) {
    double up = (f - a) / (b - a), down = (c - f) / (c - b);
    double y = up < down ? up : down;
    return y > 0 ? y : 0;
}

spoor_status filterbank_make(spoor_context *ctx, filterbank_scale scale, bool area, size_t n, double f_min,
                             double f_max, size_t n_fft, double rate, filterbank *out, spoor_error *err) {
    size_t bins = n_fft / 2 + 1;
    *out = (filterbank){.n = n};
    /* A bin lies in at most two triangles. */
    out->bands = ctx_calloc(ctx, n, sizeof *out->bands);
    out->weights = ctx_alloc(ctx, 2 * bins, sizeof *out->weights);
    if (out->bands == NULL || out->weights == NULL) {
        filterbank_clear(ctx, out);
        return error_memory(err, "making a filter bank");
    }
    float *w = out->weights;
    for (size_t i = 0; i < n; i++) {
        double a = corner(scale, f_min, f_max, n, i), b = corner(scale, f_min, f_max, n, i + 1);
        double c = corner(scale, f_min, f_max, n, i + 2);
        filterbank_band *band = &out->bands[i];
        band->weights = w;
        for (size_t k = 0; k < bins; k++) {
            double y = triangle(a, b, c, (double)k * rate / (double)n_fft);
            if (y > 0) {
                band->start = band->length == 0 ? k : band->start;
                band->length++;
                *w++ = (float)(area ? y * 2 / (c - a) : y);
            }
        }
    }
    return SPOOR_OK;
}

void filterbank_clear(spoor_context *ctx, filterbank *bank) {
    ctx_free(ctx, bank->bands);
    ctx_free(ctx, bank->weights);
    *bank = (filterbank){0};
}

void filterbank_window(bool hamming, bool periodic, size_t n, float *out) {
    double denominator = periodic || n == 1 ? (double)n : (double)n - 1;
    double a = hamming ? 0.54 : 0.5;
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)(a - (1 - a) * cos(2 * PI * (double)i / denominator));
    }
    if (n == 1) {
        out[0] = 1;
    }
}

void filterbank_dct(size_t n_out, size_t n_in, float *out) {
    double n = (double)n_in;
    for (size_t k = 0; k < n_out; k++) {
        double scale = sqrt((k == 0 ? 1 : 2) / n);
        for (size_t i = 0; i < n_in; i++) {
            out[k * n_in + i] = (float)(scale * cos(PI / n * ((double)i + 0.5) * (double)k));
        }
    }
}
