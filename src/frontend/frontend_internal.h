/* frontend_internal.h: what frontend.c (configuration) and spectral.c (computation) share. Not installed. */
#ifndef FRONTEND_INTERNAL_H
#define FRONTEND_INTERNAL_H
#include "frontend/filterbank.h"
#include "frontend/frontend.h"
#include <kissfft/kiss_fftr.h>

typedef enum frontend_kind { FRONTEND_LOG_MEL, FRONTEND_LFCC, FRONTEND_LINEAR } frontend_kind;
typedef enum frontend_level { LEVEL_NONE, LEVEL_RMS, LEVEL_PEAK } frontend_level;
typedef enum frontend_normalise { NORMALISE_NONE, NORMALISE_MEAN, NORMALISE_MEAN_VAR } frontend_normalise;

struct frontend {
    spoor_context *ctx;
    json_t *config; /* resolved */
    frontend_kind kind;
    size_t n_fft, win_length, hop_length;
    bool center, pad_end, magnitude;
    double preemphasis;
    frontend_level level;
    float *window;          /* [win_length] */
    filterbank bank;        /* log-mel, lfcc */
    size_t first_bin;       /* linear-spectrogram: the first bin kept */
    size_t n_bands;         /* values a frame has before the DCT */
    float *dct;             /* lfcc: [n_base, n_bands] */
    bool log10, floor_adds; /* log(x + floor) instead of log(max(x, floor)) */
    float log_floor;
    size_t flatten; /* width of the moving average over bands that is subtracted; 0 = none */
    size_t n_base;  /* static columns */
    size_t deltas, delta_span;
    bool delta_norm;
    frontend_normalise normalise;
    size_t stack;
    size_t width; /* n_base * (1 + deltas): columns before stacking */
};

struct frontend_scratch {
    spoor_context *ctx;
    kiss_fftr_cfg fft;    /* kissfft writes to its own state while it transforms: one per thread */
    float *frame;         /* [n_fft] */
    kiss_fft_cpx *bins;   /* [n_fft / 2 + 1] */
    float *power;         /* [n_fft / 2 + 1] */
    float *bands;         /* [n_bands] */
    float *samples;       /* [sample_capacity] */
    size_t sample_capacity;
    float *rows;          /* [row_capacity], values */
    size_t row_capacity;
};

/* Frames before stacking. */
size_t spectral_frames(const frontend *fe, size_t n_samples);
/* rows [spectral_frames(fe, n), fe->width] from prepared samples. */
void spectral_compute(const frontend *fe, frontend_scratch *s, const float *samples, size_t n, float *rows);
#endif
