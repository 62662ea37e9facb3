/* filterbank.h: fixed tables of spectral analysis (front ends, re-synthesis): windows, triangular filters, DCT. Not
 * installed. */
#ifndef AUDIO_FILTERBANK_H
#define AUDIO_FILTERBANK_H
#include "base/context.h"

typedef enum filterbank_scale { FILTERBANK_SLANEY, FILTERBANK_HTK, FILTERBANK_LINEAR } filterbank_scale;

/* One triangular filter: weights[0 .. length) for the bins start .. start + length - 1. */
typedef struct filterbank_band {
    size_t start, length;
    const float *weights;
} filterbank_band;

typedef struct filterbank {
    size_t n;
    filterbank_band *bands;
    float *weights; /* of all bands */
} filterbank;

/* n triangles whose corners are n + 2 points equally spaced on the scale from f_min to f_max, over the n_fft / 2 + 1
 * bins of a spectrum at `rate` hertz. area: each divided by half its width in hertz ("slaney" normalisation). A
 * triangle between two bins is empty. */
spoor_status filterbank_make(spoor_context *ctx, filterbank_scale scale, bool area, size_t n, double f_min,
                             double f_max, size_t n_fft, double rate, filterbank *out, spoor_error *err);
void filterbank_clear(spoor_context *ctx, filterbank *bank);

/* out[n]: Hann or Hamming; periodic: denominator n, else n - 1. */
void filterbank_window(bool hamming, bool periodic, size_t n, float *out);
/* out[n_out, n_in]: the first n_out rows of the orthonormal DCT-II, n_out <= n_in. */
void filterbank_dct(size_t n_out, size_t n_in, float *out);
#endif
