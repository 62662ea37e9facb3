/* scores_key.c: labels that stand in a file of their own, found by id; see scores.h. */
#define _GNU_SOURCE /* qsort_r */
#include "eval/scores_internal.h"
#include <stdlib.h>
#include <string.h>

/* Without the "./" at its front that some copies of a list have and others have not. */
static const char *plain_id(const char *id) {
    while (id[0] == '.' && id[1] == '/') {
        id += 2;
    }
    return id;
}

static const char *id_of(const score_file *f, size_t row) {
    return plain_id(delimited_cell(&f->key, row, f->key_columns.id));
}

static int by_id(const void *a, const void *b, void *arg) {
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    int order = strcmp(id_of(arg, i), id_of(arg, j));
    return order != 0 ? order : i < j ? -1 : i > j;
}

static spoor_status choose(score_file *f, const score_key *k, spoor_error *err) {
    const char *const names[] = {k->id != NULL ? k->id : "1", k->label, k->page, k->setting, k->source};
    label_columns *c = &f->key_columns;
    size_t *const places[] = {&c->id, &c->label, &c->page, &c->setting, &c->source};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        c->header |= names[i] != NULL && !score_column_is_number(names[i]);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        TRY(score_column_find(&f->key, k->path, c->header, names[i], places[i], &c->most, err));
    }
    return SPOOR_OK;
}

static bool same_cell(const score_file *f, size_t a, size_t b, size_t column) {
    return column == SIZE_MAX ||
           strcmp(delimited_cell(&f->key, a, column), delimited_cell(&f->key, b, column)) == 0;
}

/* Equal lines count once; an id with two labels is an error. */
static spoor_status drop_repeated(score_file *f, const char *path, spoor_error *err) {
    size_t kept = 0;
    for (size_t i = 0; i < f->key_n; i++) {
        size_t row = f->key_order[i];
        if (kept > 0 && strcmp(id_of(f, f->key_order[kept - 1]), id_of(f, row)) == 0) {
            size_t first = f->key_order[kept - 1];
            if (!same_cell(f, first, row, f->key_columns.label) || !same_cell(f, first, row, f->key_columns.source)) {
                return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: %.80s is labelled otherwise in line %zu", path,
                                 f->key.line[row], id_of(f, row), f->key.line[first]);
            }
            continue;
        }
        f->key_order[kept++] = row;
    }
    f->key_n = kept;
    return SPOOR_OK;
}

spoor_status score_key_read(score_file *f, const score_key *k, spoor_error *err) {
    TRY(delimited_read(f->ctx, k->path, 0, &f->key, err));
    TRY(choose(f, k, err));
    size_t from = f->key_columns.header && f->key.rows > 0 ? 1 : 0;
    TRY(score_check_fields(&f->key, k->path, from, f->key_columns.most, err));
    f->key_n = f->key.rows - from;
    f->key_order = ctx_alloc(f->ctx, f->key_n, sizeof *f->key_order);
    f->key_used = ctx_calloc(f->ctx, f->key_n, sizeof *f->key_used);
    if (f->key_order == NULL || f->key_used == NULL) {
        return error_memory(err, "reading a key");
    }
    for (size_t i = 0; i < f->key_n; i++) {
        f->key_order[i] = from + i;
    }
    if (f->key_n > 1) {
        qsort_r(f->key_order, f->key_n, sizeof *f->key_order, by_id, f);
    }
    return drop_repeated(f, k->path, err);
}

size_t score_key_find(score_file *f, const char *id) {
    size_t low = 0, high = f->key_n;
    id = plain_id(id);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(id_of(f, f->key_order[middle]), id);
        if (order == 0) {
            f->key_used[middle] = true;
            return f->key_order[middle];
        }
        *(order < 0 ? &low : &high) = order < 0 ? middle + 1 : middle;
    }
    return SIZE_MAX;
}
