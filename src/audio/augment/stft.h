/* stft.h: short-time Fourier transform of a whole clip and its least-squares inverse, for the steps that re-synthesise.
 * Frame t is centred on sample t * hop, hop = size / 4, under a periodic Hann window; samples outside the clip are 0,
 * so nothing is delayed. Not installed. */
#ifndef AUDIO_AUGMENT_STFT_H
#define AUDIO_AUGMENT_STFT_H
#include "audio/augment/steps.h"

typedef struct stft {
    augment_scratch *scratch;
    kiss_fftr_cfg forward, backward;
    size_t size, hop, bins, frames, n;
    const float *window; /* [size] */
    const float *norm;   /* [n] 1 / (size * sum of squared windows at that sample) */
} stft;

/* Ready for clips of n >= 1 samples; size is a power of two >= 64. Uses the scratch buffer STEP_STFT. */
spoor_status stft_open(augment_scratch *s, size_t size, size_t n, stft *out, spoor_error *err);
/* out[bins]: the spectrum of frame t of x[n]. */
void stft_frame(const stft *f, const float *x, size_t t, kiss_fft_cpx *out);
/* spectrum[frames, bins] of x[n] */
void stft_forward(const stft *f, const float *x, kiss_fft_cpx *spectrum);
/* y[n] += the windowed inverse of one frame's spectrum[bins]; after all frames stft_finish divides. */
void stft_add(const stft *f, const kiss_fft_cpx *spectrum, size_t t, float *y);
void stft_finish(const stft *f, float *y);
/* The y[n] whose transform is nearest to the spectrum in squares (Griffin and Lim 1984, eq. 6). */
void stft_inverse(const stft *f, const kiss_fft_cpx *spectrum, float *y);
/* y as loud as x over the whole clip; y stays as it is where either is silent. */
void stft_level(const float *x, float *y, size_t n);
#endif
