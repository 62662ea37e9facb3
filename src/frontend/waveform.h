/* waveform.h: the samples themselves as rows of `hop`, for networks that begin with filters of their own (AASIST); used
 * by frontend.c alone. */
#ifndef FRONTEND_WAVEFORM_H
#define FRONTEND_WAVEFORM_H
#include "base/context.h"
#include <jansson.h>

typedef struct waveform {
    spoor_context *ctx;
    json_t *config; /* resolved */
    size_t hop;
} waveform;

spoor_status waveform_new(spoor_context *ctx, const json_t *config, waveform **out, spoor_error *err);
void waveform_free(waveform *fe);
/* The rest that fills no row is dropped; fewer samples than one row are filled up with zeros. */
size_t waveform_frames(const waveform *fe, size_t n_samples);
/* out [waveform_frames(fe, n), hop]; a sample that is not finite counts as 0, others are held within +-1e6. n >= 1. */
void waveform_compute(const waveform *fe, const float *samples, size_t n, float *out);
#endif
