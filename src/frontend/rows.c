/* rows.c: see rows.h. */
#include "frontend/rows.h"
#include <math.h>

const char *const ROWS_NORMALISES[] = {"none", "mean", "mean-var", NULL};

static void normalise_column(rows_normalise how, float *column, size_t frames, size_t width) {
    double sum = 0, squares = 0;
    for (size_t t = 0; t < frames; t++) {
        sum += (double)column[t * width];
    }
    double mean = sum / (double)frames;
    for (size_t t = 0; t < frames; t++) {
        double d = (double)column[t * width] - mean;
        squares += d * d;
    }
    double scale = how == NORMALISE_MEAN_VAR ? 1 / sqrt(squares / (double)frames + 1e-5) : 1;
    for (size_t t = 0; t < frames; t++) {
        column[t * width] = (float)(((double)column[t * width] - mean) * scale);
    }
}

void rows_normalise_columns(rows_normalise how, float *rows, size_t frames, size_t width) {
    for (size_t c = 0; how != NORMALISE_NONE && c < width; c++) {
        normalise_column(how, rows + c, frames, width);
    }
}
