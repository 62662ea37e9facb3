/* spectral.c: the computation of the spectral front ends: frames, FFT, bands, logarithm, DCT, deltas, normalisation. */
#include "frontend/spectral.h"
#include <math.h>
#include <string.h>

size_t spectral_rows(const spectral *fe, size_t n) {
    if (n == 0) {
        return 0;
    }
    if (fe->center) {
        return 1 + n / fe->hop_length;
    }
    size_t inside = fe->pad_end ? fe->win_length : fe->n_fft;
    if (n <= inside) {
        return 1;
    }
    if (!fe->pad_end) {
        return 1 + (n - inside) / fe->hop_length;
    }
    /* MATLAB's buffer: every sample is in some frame; the last is filled up. */
    size_t more = fe->hop_length < inside ? n - inside : n - fe->hop_length;
    return n <= fe->hop_length ? 1 : 1 + (more + fe->hop_length - 1) / fe->hop_length;
}

/* Index of a sample outside 0 .. n-1 mirrored back inside, the end samples not repeated; any distance. */
static size_t mirror(int64_t i, size_t n) {
    if (n == 1) {
        return 0;
    }
    int64_t period = 2 * ((int64_t)n - 1);
    int64_t j = i % period;
    j = j < 0 ? j + period : j;
    return (size_t)(j < (int64_t)n ? j : period - j);
}

/* frame[n_fft]: the windowed samples of frame t. */
static void take_frame(const spectral *fe, const float *x, size_t n, size_t t, float *frame) {
    /* torch.stft centres a short window in the frame of n_fft; MATLAB's fft(x, n_fft) appends zeros. */
    size_t offset = fe->pad_end ? 0 : (fe->n_fft - fe->win_length) / 2;
    int64_t start = (int64_t)(t * fe->hop_length + offset) - (fe->center ? (int64_t)(fe->n_fft / 2) : 0);
    float *f = frame + offset;
    memset(frame, 0, fe->n_fft * sizeof *frame);
    if (start >= 0 && (size_t)start + fe->win_length <= n) {
        const float *from = x + start;
        for (size_t i = 0; i < fe->win_length; i++) {
            f[i] = from[i] * fe->window[i];
        }
        return;
    }
    for (size_t i = 0; i < fe->win_length; i++) {
        int64_t at = start + (int64_t)i;
        if (at >= 0 && (size_t)at < n) {
            f[i] = x[at] * fe->window[i];
        } else if (fe->center) {
            f[i] = x[mirror(at, n)] * fe->window[i];
        }
    }
}

static void take_logarithm(const spectral *fe, float *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float x = v[i];
        x = fe->floor_adds ? x + fe->log_floor : x > fe->log_floor ? x : fe->log_floor;
        v[i] = fe->log10 ? log10f(x) : logf(x);
    }
}

/* v[n] minus its moving average over `width` values, the ends repeated; `copy` has room for n values. */
static void flatten(float *v, size_t n, size_t width, float *copy) {
    memcpy(copy, v, n * sizeof *v);
    size_t half = width / 2;
    double sum = (double)half * (double)copy[0]; /* of positions -half .. half - 1 around 0 */
    for (size_t i = 0; i < half; i++) {
        sum += (double)copy[i < n ? i : n - 1];
    }
    for (size_t i = 0; i < n; i++) {
        sum += (double)copy[i + half < n ? i + half : n - 1];
        v[i] = (float)((double)copy[i] - sum / (double)width);
        sum -= (double)copy[i >= half ? i - half : 0];
    }
}

/* out[n_base]: the static features of one windowed frame. */
static void frame_features(const spectral *fe, spectral_scratch *s, float *out) {
    size_t bins = fe->n_fft / 2 + 1;
    kiss_fftr(s->fft, s->frame, s->bins);
    for (size_t k = 0; k < bins; k++) {
        float p = s->bins[k].r * s->bins[k].r + s->bins[k].i * s->bins[k].i;
        s->power[k] = fe->magnitude ? sqrtf(p) : p;
    }
    float *bands = fe->kind == SPECTRAL_LFCC ? s->bands : out;
    if (fe->kind == SPECTRAL_LINEAR) {
        memcpy(bands, s->power + fe->first_bin, fe->n_bands * sizeof *bands);
    } else {
        for (size_t b = 0; b < fe->n_bands; b++) {
            const filterbank_band *band = &fe->bank.bands[b];
            float sum = 0;
            for (size_t k = 0; k < band->length; k++) {
                sum += band->weights[k] * s->power[band->start + k];
            }
            bands[b] = sum;
        }
    }
    take_logarithm(fe, bands, fe->n_bands);
    if (fe->flatten > 0) {
        flatten(bands, fe->n_bands, fe->flatten, s->bands);
    }
    if (fe->kind == SPECTRAL_LFCC) {
        for (size_t c = 0; c < fe->n_base; c++) {
            float sum = 0;
            for (size_t b = 0; b < fe->n_bands; b++) {
                sum += fe->dct[c * fe->n_bands + b] * bands[b];
            }
            out[c] = sum;
        }
    }
}

/* Columns of order d from those of order d - 1; the first and last row are repeated outwards. */
static void add_deltas(const spectral *fe, float *rows, size_t frames, size_t order) {
    double squares = 0;
    for (size_t k = 1; k <= fe->delta_span; k++) {
        squares += (double)(k * k);
    }
    float scale = fe->delta_norm ? (float)(1 / (2 * squares)) : 1;
    for (size_t t = 0; t < frames; t++) {
        float *to = rows + t * fe->width + order * fe->n_base;
        memset(to, 0, fe->n_base * sizeof *to);
        for (size_t k = 1; k <= fe->delta_span; k++) {
            size_t after = t + k < frames ? t + k : frames - 1, before = t >= k ? t - k : 0;
            const float *a = rows + after * fe->width + (order - 1) * fe->n_base;
            const float *b = rows + before * fe->width + (order - 1) * fe->n_base;
            for (size_t c = 0; c < fe->n_base; c++) {
                to[c] += (float)k * (a[c] - b[c]);
            }
        }
        for (size_t c = 0; c < fe->n_base; c++) {
            to[c] *= scale;
        }
    }
}

void spectral_fill(const spectral *fe, spectral_scratch *s, const float *samples, size_t n, float *rows) {
    size_t frames = spectral_rows(fe, n);
    for (size_t t = 0; t < frames; t++) {
        take_frame(fe, samples, n, t, s->frame);
        frame_features(fe, s, rows + t * fe->width);
    }
    for (size_t order = 1; order <= fe->deltas; order++) {
        add_deltas(fe, rows, frames, order);
    }
    rows_normalise_columns(fe->normalise, rows, frames, fe->width);
}
