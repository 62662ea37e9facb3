/* stft.c: see stft.h. */
#include "audio/augment/stft.h"
#include "audio/filterbank.h"
#include <math.h>
#include <string.h>

/* First sample of frame t; negative at the beginning of the clip. */
static int64_t frame_start(const stft *f, size_t t) { return (int64_t)(t * f->hop) - (int64_t)(f->size / 2); }

/* The part [*from, *to) of a frame that lies inside the clip. */
static void inside(const stft *f, int64_t start, size_t *from, size_t *to) {
    int64_t left = (int64_t)f->n - start;
    *from = start < 0 ? (size_t)-start : 0;
    *to = left < (int64_t)f->size ? (size_t)left : f->size;
}

spoor_status stft_open(augment_scratch *s, size_t size, size_t n, stft *out, spoor_error *err) {
    size_t hop = size / 4;
    *out =
        (stft){.scratch = s, .size = size, .hop = hop, .bins = size / 2 + 1, .frames = (n + hop - 1) / hop + 1, .n = n};
    out->forward = fir_fft(s, size, false);
    out->backward = fir_fft(s, size, true);
    float *window = step_buffer(s, STEP_STFT, size + n);
    if (out->forward == NULL || out->backward == NULL || window == NULL || !fir_reserve(s, size)) {
        return error_memory(err, "analysing a clip");
    }
    float *norm = window + size;
    out->window = window;
    out->norm = norm;
    filterbank_window(false, true, size, window);
    memset(norm, 0, n * sizeof *norm);
    for (size_t t = 0; t < out->frames; t++) {
        int64_t start = frame_start(out, t);
        size_t from, to;
        inside(out, start, &from, &to);
        for (size_t i = from; i < to; i++) {
            norm[start + (int64_t)i] += window[i] * window[i];
        }
    }
    for (size_t i = 0; i < n; i++) { /* every sample is within half a hop of some frame's centre: never 0 */
        norm[i] = 1 / ((float)size * norm[i]);
    }
    return SPOOR_OK;
}

void stft_frame(const stft *f, const float *x, size_t t, kiss_fft_cpx *out) {
    float *time = f->scratch->fft_time;
    int64_t start = frame_start(f, t);
    size_t from, to;
    inside(f, start, &from, &to);
    memset(time, 0, f->size * sizeof *time);
    for (size_t i = from; i < to; i++) {
        time[i] = x[start + (int64_t)i] * f->window[i];
    }
    kiss_fftr(f->forward, time, out);
}

void stft_forward(const stft *f, const float *x, kiss_fft_cpx *spectrum) {
    for (size_t t = 0; t < f->frames; t++) {
        stft_frame(f, x, t, spectrum + t * f->bins);
    }
}

void stft_add(const stft *f, const kiss_fft_cpx *spectrum, size_t t, float *y) {
    float *time = f->scratch->fft_time;
    int64_t start = frame_start(f, t);
    size_t from, to;
    inside(f, start, &from, &to);
    kiss_fftri(f->backward, spectrum, time);
    for (size_t i = from; i < to; i++) {
        y[start + (int64_t)i] += time[i] * f->window[i];
    }
}

void stft_finish(const stft *f, float *y) {
    for (size_t i = 0; i < f->n; i++) {
        y[i] *= f->norm[i];
    }
}

void stft_inverse(const stft *f, const kiss_fft_cpx *spectrum, float *y) {
    memset(y, 0, f->n * sizeof *y);
    for (size_t t = 0; t < f->frames; t++) {
        stft_add(f, spectrum + t * f->bins, t, y);
    }
    stft_finish(f, y);
}

void stft_level(const float *x, float *y, size_t n) {
    double from = mean_square(y, n), to = mean_square(x, n);
    if (!(from > 0) || !(to > 0)) {
        return;
    }
    float gain = (float)sqrt(to / from);
    for (size_t i = 0; i < n; i++) {
        y[i] *= gain;
    }
}
