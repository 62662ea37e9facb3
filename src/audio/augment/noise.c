/* noise.c: additive noise: coloured noise, babble and recorded noise, mixed at a signal-to-noise ratio. */
#include "audio/augment/steps.h"
#include <math.h>
#include <string.h>

double mean_square(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return sum / (double)n;
}

void mix_at_snr(float *x, const float *noise, size_t n, double snr_db) {
    double signal = mean_square(x, n), power = mean_square(noise, n);
    if (!(signal > 0) || !(power > 0)) {
        return;
    }
    double gain = sqrt(signal / power * pow(10, -snr_db / 10));
    for (size_t i = 0; i < n; i++) {
        x[i] += (float)(gain * (double)noise[i]);
    }
}

/* Gaussian noise whose power falls as f^-slope above 50 Hz and is flat below (else brown noise would be a rumble that
 * no microphone passes): drawn in the frequency domain, so that the slope is exact. out[n]. */
static spoor_status coloured_noise(const step_run *run, int slope, float *out, size_t n, spoor_error *err) {
    augment_scratch *s = run->scratch;
    size_t size = fir_fft_size(n);
    kiss_fftr_cfg backward = fir_fft(s, size, true);
    if (backward == NULL || !fir_reserve(s, size)) {
        return error_memory(err, "making noise");
    }
    size_t corner = size * 50 / AUGMENT_RATE + 1;
    for (size_t k = 0; k <= size / 2; k++) {
        double f = (double)(k > corner ? k : corner) / (double)corner;
        double a = k == 0 ? 0 : slope == 0 ? 1 : slope == 1 ? 1 / sqrt(f) : 1 / f;
        double re = rng_normal(run->rng), im = rng_normal(run->rng);
        s->fft_bins[k] = (kiss_fft_cpx){(float)(a * re), k == size / 2 ? 0 : (float)(a * im)};
    }
    kiss_fftri(backward, s->fft_bins, s->fft_time);
    memcpy(out, s->fft_time, n * sizeof *out);
    return SPOOR_OK;
}

spoor_status step_noise(const step_run *run, float *x, size_t n, spoor_error *err) {
    double snr = step_draw(run, 0);
    int slope = (int)step_choose(run); /* white, pink, brown */
    float *noise = step_buffer(run->scratch, 1, n);
    if (noise == NULL) {
        return error_memory(err, "making noise");
    }
    TRY(coloured_noise(run, slope, noise, n, err));
    mix_at_snr(x, noise, n, snr);
    return SPOOR_OK;
}

/* Some clips, each at the same level, summed and mixed in. The step's ranges: SNR, how many. */
static spoor_status mix_several(const step_run *run, const augment_sources *sources, float *x, size_t n,
                                spoor_error *err) {
    double snr = step_draw(run, 0);
    size_t count = step_draw_whole(run, 1);
    float *sum = step_buffer(run->scratch, 1, n), *one = step_buffer(run->scratch, 2, n);
    if (sum == NULL || one == NULL) {
        return error_memory(err, "mixing clips");
    }
    memset(sum, 0, n * sizeof *sum);
    for (size_t t = 0; t < count; t++) {
        size_t index = (size_t)rng_below(run->rng, sources->count);
        double where = rng_uniform(run->rng);
        TRY(sources->fill(sources->user, index, where, one, n, err));
        double power = mean_square(one, n);
        if (!(power > 0 && isfinite(power))) {
            continue; /* a silent or broken one adds nothing */
        }
        float gain = (float)(1 / sqrt(power));
        for (size_t i = 0; i < n; i++) {
            sum[i] += gain * one[i];
        }
    }
    mix_at_snr(x, sum, n, snr);
    return SPOOR_OK;
}

spoor_status step_babble(const step_run *run, float *x, size_t n, spoor_error *err) {
    return mix_several(run, run->sources, x, n, err);
}

spoor_status step_recorded_noise(const step_run *run, float *x, size_t n, spoor_error *err) {
    return mix_several(run, &run->recordings->stretch, x, n, err);
}
