/* labels.h: from the columns of a manifest to class numbers: one list of class names and one label for each row, for
 * every task. A task's label is the first of its columns that is not empty. */
#ifndef DATA_LABELS_H
#define DATA_LABELS_H
#include "data/manifest.h"

typedef struct labels_task {
    const char *name;
    const char *const *columns;
    size_t n_columns;
    const char *const *except; /* labels that count as missing */
    size_t n_except;
} labels_task;

/* "" where the row has no label for the task. Lives as long as the manifest. */
const char *labels_text(const manifest *m, size_t row, const labels_task *t);

/* The distinct labels of these rows that stand in at least min_clips of them, sorted by bytes. *classes (freed with
 * ctx_free) points to strings of the manifest. SPOOR_ERR_INPUT if there is none. */
spoor_status labels_classes(spoor_context *ctx, const manifest *m, const size_t *rows, size_t n, const labels_task *t,
                            size_t min_clips, const char ***classes, size_t *n_classes, spoor_error *err);
/* Index of a name among sorted classes, or -1. */
int32_t labels_find(const char *const *classes, size_t n, const char *name);
/* Numbers the distinct non-empty texts from 0 in order of appearance, -1 for empty ones: out[n]. */
spoor_status labels_number(spoor_context *ctx, const char *const *text, size_t n, int32_t *out, size_t *n_groups,
                           spoor_error *err);
/* The same for the cells of a column in these rows (NULL: the first n). */
spoor_status labels_groups(spoor_context *ctx, const manifest *m, const size_t *rows, size_t n, const char *column,
                           int32_t *out, size_t *n_groups, spoor_error *err);
/* Rows of the manifest that pass the filters: *rows is freed with ctx_free. */
spoor_status labels_select(spoor_context *ctx, const manifest *m, const manifest_where *where, size_t n_where,
                           size_t **rows, size_t *n, spoor_error *err);
#endif
