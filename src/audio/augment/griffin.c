/* griffin.c: steps that keep the magnitudes of the short-time spectrum and make the phases anew: Griffin-Lim, the same
 * after a mel spectrum, and a sum of sinusoids (which keeps the phases of the strongest peaks alone). */
#include "audio/augment/stft.h"
#include "audio/filterbank.h"
#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
enum { MEL_UPDATES = 12 };

/* Points of the transform that the step's list of sizes gave. */
static size_t drawn_size(const step_run *run) { return (size_t)256 << step_choose(run); }

typedef struct phases {
    stft f;
    float *magnitude;                /* [frames, bins] */
    kiss_fft_cpx *target, *previous; /* [frames, bins] t_n and c_n of Perraudin et al. */
    float *y;                        /* [n] */
} phases;

static spoor_status open_phases(augment_scratch *s, size_t size, size_t n, phases *p, spoor_error *err) {
    TRY(stft_open(s, size, n, &p->f, err));
    size_t numbers = p->f.frames * p->f.bins; /* n is at most AUGMENT_MAX_SAMPLES: no overflow */
    p->magnitude = step_buffer(s, 1, numbers);
    p->target = (kiss_fft_cpx *)(void *)step_buffer(s, 2, 2 * numbers);
    p->previous = (kiss_fft_cpx *)(void *)step_buffer(s, 3, 2 * numbers);
    p->y = step_buffer(s, 0, n);
    return p->magnitude && p->target && p->previous && p->y ? SPOOR_OK : error_memory(err, "re-synthesising a clip");
}

/* magnitude = |STFT of x| */
static void take_magnitudes(phases *p, const float *x) {
    kiss_fft_cpx *bins = p->f.scratch->fft_bins;
    for (size_t t = 0; t < p->f.frames; t++) {
        stft_frame(&p->f, x, t, bins);
        float *to = p->magnitude + t * p->f.bins;
        for (size_t k = 0; k < p->f.bins; k++) {
            to[k] = sqrtf(bins[k].r * bins[k].r + bins[k].i * bins[k].i);
        }
    }
}

/* target = magnitude with random phases */
static void random_phases(phases *p, rng *r) {
    size_t numbers = p->f.frames * p->f.bins;
    for (size_t i = 0; i < numbers; i++) {
        float angle = (float)(2 * PI * rng_uniform(r));
        p->target[i] = (kiss_fft_cpx){p->magnitude[i] * cosf(angle), p->magnitude[i] * sinf(angle)};
    }
}

/* One frame of an iteration: c_n is its consistent spectrum, t_n = c_n + alpha (c_n - c_{n-1}), set to the
 * magnitudes. */
static void renew_frame(phases *p, size_t t, const kiss_fft_cpx *c, float alpha) {
    size_t at = t * p->f.bins;
    for (size_t k = 0; k < p->f.bins; k++) {
        kiss_fft_cpx *before = &p->previous[at + k], *to = &p->target[at + k];
        float re = c[k].r + alpha * (c[k].r - before->r), im = c[k].i + alpha * (c[k].i - before->i);
        float square = re * re + im * im;
        float scale = square > 0 ? p->magnitude[at + k] / sqrtf(square) : 0;
        *to = square > 0 ? (kiss_fft_cpx){re * scale, im * scale} : (kiss_fft_cpx){p->magnitude[at + k], 0};
        *before = c[k];
    }
}

/* The fast Griffin-Lim algorithm (Perraudin, Balazs and Sondergaard 2013); momentum 0 is Griffin and Lim's own. */
static void iterate(phases *p, rng *r, size_t iterations, double momentum) {
    random_phases(p, r);
    memset(p->previous, 0, p->f.frames * p->f.bins * sizeof *p->previous);
    for (size_t i = 0; i < iterations; i++) {
        stft_inverse(&p->f, p->target, p->y);
        for (size_t t = 0; t < p->f.frames; t++) {
            stft_frame(&p->f, p->y, t, p->f.scratch->fft_bins);
            renew_frame(p, t, p->f.scratch->fft_bins, i == 0 ? 0 : (float)momentum);
        }
    }
    stft_inverse(&p->f, p->target, p->y);
}

static void keep(const phases *p, float *x, size_t n) {
    stft_level(x, p->y, n);
    memcpy(x, p->y, n * sizeof *x);
}

spoor_status step_griffin_lim(const step_run *run, float *x, size_t n, spoor_error *err) {
    size_t iterations = step_draw_whole(run, 0), size = drawn_size(run);
    phases p;
    TRY(open_phases(run->scratch, size, n, &p, err));
    take_magnitudes(&p, x);
    iterate(&p, run->rng, iterations, run->step->number);
    keep(&p, x, n);
    return SPOOR_OK;
}

/* ---- from a mel spectrum ---- */

/* out[bank.n] = bank * spectrum */
static void to_bands(const filterbank *bank, const float *spectrum, float *out) {
    for (size_t b = 0; b < bank->n; b++) {
        const filterbank_band *band = &bank->bands[b];
        float sum = 0;
        for (size_t k = 0; k < band->length; k++) {
            sum += band->weights[k] * spectrum[band->start + k];
        }
        out[b] = sum;
    }
}

/* out[bins] = transposed bank * bands */
static void from_bands(const filterbank *bank, const float *bands, float *out, size_t bins) {
    memset(out, 0, bins * sizeof *out);
    for (size_t b = 0; b < bank->n; b++) {
        const filterbank_band *band = &bank->bands[b];
        for (size_t k = 0; k < band->length; k++) {
            out[band->start + k] += band->weights[k] * bands[b];
        }
    }
}

/* A frame's magnitudes m become the x >= 0 that the bands of m tell of: least squares of bank x - bank m by the
 * multiplicative updates of Lee and Seung (2001), x = x (bank' bank m) / (bank' bank x), from even magnitudes within
 * each band on. room: 2 * bank.n + 2 * bins numbers. Bins that no band covers become 0. */
static void invert_frame(const filterbank *bank, float *m, size_t bins, float *room) {
    float *bands = room, *now = bands + bank->n, *wanted = now + bank->n, *have = wanted + bins;
    to_bands(bank, m, bands);
    from_bands(bank, bands, wanted, bins);
    for (size_t b = 0; b < bank->n; b++) { /* a band's magnitude, spread evenly: bank * 1 is the sum of its weights */
        float sum = 0;
        for (size_t k = 0; k < bank->bands[b].length; k++) {
            sum += bank->bands[b].weights[k];
        }
        now[b] = sum > 0 ? bands[b] / sum : 0;
    }
    from_bands(bank, now, m, bins);
    for (int i = 0; i < MEL_UPDATES; i++) {
        to_bands(bank, m, now);
        from_bands(bank, now, have, bins);
        for (size_t k = 0; k < bins; k++) {
            m[k] = have[k] > 0 ? m[k] * (wanted[k] / have[k]) : 0;
        }
    }
}

spoor_status step_mel(const step_run *run, float *x, size_t n, spoor_error *err) {
    augment_scratch *s = run->scratch;
    size_t iterations = step_draw_whole(run, 0), bands = step_draw_whole(run, 1), size = drawn_size(run);
    phases p;
    filterbank bank;
    TRY(open_phases(s, size, n, &p, err));
    float *room = step_buffer(s, STEP_ROOM, 2 * bands + 2 * p.f.bins);
    if (room == NULL) {
        return error_memory(err, "re-synthesising a clip");
    }
    TRY(filterbank_make(s->ctx, FILTERBANK_SLANEY, false, bands, 0, AUGMENT_RATE / 2, size, AUGMENT_RATE, &bank, err));
    take_magnitudes(&p, x);
    for (size_t t = 0; t < p.f.frames; t++) {
        invert_frame(&bank, p.magnitude + t * p.f.bins, p.f.bins, room);
    }
    filterbank_clear(s->ctx, &bank);
    iterate(&p, run->rng, iterations, run->step->number);
    keep(&p, x, n);
    return SPOOR_OK;
}

/* ---- sinusoids ---- */

/* Of a frame's spectrum only the main lobes (two bins to each side) of its `most` largest local maxima stay. height and
 * stays have room for bins numbers. */
static void keep_peaks(kiss_fft_cpx *c, size_t bins, size_t most, float *height, float *stays) {
    for (size_t k = 0; k < bins; k++) {
        height[k] = c[k].r * c[k].r + c[k].i * c[k].i;
        stays[k] = 0;
    }
    for (size_t found = 0; found < most; found++) {
        size_t best = 0;
        for (size_t k = 1; k + 1 < bins; k++) {
            bool peak = height[k] > height[k - 1] && height[k] >= height[k + 1] && stays[k] == 0;
            best = peak && height[k] > (best > 0 ? height[best] : 0) ? k : best;
        }
        if (best == 0) {
            break;
        }
        for (size_t k = best >= 2 ? best - 2 : 0; k <= best + 2 && k < bins; k++) {
            stays[k] = 1;
        }
    }
    for (size_t k = 0; k < bins; k++) {
        c[k] = (kiss_fft_cpx){stays[k] * c[k].r, stays[k] * c[k].i};
    }
}

spoor_status step_sinusoids(const step_run *run, float *x, size_t n, spoor_error *err) {
    augment_scratch *s = run->scratch;
    size_t peaks = step_draw_whole(run, 0), size = drawn_size(run);
    stft f;
    TRY(stft_open(s, size, n, &f, err));
    float *y = step_buffer(s, 0, n), *room = step_buffer(s, STEP_ROOM, 2 * f.bins);
    if (y == NULL || room == NULL) {
        return error_memory(err, "re-synthesising a clip");
    }
    memset(y, 0, n * sizeof *y);
    for (size_t t = 0; t < f.frames; t++) {
        stft_frame(&f, x, t, s->fft_bins);
        keep_peaks(s->fft_bins, f.bins, peaks, room, room + f.bins);
        stft_add(&f, s->fft_bins, t, y);
    }
    stft_finish(&f, y);
    stft_level(x, y, n);
    memcpy(x, y, n * sizeof *x);
    return SPOOR_OK;
}
