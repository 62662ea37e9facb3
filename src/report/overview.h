/* overview.h: the picture of a recording of any length in fixed memory: the envelope of its waveform and a log-mel
 * spectrogram, each in at most OVERVIEW_COLUMNS columns. Columns are merged two by two whenever they run out. */
#ifndef REPORT_OVERVIEW_H
#define REPORT_OVERVIEW_H
#include "frontend/frontend.h"

enum { OVERVIEW_COLUMNS = 1200, OVERVIEW_BANDS = 64, OVERVIEW_CHUNK = 160 };

typedef struct overview {
    spoor_context *ctx;
    frontend *frontend;
    frontend_scratch *scratch;
    float history[512];        /* the frame that ends with the newest chunk */
    float chunk[OVERVIEW_CHUNK]; /* samples that do not fill a chunk yet */
    size_t n_chunk;
    size_t position;           /* samples in full chunks so far */
    size_t per_column;         /* samples */
    size_t n;                  /* columns filled */
    float low[OVERVIEW_COLUMNS], high[OVERVIEW_COLUMNS];
    float band[OVERVIEW_COLUMNS][OVERVIEW_BANDS]; /* mean log energy of the chunks in the column */
} overview;

spoor_status overview_new(spoor_context *ctx, overview **out, spoor_error *err);
void overview_free(overview *o);
/* Matches trace_sink: every 16 kHz sample, once, in order. */
void overview_add(void *o, const float *samples, size_t n);
#endif
