/* spectral.h: log-mel, LFCC and linear spectrum: made in spectral_setup.c, computed in spectral.c, used by frontend.c
 * alone. The functions are those of frontend.h for these kinds. */
#ifndef FRONTEND_SPECTRAL_H
#define FRONTEND_SPECTRAL_H
#include "audio/filterbank.h"
#include "frontend/frontend.h"
#include "frontend/rows.h"
#include <kissfft/kiss_fftr.h>

typedef enum spectral_kind { SPECTRAL_LOG_MEL, SPECTRAL_LFCC, SPECTRAL_LINEAR } spectral_kind;
typedef enum spectral_level { LEVEL_NONE, LEVEL_RMS, LEVEL_PEAK } spectral_level;

typedef struct spectral {
    spoor_context *ctx;
    json_t *config; /* resolved */
    spectral_kind kind;
    size_t n_fft, win_length, hop_length;
    bool center, pad_end, magnitude;
    double preemphasis;
    spectral_level level;
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
    rows_normalise normalise;
    size_t stack;
    size_t width; /* n_base * (1 + deltas): columns before stacking */
} spectral;

typedef struct spectral_scratch {
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
} spectral_scratch;

spoor_status spectral_new(spoor_context *ctx, const json_t *config, spectral **out, spoor_error *err);
void spectral_free(spectral *fe);
size_t spectral_dim(const spectral *fe);
size_t spectral_frames(const spectral *fe, size_t n_samples);
spoor_status spectral_scratch_new(const spectral *fe, spectral_scratch **out, spoor_error *err);
void spectral_scratch_free(spectral_scratch *s);
/* n from 1 to FRONTEND_MAX_SAMPLES: frontend_compute looks. */
spoor_status spectral_compute(const spectral *fe, spectral_scratch *s, const float *samples, size_t n, float *out,
                              spoor_error *err);

/* Rows before stacking, and rows [spectral_rows(fe, n), fe->width] from prepared samples. */
size_t spectral_rows(const spectral *fe, size_t n_samples);
void spectral_fill(const spectral *fe, spectral_scratch *s, const float *samples, size_t n, float *rows);
#endif
