/* excite.c: steps that re-synthesise from a model of the voice: an excitation made anew (pulses at the pitch, noise)
 * goes through the spectral envelope of the clip, as linear prediction or as a bank of bands tells it. */
#include "audio/augment/stft.h"
#include "audio/filterbank.h"
#include <math.h>
#include <string.h>

enum {
    HOP = 160, WINDOW = 400,               /* of the prediction, samples */
    SLOW = 4, LAG_MIN = 10, LAG_MAX = 80,  /* pitch on every fourth sample: 50 to 400 Hz */
    PITCH_WINDOW = 160, PITCH_HOP = HOP / SLOW, PAD = PITCH_WINDOW + LAG_MAX,
    ORDER_MAX = 32, PIECE = 20,            /* samples between two settings of the filter */
    CHANNEL_SIZE = 512
};

/* ---- excitation ---- */

/* The clip at a quarter of its rate, silence of PAD samples on both sides, and the energy before each sample. */
typedef struct slow {
    float *y;       /* [m], sample 0 of the clip at PAD */
    double *energy; /* [m + 1] */
} slow;

static spoor_status slow_down(augment_scratch *s, const float *x, size_t n, slow *out, spoor_error *err) {
    size_t kept = n / SLOW + 1, m = kept + 2 * PAD;
    out->y = step_buffer(s, 2, m);
    out->energy = (double *)(void *)step_buffer(s, 3, 2 * (m + 1));
    if (out->y == NULL || out->energy == NULL) {
        return error_memory(err, "re-synthesising a clip");
    }
    memset(out->y, 0, m * sizeof *out->y);
    for (size_t i = 0; i < kept; i++) { /* means of four: enough of a low pass for a pitch below 400 Hz */
        float sum = 0;
        for (size_t k = i * SLOW; k < i * SLOW + SLOW && k < n; k++) {
            sum += x[k];
        }
        out->y[PAD + i] = sum / SLOW;
    }
    out->energy[0] = 0;
    for (size_t i = 0; i < m; i++) {
        out->energy[i + 1] = out->energy[i] + (double)out->y[i] * (double)out->y[i];
    }
    return SPOOR_OK;
}

/* Correlation of two stretches around `centre`, `lag` apart, over the geometric mean of their energies. */
static double likeness(const slow *s, size_t centre, size_t lag) {
    size_t start = PAD + centre - (PITCH_WINDOW + lag) / 2;
    const float *u = s->y + start, *v = u + lag;
    float sum[8] = {0};
    for (size_t i = 0; i < PITCH_WINDOW; i += 8) {
        for (size_t k = 0; k < 8; k++) {
            sum[k] += u[i + k] * v[i + k];
        }
    }
    double product = (double)(((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])));
    double a = s->energy[start + PITCH_WINDOW] - s->energy[start];
    double b = s->energy[start + lag + PITCH_WINDOW] - s->energy[start + lag];
    return a > 0 && b > 0 ? product / sqrt(a * b) : 0;
}

/* Pitch in hertz around `centre` of the slow signal; 0: unvoiced. Of two lags almost as good the shorter one counts: a
 * period and not its double. */
static double pitch_at(const slow *s, size_t centre) {
    double r[LAG_MAX + 2], best = 0;
    for (size_t lag = LAG_MIN - 1; lag <= LAG_MAX + 1; lag++) {
        r[lag] = likeness(s, centre, lag);
        best = r[lag] > best && lag >= LAG_MIN && lag <= LAG_MAX ? r[lag] : best;
    }
    for (size_t lag = LAG_MIN; lag <= LAG_MAX && best > 0.5; lag++) {
        if (r[lag] >= 0.9 * best && r[lag] >= r[lag - 1] && r[lag] >= r[lag + 1]) {
            double bend = r[lag - 1] - 2 * r[lag] + r[lag + 1];
            double shift = bend < 0 ? 0.5 * (r[lag - 1] - r[lag + 1]) / bend : 0;
            return (double)AUGMENT_RATE / SLOW / ((double)lag + shift);
        }
    }
    return 0;
}

enum { EXCITE_PULSE, EXCITE_NOISE, EXCITE_MIXED };

/* u[n] of unit power: noise, and where x is voiced pulses at its pitch (mixed: pulses and noise, 4 to 1 in power). */
static spoor_status excitation(const step_run *run, int kind, const float *x, size_t n, float *u, spoor_error *err) {
    slow s;
    TRY(slow_down(run->scratch, x, n, &s, err));
    double phase = 0, pitch = 0;
    float pulse = kind == EXCITE_MIXED ? sqrtf(0.8f) : 1, breath = kind == EXCITE_MIXED ? sqrtf(0.2f) : 0;
    for (size_t i = 0; i < n; i++) {
        if (i % HOP == 0 && kind != EXCITE_NOISE) {
            pitch = pitch_at(&s, i / HOP * PITCH_HOP + PITCH_HOP / 2);
        }
        bool voiced = pitch > 0;
        u[i] = !voiced || breath > 0 ? (voiced ? breath : 1) * (float)rng_normal(run->rng) : 0;
        phase = voiced ? phase + pitch / AUGMENT_RATE : 0;
        if (phase >= 1) {
            phase -= 1;
            u[i] += pulse * (float)sqrt(AUGMENT_RATE / pitch);
        }
    }
    return SPOOR_OK;
}

/* ---- linear prediction ---- */

/* Reflection coefficients k[order] of r[order + 1] (Levinson and Durbin); the error's energy. */
static double levinson(const double *r, size_t order, float *k) {
    double a[ORDER_MAX + 1] = {1}, next[ORDER_MAX + 1], error = r[0];
    for (size_t m = 1; m <= order; m++) {
        double sum = 0;
        for (size_t i = 0; i < m; i++) {
            sum += a[i] * r[m - i];
        }
        double reflection = error > 0 ? -sum / error : 0;
        reflection = reflection > 0.9999 ? 0.9999 : reflection < -0.9999 ? -0.9999 : reflection;
        memcpy(next, a, sizeof next);
        for (size_t i = 1; i < m; i++) {
            next[i] = a[i] + reflection * a[m - i];
        }
        next[m] = reflection;
        memcpy(a, next, sizeof a);
        k[m - 1] = (float)reflection;
        error *= 1 - reflection * reflection;
    }
    return error;
}

/* k[order] of the stretch of x around `centre`, and in k[order] the root mean square of what it does not predict. */
static void predict(const float *x, size_t n, size_t centre, size_t order, const float *window, float *k) {
    double r[ORDER_MAX + 1], squares = 0;
    float w[WINDOW];
    for (size_t i = 0; i < WINDOW; i++) {
        int64_t at = (int64_t)(centre + i) - WINDOW / 2;
        w[i] = at >= 0 && at < (int64_t)n ? x[at] * window[i] : 0;
        squares += (double)window[i] * (double)window[i];
    }
    for (size_t lag = 0; lag <= order; lag++) {
        double sum = 0;
        for (size_t i = lag; i < WINDOW; i++) {
            sum += (double)w[i] * (double)w[i - lag];
        }
        r[lag] = sum;
    }
    r[0] *= 1 + 1e-5; /* -50 dB of white noise: no pole on the unit circle */
    k[order] = (float)sqrt(levinson(r, order, k) / squares);
}

/* Lattice filter: excitation u through 1 / A(z), its coefficients going straight from those of one frame to the next.
 * rows: [frames, order + 1] of `predict`; y may be u. */
static void lattice(const float *u, size_t n, const float *rows, size_t order, float *y) {
    float memory[ORDER_MAX + 1] = {0}, k[ORDER_MAX + 1];
    for (size_t i = 0; i < n; i++) {
        if (i % PIECE == 0) {
            const float *row = rows + i / HOP * (order + 1);
            float share = ((float)(i % HOP) + 0.5f * PIECE) / HOP;
            for (size_t m = 0; m <= order; m++) {
                k[m] = row[m] + share * (row[order + 1 + m] - row[m]);
            }
        }
        float forward = k[order] * u[i];
        for (size_t m = order; m > 0; m--) {
            forward -= k[m - 1] * memory[m - 1];
            memory[m] = memory[m - 1] + k[m - 1] * forward;
        }
        memory[0] = forward;
        y[i] = forward;
    }
}

spoor_status step_lpc(const step_run *run, float *x, size_t n, spoor_error *err) {
    size_t order = step_draw_whole(run, 0), frames = n / HOP + 2;
    int kind = (int)step_choose(run);
    float window[WINDOW];
    float *u = step_buffer(run->scratch, 0, n), *rows = step_buffer(run->scratch, 1, frames * (order + 1));
    if (u == NULL || rows == NULL) {
        return error_memory(err, "re-synthesising a clip");
    }
    filterbank_window(false, true, WINDOW, window);
    for (size_t t = 0; t < frames; t++) {
        predict(x, n, t * HOP, order, window, rows + t * (order + 1));
    }
    TRY(excitation(run, kind, x, n, u, err));
    lattice(u, n, rows, order, u);
    stft_level(x, u, n);
    memcpy(x, u, n * sizeof *x);
    return SPOOR_OK;
}

/* ---- channel vocoder ---- */

/* gain[bins]: between the centres of bands, what brings the excitation's power in a band to that of the clip. */
static void band_gains(const filterbank *bank, const kiss_fft_cpx *clip, const kiss_fft_cpx *made, size_t bins,
                       float *gain, float *weight) {
    memset(gain, 0, bins * sizeof *gain);
    memset(weight, 0, bins * sizeof *weight);
    for (size_t b = 0; b < bank->n; b++) {
        const filterbank_band *band = &bank->bands[b];
        double wanted = 0, have = 0;
        for (size_t j = 0; j < band->length; j++) {
            size_t k = band->start + j;
            wanted += (double)(band->weights[j] * (clip[k].r * clip[k].r + clip[k].i * clip[k].i));
            have += (double)(band->weights[j] * (made[k].r * made[k].r + made[k].i * made[k].i));
        }
        float g = have > 0 ? (float)sqrt(wanted / have) : 0;
        for (size_t j = 0; j < band->length; j++) {
            gain[band->start + j] += g * band->weights[j];
            weight[band->start + j] += band->weights[j];
        }
    }
    for (size_t k = 0; k < bins; k++) {
        gain[k] = weight[k] > 0 ? gain[k] / weight[k] : 0;
    }
}

static spoor_status shape(const step_run *run, const filterbank *bank, float *x, size_t n, int kind, spoor_error *err) {
    augment_scratch *s = run->scratch;
    stft f;
    TRY(stft_open(s, CHANNEL_SIZE, n, &f, err));
    float *u = step_buffer(s, 1, n), *y = step_buffer(s, 0, n), *room = step_buffer(s, STEP_ROOM, 2 * f.bins);
    if (u == NULL || y == NULL || room == NULL) {
        return error_memory(err, "re-synthesising a clip");
    }
    TRY(excitation(run, kind, x, n, u, err));
    memset(y, 0, n * sizeof *y);
    for (size_t t = 0; t < f.frames; t++) {
        stft_frame(&f, x, t, s->fft_bins);
        stft_frame(&f, u, t, s->fft_filter);
        band_gains(bank, s->fft_bins, s->fft_filter, f.bins, room, room + f.bins);
        for (size_t k = 0; k < f.bins; k++) {
            s->fft_filter[k] = (kiss_fft_cpx){room[k] * s->fft_filter[k].r, room[k] * s->fft_filter[k].i};
        }
        stft_add(&f, s->fft_filter, t, y);
    }
    stft_finish(&f, y);
    stft_level(x, y, n);
    memcpy(x, y, n * sizeof *x);
    return SPOOR_OK;
}

spoor_status step_channels(const step_run *run, float *x, size_t n, spoor_error *err) {
    size_t bands = step_draw_whole(run, 0);
    int kind = (int)step_choose(run);
    filterbank bank;
    TRY(filterbank_make(run->scratch->ctx, FILTERBANK_SLANEY, false, bands, 0, AUGMENT_RATE / 2, CHANNEL_SIZE,
                        AUGMENT_RATE, &bank, err));
    spoor_status status = shape(run, &bank, x, n, kind, err);
    filterbank_clear(run->scratch->ctx, &bank);
    return status;
}
