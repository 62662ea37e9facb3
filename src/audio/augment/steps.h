/* steps.h: what the steps of an augmentation chain share: settings, scratch memory, FIR filters. Not installed. */
#ifndef AUDIO_AUGMENT_STEPS_H
#define AUDIO_AUGMENT_STEPS_H
#include "audio/augment/augment.h"
#include <kissfft/kiss_fftr.h>

/* Scratch buffers 0 to 3 are any step's own; STEP_STFT is that of stft.h, STEP_ROOM small tables of the steps around
 * it. */
enum { STEP_STFT = 4, STEP_ROOM, STEP_BUFFERS, STEP_RANGES = 2, STEP_FFT_SIZES = 22 };

/* One step as configured. What ranges and choices mean is in the table of augment.c. */
typedef struct augment_step {
    int kind;
    double p;
    double range[STEP_RANGES][2];
    uint32_t choices; /* bit i: the i-th name of the step's list may be drawn */
    double number;
    size_t of; /* a step "one": how many of the steps behind it are its own */
    size_t set; /* 1 + index of the recordings that it needs; 0: none */
} augment_step;

struct augment_scratch {
    spoor_context *ctx;
    float *buffer[STEP_BUFFERS];
    size_t capacity[STEP_BUFFERS];
    kiss_fftr_cfg fft[2][STEP_FFT_SIZES]; /* [inverse][log2 of the size], made when first needed */
    float *fft_time;
    kiss_fft_cpx *fft_bins, *fft_filter;
    size_t fft_capacity; /* of the three, in points */
    unsigned char *bytes; /* a coded clip */
    size_t bytes_capacity;
};

/* A step in progress. */
typedef struct step_run {
    const augment_step *step;
    augment_scratch *scratch;
    const augment_sources *sources;
    const augment_recordings *recordings; /* of the step's "files" */
    rng *rng;
} step_run;

typedef spoor_status (*step_fn)(const step_run *run, float *x, size_t n, spoor_error *err);

/* The steps; each changes x[n] in place, n >= 1. Their settings: augment.c. */
spoor_status step_noise(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_babble(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_recorded_noise(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_recorded_room(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_room(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_rawboost(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_gain(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_eq(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_bandlimit(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_codec(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_telephone(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_resample(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_speed(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_mask(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_griffin_lim(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_mel(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_sinusoids(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_lpc(const step_run *run, float *x, size_t n, spoor_error *err);
spoor_status step_channels(const step_run *run, float *x, size_t n, spoor_error *err);

/* A number from range i of the step; a whole number of it, both ends included; one of its choices. */
double step_draw(const step_run *run, int i);
size_t step_draw_whole(const step_run *run, int i);
unsigned step_choose(const step_run *run);

/* Scratch buffer `slot` with room for n floats; NULL when out of memory. Contents are undefined. */
float *step_buffer(augment_scratch *s, int slot, size_t n);

/* Points of the smallest power of two >= n, at least 16. */
size_t fir_fft_size(size_t n);
/* Real transforms of `size` = 2^k points, k < STEP_FFT_SIZES; the inverse is not scaled. NULL when out of memory. */
kiss_fftr_cfg fir_fft(augment_scratch *s, size_t size, bool inverse);
/* Room for transforms of `size` points in s->fft_time (size), s->fft_bins and s->fft_filter (size / 2 + 1). */
bool fir_reserve(augment_scratch *s, size_t size);
/* y[i] += sum_k h[k] x[i + delay - k] for i < n, samples outside x being 0. y may not overlap x or h. */
spoor_status fir_add(augment_scratch *s, const float *x, size_t n, const float *h, size_t m, size_t delay, float *y,
                     spoor_error *err);
/* x = x filtered with h, uses buffer 0. */
spoor_status fir_apply(augment_scratch *s, float *x, size_t n, const float *h, size_t m, size_t delay,
                       spoor_error *err);
/* h[m], m odd: windowed-sinc pass band low..high in hertz, Hamming window; low <= 0 or high >= 8000 leave that side
 * open. */
void fir_bandpass(double low, double high, size_t m, float *h);

double mean_square(const float *x, size_t n);
/* x += noise scaled to the signal-to-noise ratio; nothing where either is silent. */
void mix_at_snr(float *x, const float *noise, size_t n, double snr_db);

/* RawBoost's parts (rawboost.c), apart for the tests. One notch (centre and width in hertz, odd length m). */
void rawboost_notch(double centre, double width, size_t m, double *h);

/* One coded round trip with settings fixed (codec.c). codec: index in CODEC_NAMES; quality: kbps or Vorbis quality. */
enum { CODEC_OPUS, CODEC_VORBIS, CODEC_MP3, CODEC_MULAW, CODEC_ALAW, CODEC_ADPCM, CODEC_GSM, CODEC_G721 };
spoor_status codec_round_trip(augment_scratch *s, int codec, double quality, float *x, size_t n, spoor_error *err);
/* The codec of the i-th name of a telephone step. */
int telephone_codec(unsigned i);
/* G.711 companding of one 16-bit sample, there and back. */
int codec_mulaw(int sample);
int codec_alaw(int sample);
/* x[n] at rate_in to y[m] at rate_out, aligned at sample 0, the rest of y 0. quality: a recipe of soxr. */
spoor_status rate_convert(const float *x, size_t n, double rate_in, float *y, size_t m, double rate_out,
                          unsigned long quality, spoor_error *err);
#endif
