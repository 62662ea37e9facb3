/* rows.h: what is done to rows of features of any kind. */
#ifndef FRONTEND_ROWS_H
#define FRONTEND_ROWS_H
#include <stddef.h>

typedef enum rows_normalise { NORMALISE_NONE, NORMALISE_MEAN, NORMALISE_MEAN_VAR } rows_normalise;
extern const char *const ROWS_NORMALISES[]; /* their names, NULL-terminated */

/* Per column over time: minus the mean, then (mean-var) divided by sqrt(variance + 1e-5). rows [frames, width]. */
void rows_normalise_columns(rows_normalise how, float *rows, size_t frames, size_t width);
#endif
