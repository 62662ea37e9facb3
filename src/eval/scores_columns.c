/* scores_columns.c: score files of other systems, by columns that the user names; see scores.h. */
#include "eval/scores_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Column indices from 0; SIZE_MAX = not asked for. */
typedef struct chosen {
    size_t id, score, label, predicted, page, setting, source;
    size_t most; /* the greatest: a line needs that many fields and one */
    bool header;
} chosen;

enum { NUMBER_TEXT = 24 };

void score_columns_init(score_columns *columns) { *columns = (score_columns){.header = -1}; }

static bool is_number(const char *s) { return s[0] != '\0' && strspn(s, "0123456789") == strlen(s); }

static bool by_name(const score_columns *c) {
    const char *const all[] = {c->id, c->score, c->label, c->predicted, c->page, c->setting, c->source};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i] != NULL && !is_number(all[i])) {
            return true;
        }
    }
    return false;
}

static spoor_status choose(const delimited *d, const char *path, bool header, const char *column, size_t *index,
                           spoor_error *err) {
    *index = SIZE_MAX;
    if (column == NULL) {
        return SPOOR_OK;
    }
    if (is_number(column)) {
        unsigned long n = strtoul(column, NULL, 10);
        if (strlen(column) > 6 || n == 0 || n > DELIMITED_MAX_COLUMNS) {
            return error_set(err, SPOOR_ERR_USAGE, "column %.20s: columns are counted from 1 to %d", column,
                             DELIMITED_MAX_COLUMNS);
        }
        *index = n - 1;
        return SPOOR_OK;
    }
    for (size_t k = 0; header && d->rows > 0 && k < delimited_fields(d, 0); k++) {
        if (strcmp(delimited_cell(d, 0, k), column) == 0) {
            *index = k;
            return SPOOR_OK;
        }
    }
    return error_set(err, SPOOR_ERR_USAGE, "%s has no column called \"%.60s\"; its first line begins with \"%.60s\"", path,
                     column, d->rows > 0 ? delimited_cell(d, 0, 0) : "");
}

static spoor_status choose_all(const delimited *d, const char *path, const score_columns *c, chosen *out,
                               spoor_error *err) {
    bool detection = c->score != NULL && c->label != NULL && c->target_label != NULL;
    bool decisions = c->predicted != NULL && c->label != NULL;
    if (!detection && !decisions) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "name the columns of %s: score, label and the target's label, or predicted and label", path);
    }
    out->header = c->header < 0 ? by_name(c) : c->header > 0;
    const char *const names[] = {c->id, detection ? c->score : NULL, c->label, c->predicted, c->page, c->setting, c->source};
    size_t *const places[] = {&out->id,   &out->score,   &out->label, &out->predicted,
                              &out->page, &out->setting, &out->source};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        TRY(choose(d, path, out->header, names[i], places[i], err));
        if (*places[i] != SIZE_MAX && *places[i] > out->most) {
            out->most = *places[i];
        }
    }
    return SPOOR_OK;
}

static const char *cell(const score_file *f, size_t row, size_t column) {
    return column == SIZE_MAX ? "" : delimited_cell(&f->table, row, column);
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The classes are all names that occur as label or prediction. */
static spoor_status list_classes(score_file *f, const chosen *at, size_t from, spoor_error *err) {
    size_t n = 0, kept = 0, most = 2 * (f->table.rows - from);
    f->names = ctx_alloc(f->ctx, most, sizeof *f->names);
    f->tasks = ctx_calloc(f->ctx, 1, sizeof *f->tasks);
    if (f->names == NULL || f->tasks == NULL) {
        return error_memory(err, "reading scores");
    }
    for (size_t row = from; row < f->table.rows; row++) {
        const char *const two[] = {cell(f, row, at->label), cell(f, row, at->predicted)};
        for (size_t k = 0; k < 2; k++) {
            if (two[k][0] != '\0') {
                f->names[n++] = two[k];
            }
        }
    }
    qsort(f->names, n, sizeof *f->names, by_text);
    for (size_t k = 0; k < n; k++) {
        if (kept == 0 || strcmp(f->names[kept - 1], f->names[k]) != 0) {
            f->names[kept++] = f->names[k];
        }
    }
    f->tasks[0] = (eval_task){"source", kept, f->names};
    f->set.tasks = f->tasks;
    f->set.task_count = 1;
    f->set.decisions = true;
    return SPOOR_OK;
}

static int32_t class_of(const score_file *f, const char *name) {
    const char **found = name[0] == '\0' ? NULL
                                         : bsearch(&name, f->names, f->tasks[0].classes, sizeof *f->names, by_text);
    return found == NULL ? -1 : (int32_t)(found - f->names);
}

static void take_decision(score_file *f, size_t i, const char *truth, const char *predicted) {
    size_t classes = f->tasks[0].classes;
    int32_t said = class_of(f, predicted);
    f->truth[i] = class_of(f, truth);
    f->clips[i].scores = said >= 0 ? f->scores + i * classes : NULL;
    for (size_t k = 0; said >= 0 && k < classes; k++) {
        f->scores[i * classes + k] = k == (size_t)said;
    }
}

static spoor_status read_line(score_file *f, const char *path, const score_columns *c, const chosen *at, size_t row,
                              eval_clip *clip, bool *target_seen, spoor_error *err) {
    clip->id = cell(f, row, at->id);
    clip->page = cell(f, row, at->page);
    clip->setting = cell(f, row, at->setting);
    clip->source = cell(f, row, at->source);
    const char *label = cell(f, row, at->label);
    if (at->predicted != SIZE_MAX) {
        take_decision(f, (size_t)(clip - f->clips), label, cell(f, row, at->predicted));
    }
    if (at->score == SIZE_MAX) {
        return SPOOR_OK;
    }
    double score;
    const char *text = cell(f, row, at->score);
    if (!score_number(text, &score) || isinf(score)) {
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: the score \"%.60s\" is no finite number", path,
                         f->table.line[row], text);
    }
    score = c->lower_is_target ? -score : score;
    int flag = label[0] == '\0' ? -1 : strcmp(label, c->target_label) == 0;
    *target_seen |= flag == 1;
    *(c->known ? &clip->known : &clip->bonafide) = score;
    *(c->known ? &clip->is_known : &clip->is_bonafide) = flag;
    return SPOOR_OK;
}

static spoor_status check_fields(const score_file *f, const char *path, const chosen *at, size_t from, spoor_error *err) {
    for (size_t row = from; row < f->table.rows; row++) {
        if (delimited_fields(&f->table, row) <= at->most) {
            return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: %zu fields, but column %zu is asked for", path,
                             f->table.line[row], delimited_fields(&f->table, row), at->most + 1);
        }
    }
    return SPOOR_OK;
}

/* Without a column of ids a clip is called by its line number. */
static spoor_status number_clips(score_file *f, size_t from, spoor_error *err) {
    f->numbers = ctx_alloc(f->ctx, f->set.n, NUMBER_TEXT);
    if (f->numbers == NULL) {
        return error_memory(err, "reading scores");
    }
    for (size_t i = 0; i < f->set.n; i++) {
        (void)snprintf(f->numbers + i * NUMBER_TEXT, NUMBER_TEXT, "%zu", f->table.line[from + i]);
        f->clips[i].id = f->numbers + i * NUMBER_TEXT;
    }
    return SPOOR_OK;
}

static spoor_status read_lines(score_file *f, const char *path, const score_columns *c, const chosen *at, size_t from,
                               spoor_error *err) {
    size_t n = f->table.rows - from;
    size_t width = f->set.task_count > 0 ? f->tasks[0].classes : 0;
    if (!score_file_allocate(f, n, f->set.task_count, width)) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s: no memory for %zu lines of %zu classes", path, n, width);
    }
    bool target_seen = at->score == SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        TRY(read_line(f, path, c, at, from + i, &f->clips[i], &target_seen, err));
    }
    if (n > 0 && !target_seen) {
        return error_set(err, SPOOR_ERR_INPUT, "%s: no line has the target's label \"%.60s\"; the first has \"%.60s\"", path,
                         c->target_label, cell(f, from, at->label));
    }
    return at->id == SIZE_MAX ? number_clips(f, from, err) : SPOOR_OK;
}

static spoor_status read_file(score_file *f, const char *path, const score_columns *c, spoor_error *err) {
    chosen at = {0};
    TRY(delimited_read(f->ctx, path, c->separator, &f->table, err));
    TRY(choose_all(&f->table, path, c, &at, err));
    size_t from = at.header && f->table.rows > 0 ? 1 : 0;
    TRY(check_fields(f, path, &at, from, err));
    if (at.predicted != SIZE_MAX) {
        TRY(list_classes(f, &at, from, err));
    }
    plain_numbers plain = {0};
    TRY(plain_numbers_begin(&plain, err));
    spoor_status status = read_lines(f, path, c, &at, from, err);
    plain_numbers_end(&plain);
    return status;
}

spoor_status score_file_read_columns(spoor_context *ctx, const char *path, const score_columns *columns,
                                     score_file **out, spoor_error *err) {
    *out = NULL;
    score_file *f = ctx_calloc(ctx, 1, sizeof *f);
    if (f == NULL) {
        return error_memory(err, "reading scores");
    }
    f->ctx = ctx;
    spoor_status status = read_file(f, path, columns, err);
    if (status != SPOOR_OK) {
        score_file_free(f);
        return status;
    }
    *out = f;
    return SPOOR_OK;
}
