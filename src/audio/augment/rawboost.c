/* rawboost.c: RawBoost (Tak, Kamble, Patino, Todisco and Evans, "RawBoost: a raw data boosting and augmentation method
 * applied to automatic speaker verification anti-spoofing", ICASSP 2022), with the parameters of its public release:
 * 5 notches of 100-1000 Hz at 20-8000 Hz with 10-100 coefficients, orders 1..5 of which 2..5 are 5-20 dB lower, up to
 * 10 % impulses of gain 2, stationary noise at 10-40 dB. Filters are aligned (their group delay is taken out).
 *
 * Where this differs from the released scripts, and why: they cut half of one more than a filter's length off its
 * output, so that every convolution comes one sample early, which is no part of the method; a clip over full scale is
 * brought down first, since its fifth power would drown everything else (files of 16 bits never are); the random
 * numbers are others. */
#include "audio/augment/steps.h"
#include <math.h>
#include <string.h>

enum { NOTCHES = 5, MAX_TAPS = 99, ALL_TAPS = NOTCHES * (MAX_TAPS - 1) + 1, ORDERS = 5, RESPONSE_BINS = 512 };
static const double PI = 3.14159265358979323846;

/* Band stop as SciPy's firwin makes it (Hamming window, linear phase), with its sign: the gain at 0 Hz is positive,
 * which matters where five orders are added up. The scale is set for the whole cascade. */
void rawboost_notch(double centre, double width, size_t m, double *h) {
    double low = centre - width / 2, high = centre + width / 2, half = (double)(m - 1) / 2;
    double a = (low > 0 ? low : 0.001) / (AUGMENT_RATE / 2.0);
    double b = (high < AUGMENT_RATE / 2.0 ? high : AUGMENT_RATE / 2.0 - 0.001) / (AUGMENT_RATE / 2.0);
    double sum = 0;
    for (size_t i = 0; i < m; i++) {
        double t = (double)i - half;
        double pass = t == 0 ? 1 - (b - a) : (sin(PI * t) - sin(PI * b * t) + sin(PI * a * t)) / (PI * t);
        h[i] = pass * (0.54 - 0.46 * cos(2 * PI * (double)i / (double)(m - 1)));
        sum += h[i];
    }
    for (size_t i = 0; i < m && sum < 0; i++) {
        h[i] = -h[i];
    }
}

/* Greatest |H| at 512 frequencies from 0 up to, not including, 8 kHz. */
static spoor_status peak_response(augment_scratch *s, const double *h, size_t m, double *peak, spoor_error *err) {
    kiss_fftr_cfg forward = fir_fft(s, 2 * RESPONSE_BINS, false);
    if (forward == NULL || !fir_reserve(s, 2 * RESPONSE_BINS)) {
        return error_memory(err, "making a RawBoost filter");
    }
    memset(s->fft_time, 0, 2 * RESPONSE_BINS * sizeof *s->fft_time);
    for (size_t i = 0; i < m; i++) {
        s->fft_time[i] = (float)h[i];
    }
    kiss_fftr(forward, s->fft_time, s->fft_bins);
    double worst = 0;
    for (size_t k = 0; k < RESPONSE_BINS; k++) {
        double re = (double)s->fft_bins[k].r, im = (double)s->fft_bins[k].i;
        worst = fmax(worst, re * re + im * im);
    }
    *peak = sqrt(worst);
    return SPOOR_OK;
}

/* h[*m] (room for ALL_TAPS): five random notches in series, greatest gain gain_db. */
static spoor_status random_filter(const step_run *run, double gain_db, float *h, size_t *m, spoor_error *err) {
    double all[ALL_TAPS] = {1}, next[ALL_TAPS], one[MAX_TAPS], peak = 0;
    size_t length = 1;
    for (int j = 0; j < NOTCHES; j++) {
        double centre = rng_range(run->rng, 20, 8000), width = rng_range(run->rng, 100, 1000);
        size_t taps = 10 + (size_t)rng_below(run->rng, 90);
        taps += taps % 2 == 0;
        rawboost_notch(centre, width, taps, one);
        memset(next, 0, sizeof next);
        for (size_t i = 0; i < length; i++) {
            for (size_t k = 0; k < taps; k++) {
                next[i + k] += all[i] * one[k];
            }
        }
        length += taps - 1;
        memcpy(all, next, sizeof all);
    }
    TRY(peak_response(run->scratch, all, length, &peak, err));
    double gain = peak > 0 ? pow(10, gain_db / 20) / peak : 0;
    for (size_t i = 0; i < length; i++) {
        h[i] = (float)(gain * all[i]);
    }
    *m = length;
    return SPOOR_OK;
}

/* Divide by the peak, always or only where it is over 1. */
static void limit_peak(float *x, size_t n, bool always) {
    float peak = 0;
    for (size_t i = 0; i < n; i++) {
        peak = fmaxf(peak, fabsf(x[i]));
    }
    if (peak > 1 || (always && peak > 0)) {
        for (size_t i = 0; i < n; i++) {
            x[i] /= peak;
        }
    }
}

/* 1. Linear and non-linear convolutive noise: sum over orders of (x^order filtered), mean taken out. */
static spoor_status convolutive(const step_run *run, float *x, size_t n, spoor_error *err) {
    float h[ALL_TAPS];
    float *sum = step_buffer(run->scratch, 1, n), *power = step_buffer(run->scratch, 2, n);
    if (sum == NULL || power == NULL) {
        return error_memory(err, "RawBoost");
    }
    memset(sum, 0, n * sizeof *sum);
    for (size_t i = 0; i < n; i++) {
        power[i] = 1;
    }
    for (int order = 1; order <= ORDERS; order++) {
        size_t m;
        TRY(random_filter(run, order == 1 ? 0 : rng_range(run->rng, -20, -5), h, &m, err));
        for (size_t i = 0; i < n; i++) {
            power[i] *= x[i];
        }
        TRY(fir_add(run->scratch, power, n, h, m, (m - 1) / 2, sum, err));
    }
    double mean = 0;
    for (size_t i = 0; i < n; i++) {
        mean += (double)sum[i];
    }
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)((double)sum[i] - mean);
    }
    limit_peak(x, n, false);
    return SPOOR_OK;
}

/* 2. Impulsive signal-dependent noise: up to 10 % of the samples, drawn without putting back, times 1 + 2 u v. */
static void impulsive(const step_run *run, float *x, size_t n) {
    size_t count = (size_t)((double)n * rng_range(run->rng, 0, 10) / 100), left = n;
    /* Selection sampling (Knuth, algorithm S) needs no list of positions. */
    for (size_t i = 0; i < n && count > 0; i++, left--) {
        if (rng_below(run->rng, left) < count) {
            double u = rng_range(run->rng, -1, 1), v = rng_range(run->rng, -1, 1);
            x[i] = (float)((double)x[i] * (1 + 2 * u * v));
            count--;
        }
    }
    limit_peak(x, n, false);
}

/* 3. Stationary signal-independent noise: filtered white noise at 10-40 dB. */
static spoor_status stationary(const step_run *run, float *x, size_t n, spoor_error *err) {
    float h[ALL_TAPS];
    size_t m;
    float *white = step_buffer(run->scratch, 1, n);
    if (white == NULL) {
        return error_memory(err, "RawBoost");
    }
    for (size_t i = 0; i < n; i++) {
        white[i] = (float)rng_normal(run->rng);
    }
    TRY(random_filter(run, 0, h, &m, err));
    double snr = rng_range(run->rng, 10, 40);
    TRY(fir_apply(run->scratch, white, n, h, m, (m - 1) / 2, err));
    mix_at_snr(x, white, n, snr);
    return SPOOR_OK;
}

/* 8. 1 and 2 side by side: the sum of what each makes of the clip. */
static spoor_status parallel(const step_run *run, float *x, size_t n, spoor_error *err) {
    float *other = step_buffer(run->scratch, 3, n);
    if (other == NULL) {
        return error_memory(err, "RawBoost");
    }
    memcpy(other, x, n * sizeof *x);
    TRY(convolutive(run, x, n, err));
    impulsive(run, other, n);
    for (size_t i = 0; i < n; i++) {
        x[i] += other[i];
    }
    limit_peak(x, n, false);
    return SPOOR_OK;
}

spoor_status step_rawboost(const step_run *run, float *x, size_t n, spoor_error *err) {
    unsigned algo = step_choose(run) + 1;
    /* The powers of a loud clip would drown everything: the method is defined for samples within +-1. */
    limit_peak(x, n, false);
    if (algo == 8) {
        return parallel(run, x, n, err);
    }
    if (algo == 1 || algo == 4 || algo == 5 || algo == 6) {
        TRY(convolutive(run, x, n, err));
    }
    if (algo == 2 || algo == 4 || algo == 5 || algo == 7) {
        impulsive(run, x, n);
    }
    if (algo == 3 || algo == 4 || algo == 6 || algo == 7) {
        TRY(stationary(run, x, n, err));
    }
    return SPOOR_OK;
}
