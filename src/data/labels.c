/* labels.c: see labels.h. */
#include "data/labels.h"
#include <stdlib.h>
#include <string.h>

const char *labels_text(const manifest *m, size_t row, const labels_task *t) {
    const char *text = "";
    for (size_t i = 0; i < t->n_columns && !*text; i++) {
        text = manifest_cell(m, row, manifest_column(m, t->columns[i]));
    }
    for (size_t i = 0; i < t->n_except; i++) {
        if (strcmp(text, t->except[i]) == 0) {
            return "";
        }
    }
    return text;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

spoor_status labels_classes(spoor_context *ctx, const manifest *m, const size_t *rows, size_t n, const labels_task *t,
                            size_t min_clips, const char ***classes, size_t *n_classes, spoor_error *err) {
    const char **all = ctx_alloc(ctx, n, sizeof *all);
    *classes = all;
    *n_classes = 0;
    if (!all) {
        return error_memory(err, "counting labels");
    }
    size_t labelled = 0, count = 0;
    for (size_t i = 0; i < n; i++) {
        const char *text = labels_text(m, rows[i], t);
        if (*text) {
            all[labelled++] = text;
        }
    }
    if (labelled > 0) {
        qsort(all, labelled, sizeof *all, by_bytes);
    }
    for (size_t i = 0, run; i < labelled; i += run) {
        for (run = 1; i + run < labelled && strcmp(all[i], all[i + run]) == 0; run++) {
        }
        if (run >= min_clips) {
            all[count++] = all[i];
        }
    }
    if (count == 0) {
        ctx_free(ctx, all);
        *classes = NULL;
        return error_set(err, SPOOR_ERR_INPUT, "no training clip has a label for the task %.80s%s; are its columns "
                         "named right?", t->name, labelled > 0 ? " that stands often enough" : "");
    }
    *n_classes = count;
    return SPOOR_OK;
}

int32_t labels_find(const char *const *classes, size_t n, const char *name) {
    const char *const *found = n ? bsearch(&name, classes, n, sizeof *classes, by_bytes) : NULL;
    return found ? (int32_t)(found - classes) : -1;
}

typedef struct cell {
    const char *text;
    size_t at;
} cell;

static int by_text(const void *a, const void *b) {
    const cell *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

spoor_status labels_number(spoor_context *ctx, const char *const *text, size_t n, int32_t *out, size_t *n_groups,
                           spoor_error *err) {
    cell *cells = ctx_alloc(ctx, n, sizeof *cells);
    int32_t *leader = ctx_alloc(ctx, n, sizeof *leader); /* first place with the same text */
    if (!cells || !leader) {
        ctx_free(ctx, cells);
        ctx_free(ctx, leader);
        return error_memory(err, "counting groups");
    }
    for (size_t i = 0; i < n; i++) {
        cells[i] = (cell){text[i], i};
    }
    qsort(cells, n, sizeof *cells, by_text);
    for (size_t i = 0, first = 0; i < n; i++) {
        first = i > 0 && strcmp(cells[i].text, cells[i - 1].text) == 0 ? first : cells[i].at;
        leader[cells[i].at] = *cells[i].text ? (int32_t)first : -1;
    }
    *n_groups = 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = leader[i] < 0 ? -1 : leader[i] == (int32_t)i ? (int32_t)(*n_groups)++ : out[leader[i]];
    }
    ctx_free(ctx, cells);
    ctx_free(ctx, leader);
    return SPOOR_OK;
}

spoor_status labels_groups(spoor_context *ctx, const manifest *m, const size_t *rows, size_t n, const char *column,
                           int32_t *out, size_t *n_groups, spoor_error *err) {
    const char **text = ctx_alloc(ctx, n, sizeof *text);
    if (!text) {
        return error_memory(err, "counting groups");
    }
    size_t index = manifest_column(m, column);
    for (size_t i = 0; i < n; i++) {
        text[i] = manifest_cell(m, rows ? rows[i] : i, index);
    }
    spoor_status status = labels_number(ctx, text, n, out, n_groups, err);
    ctx_free(ctx, text);
    return status;
}

spoor_status labels_select(spoor_context *ctx, const manifest *m, const manifest_where *where, size_t n_where,
                           size_t **rows, size_t *n, spoor_error *err) {
    *n = 0;
    *rows = ctx_alloc(ctx, manifest_rows(m), sizeof **rows);
    if (!*rows) {
        return error_memory(err, "choosing rows");
    }
    for (size_t i = 0; i < manifest_rows(m); i++) {
        if (manifest_match(m, i, where, n_where)) {
            (*rows)[(*n)++] = i;
        }
    }
    return SPOOR_OK;
}
