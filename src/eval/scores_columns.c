/* scores_columns.c: score files of other systems, by columns that the user names; see scores.h. */
#include "eval/scores_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_TEXT = 24 };

/* Where a file's scores and labels stand, and what its lines have shown. */
typedef struct reader {
    score_file *f;
    const char *path;
    const score_columns *c;
    label_columns labels; /* in the score file itself */
    size_t score, predicted, *classes; /* columns; classes[of the task] or NULL */
    size_t from;          /* first line after the header */
    bool sorted;          /* the class names are in byte order */
    bool target_seen, no_distribution;
} reader;

void score_columns_init(score_columns *columns) { *columns = (score_columns){.header = -1}; }

/* ---- columns ------------------------------------------------------------------------------------------ */

bool score_column_is_number(const char *s) { return s[0] != '\0' && strspn(s, "0123456789") == strlen(s); }

spoor_status score_column_find(const delimited *d, const char *path, bool header, const char *column, size_t *index,
                               size_t *most, spoor_error *err) {
    *index = SIZE_MAX;
    if (column == NULL) {
        return SPOOR_OK;
    }
    if (score_column_is_number(column)) {
        unsigned long n = strtoul(column, NULL, 10);
        if (strlen(column) > 6 || n == 0 || n > DELIMITED_MAX_COLUMNS) {
            return error_set(err, SPOOR_ERR_USAGE, "column %.20s: columns are counted from 1 to %d", column,
                             DELIMITED_MAX_COLUMNS);
        }
        *index = n - 1;
        *most = *index > *most ? *index : *most;
        return SPOOR_OK;
    }
    for (size_t k = 0; header && d->rows > 0 && k < delimited_fields(d, 0); k++) {
        if (strcmp(delimited_cell(d, 0, k), column) == 0) {
            *index = k;
            *most = k > *most ? k : *most;
            return SPOOR_OK;
        }
    }
    return error_set(err, SPOOR_ERR_USAGE, "%s has no column called \"%.60s\"; its first line begins with \"%.60s\"",
                     path, column, d->rows > 0 ? delimited_cell(d, 0, 0) : "");
}

spoor_status score_check_fields(const delimited *d, const char *path, size_t from, size_t most, spoor_error *err) {
    for (size_t row = from; row < d->rows; row++) {
        if (delimited_fields(d, row) <= most) {
            return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: %zu fields, but column %zu is asked for", path,
                             d->line[row], delimited_fields(d, row), most + 1);
        }
    }
    return SPOOR_OK;
}

/* A list of columns is by name unless all of it is digits, commas and dashes. */
static bool by_name(const score_columns *c, const char *id) {
    const char *const all[] = {id, c->score, c->label, c->predicted, c->page, c->setting, c->source};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i] != NULL && !score_column_is_number(all[i])) {
            return true;
        }
    }
    return c->probabilities != NULL && c->probabilities[strspn(c->probabilities, "0123456789,-")] != '\0';
}

/* What the options must name before anything is read. */
static spoor_status check_options(const score_columns *c, const char *path, spoor_error *err) {
    const bool labelled = (c->key.path != NULL ? c->key.label : c->label) != NULL;
    const bool target =
        c->target_label != NULL || (c->known && c->classes != NULL) || (c->known && c->probabilities != NULL);
    if (c->predicted != NULL && c->probabilities != NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "name predicted labels or columns of class scores in %s, not both",
                         path);
    }
    if (c->key.path != NULL && (c->label != NULL || c->page != NULL || c->setting != NULL || c->source != NULL)) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "label, page, setting and source are columns of %s or of the key, not of both", path);
    }
    if (!labelled || !((c->score != NULL && target) || c->predicted != NULL || c->probabilities != NULL)) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "name the columns of %s: score, label and the target's label, or predicted and "
                         "label, or class scores and label",
                         path);
    }
    return SPOOR_OK;
}

static spoor_status choose_all(reader *r, spoor_error *err) {
    const score_columns *c = r->c;
    const char *id = c->id == NULL && c->key.path != NULL ? "1" : c->id;
    const bool scored = c->target_label != NULL || c->known;
    r->labels.header = c->header < 0 ? by_name(c, id) : c->header > 0;
    const char *const names[] = {id, scored ? c->score : NULL, c->label, c->predicted, c->page, c->setting, c->source};
    size_t *const places[] = {&r->labels.id,   &r->score,          &r->labels.label, &r->predicted,
                              &r->labels.page, &r->labels.setting, &r->labels.source};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        TRY(score_column_find(&r->f->table, r->path, r->labels.header, names[i], places[i], &r->labels.most, err));
    }
    return score_classes_named(r->f, r->path, c, r->labels.header, &r->classes, &r->labels.most, err);
}

/* ---- classes ------------------------------------------------------------------------------------------ */

static const char *cell(const delimited *d, size_t row, size_t column) {
    return column == SIZE_MAX ? "" : delimited_cell(d, row, column);
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void collect(const delimited *d, size_t from, size_t column, const char **names, size_t *n) {
    for (size_t row = from; column != SIZE_MAX && row < d->rows; row++) {
        const char *text = delimited_cell(d, row, column);
        if (text[0] != '\0') {
            names[(*n)++] = text;
        }
    }
}

/* The classes of decisions: all names that occur as label or prediction. */
static spoor_status list_classes(reader *r, spoor_error *err) {
    score_file *f = r->f;
    size_t n = 0, kept = 0, most = 2 * (f->table.rows - r->from) + f->key.rows;
    f->names = ctx_alloc(f->ctx, most, sizeof *f->names);
    f->tasks = ctx_calloc(f->ctx, 1, sizeof *f->tasks);
    if (f->names == NULL || f->tasks == NULL) {
        return error_memory(err, "reading scores");
    }
    collect(&f->table, r->from, r->labels.label, f->names, &n);
    collect(&f->table, r->from, r->predicted, f->names, &n);
    if (r->c->key.path != NULL) {
        collect(&f->key, f->key_columns.header && f->key.rows > 0 ? 1 : 0, f->key_columns.label, f->names, &n);
    }
    qsort(f->names, n, sizeof *f->names, by_text);
    for (size_t k = 0; k < n; k++) {
        if (kept == 0 || strcmp(f->names[kept - 1], f->names[k]) != 0) {
            f->names[kept++] = f->names[k];
        }
    }
    r->sorted = true;
    f->tasks[0] = (eval_task){"source", kept, f->names};
    f->set.tasks = f->tasks;
    f->set.task_count = 1;
    return SPOOR_OK;
}

static int32_t class_of(const reader *r, const char *name) {
    const score_file *f = r->f;
    size_t classes = f->set.task_count > 0 ? f->tasks[0].classes : 0;
    if (name[0] == '\0') {
        return -1;
    }
    if (r->sorted) {
        const char **found = bsearch(&name, f->names, classes, sizeof *f->names, by_text);
        return found == NULL ? -1 : (int32_t)(found - f->names);
    }
    for (size_t k = 0; k < classes; k++) {
        if (strcmp(f->names[k], name) == 0) {
            return (int32_t)k;
        }
    }
    return -1;
}

/* ---- lines -------------------------------------------------------------------------------------------- */

/* "FILE, line N: the WHAT "TEXT" REST" */
static spoor_status bad_line(const reader *r, size_t row, const char *what, const char *text, const char *rest,
                             spoor_error *err) {
    return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: the %s \"%.60s\" %s", r->path, r->f->table.line[row], what,
                     text, rest);
}

static bool is_target(const score_columns *c, const char *label, int32_t truth) {
    if (c->target_label == NULL) {
        return truth >= 0; /* known: a class */
    }
    bool target = strcmp(label, c->target_label) == 0;
    for (size_t k = 0; k < c->n_more_targets; k++) {
        target |= strcmp(label, c->more_targets[k]) == 0;
    }
    return target;
}

/* What is true of the clip: from row `row` of `table`, in the columns `at`. */
static void take_labels(reader *r, const delimited *table, const label_columns *at, size_t row, eval_clip *clip) {
    score_file *f = r->f;
    const char *label = cell(table, row, at->label);
    int32_t truth = -1;
    clip->page = cell(table, row, at->page);
    clip->setting = cell(table, row, at->setting);
    clip->source = at->source != SIZE_MAX                       ? cell(table, row, at->source)
                   : r->c->known || r->classes || r->c->classes ? label
                                                                : "";
    if (f->set.task_count > 0) {
        truth = class_of(r, label);
        f->truth[clip - f->clips] = truth;
    }
    if (r->c->target_label != NULL || r->c->known) {
        int flag = label[0] == '\0' ? -1 : is_target(r->c, label, truth);
        r->target_seen |= flag == 1;
        *(r->c->known ? &clip->is_known : &clip->is_bonafide) = flag;
    }
}

static spoor_status take_number(const reader *r, size_t row, size_t column, double *out, spoor_error *err) {
    const char *text = delimited_cell(&r->f->table, row, column);
    if (!score_number(text, out) || isinf(*out)) {
        return bad_line(r, row, "score", text, "is no finite number", err);
    }
    return SPOOR_OK;
}

static spoor_status take_decision(reader *r, size_t row, eval_clip *clip, spoor_error *err) {
    size_t classes = r->f->tasks[0].classes;
    const char *predicted = cell(&r->f->table, row, r->predicted);
    float *scores = r->f->scores + (size_t)(clip - r->f->clips) * classes;
    int32_t said = class_of(r, predicted);
    if (said < 0 && predicted[0] != '\0') {
        return bad_line(r, row, "predicted label", predicted, "is none of the classes", err);
    }
    clip->scores = said >= 0 ? scores : NULL;
    for (size_t k = 0; said >= 0 && k < classes; k++) {
        scores[k] = k == (size_t)said;
    }
    return SPOOR_OK;
}

static spoor_status take_scores(reader *r, size_t row, eval_clip *clip, double *greatest, spoor_error *err) {
    size_t classes = r->f->tasks[0].classes;
    float *scores = r->f->scores + (size_t)(clip - r->f->clips) * classes;
    double sum = 0;
    *greatest = -INFINITY;
    for (size_t k = 0; k < classes; k++) {
        double v;
        TRY(take_number(r, row, r->classes[k], &v, err));
        r->no_distribution |= v < 0 || v > 1;
        scores[k] = (float)v;
        sum += v;
        *greatest = v > *greatest ? v : *greatest;
    }
    r->no_distribution |= !(fabs(sum - 1) <= 1e-3);
    clip->scores = scores;
    return SPOOR_OK;
}

static spoor_status read_line(reader *r, size_t row, eval_clip *clip, spoor_error *err) {
    score_file *f = r->f;
    double greatest = NAN, score = NAN;
    clip->id = cell(&f->table, row, r->labels.id);
    if (r->c->key.path != NULL) {
        size_t entry = score_key_find(f, clip->id);
        if (entry == SIZE_MAX) {
            return bad_line(r, row, "id", clip->id, "is not in the key; ids must be equal in both files", err);
        }
        take_labels(r, &f->key, &f->key_columns, entry, clip);
    } else {
        take_labels(r, &f->table, &r->labels, row, clip);
    }
    if (r->predicted != SIZE_MAX) {
        TRY(take_decision(r, row, clip, err));
    } else if (r->classes != NULL) {
        TRY(take_scores(r, row, clip, &greatest, err));
    } else {
        clip->scores = NULL; /* the classes were named for the labels alone */
    }
    if (r->score != SIZE_MAX) {
        TRY(take_number(r, row, r->score, &score, err));
    } else if (r->c->known) {
        score = greatest;
    }
    *(r->c->known ? &clip->known : &clip->bonafide) = r->c->lower_is_target ? -score : score;
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

/* Entries of the key that no line asked for are recordings that were not evaluated: n of them from clip `at` on. */
static void add_unscored(reader *r, size_t at) {
    score_file *f = r->f;
    for (size_t k = 0; k < f->key_n; k++) {
        if (!f->key_used[k]) {
            eval_clip *clip = &f->clips[at++];
            clip->id = cell(&f->key, f->key_order[k], f->key_columns.id);
            clip->scores = NULL;
            take_labels(r, &f->key, &f->key_columns, f->key_order[k], clip);
        }
    }
    f->set.n = at;
}

static spoor_status read_lines(reader *r, spoor_error *err) {
    score_file *f = r->f;
    size_t n = f->table.rows - r->from, width = f->set.task_count > 0 ? f->tasks[0].classes : 0;
    if (!score_file_allocate(f, n + f->key_n, f->set.task_count, width)) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s: no memory for %zu lines of %zu classes", r->path, n, width);
    }
    for (size_t i = 0; i < n; i++) {
        TRY(read_line(r, r->from + i, &f->clips[i], err));
    }
    add_unscored(r, n);
    if (n > 0 && !r->target_seen && r->c->target_label != NULL) {
        const label_columns *at = r->c->key.path != NULL ? &f->key_columns : &r->labels;
        return error_set(err, SPOOR_ERR_INPUT, "%s: no line has the target's label \"%.60s\"; the first has \"%.60s\"",
                         r->path, r->c->target_label,
                         at == &r->labels ? cell(&f->table, r->from, at->label)
                                          : cell(&f->key, f->key_order[0], at->label));
    }
    f->set.decisions = r->predicted != SIZE_MAX;
    f->set.probabilities = r->classes != NULL && !r->no_distribution;
    return r->labels.id == SIZE_MAX ? number_clips(f, r->from, err) : SPOOR_OK;
}

static spoor_status read_file(reader *r, spoor_error *err) {
    score_file *f = r->f;
    TRY(check_options(r->c, r->path, err));
    TRY(delimited_read(f->ctx, r->path, r->c->separator, &f->table, err));
    TRY(choose_all(r, err));
    r->from = r->labels.header && f->table.rows > 0 ? 1 : 0;
    TRY(score_check_fields(&f->table, r->path, r->from, r->labels.most, err));
    if (r->c->key.path != NULL) {
        TRY(score_key_read(f, &r->c->key, err));
    }
    if (r->predicted != SIZE_MAX && r->c->classes == NULL) {
        TRY(list_classes(r, err));
    }
    plain_numbers plain = {0};
    TRY(plain_numbers_begin(&plain, err));
    spoor_status status = read_lines(r, err);
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
    reader r = {.f = f, .path = path, .c = columns};
    spoor_status status = read_file(&r, err);
    ctx_free(ctx, r.classes);
    if (status != SPOOR_OK) {
        score_file_free(f);
        return status;
    }
    *out = f;
    return SPOOR_OK;
}
