/* scores.c: our own score files, out and in; see scores.h. */
#define _GNU_SOURCE /* newlocale, uselocale */
#include "base/checked.h"
#include "base/io.h"
#include "eval/scores_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SCORES ((size_t)1 << 28) /* numbers in one file */

static const char title[] = "# spoor scores 1";
static const char threshold_key[] = " known_threshold=";
static const char *const fixed_names[] = {"id",          "split",    "page",     "setting", "source",
                                          "is_bonafide", "bonafide", "is_known", "known"};
enum { ID, SPLIT, PAGE, SETTING, SOURCE, IS_BONAFIDE, BONAFIDE, IS_KNOWN, KNOWN, FIXED };

const eval_set *score_file_set(const score_file *f) { return &f->set; }

void score_file_free(score_file *f) {
    if (f != NULL) {
        spoor_context *ctx = f->ctx;
        delimited_clear(&f->table);
        delimited_clear(&f->key);
        ctx_free(ctx, f->key_order);
        ctx_free(ctx, f->key_used);
        ctx_free(ctx, f->spec);
        ctx_free(ctx, f->tasks);
        ctx_free(ctx, f->names);
        ctx_free(ctx, f->clips);
        ctx_free(ctx, f->truth);
        ctx_free(ctx, f->scores);
        ctx_free(ctx, f->numbers);
        ctx_free(ctx, f);
    }
}

spoor_status plain_numbers_begin(plain_numbers *p, spoor_error *err) {
    p->plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (p->plain == (locale_t)0) {
        return error_memory(err, "preparing to read numbers");
    }
    p->before = uselocale(p->plain);
    return SPOOR_OK;
}

void plain_numbers_end(plain_numbers *p) {
    (void)uselocale(p->before);
    freelocale(p->plain);
}

bool score_number(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && !isnan(*out);
}

bool score_file_allocate(score_file *f, size_t n, size_t tasks, size_t width) {
    size_t labels, scores;
    if (!checked_mul(n, tasks, &labels) || !checked_mul(n, width, &scores) || labels > MAX_SCORES ||
        scores > MAX_SCORES) {
        return false;
    }
    f->clips = ctx_calloc(f->ctx, n, sizeof *f->clips);
    f->truth = ctx_alloc(f->ctx, labels, sizeof *f->truth);
    f->scores = ctx_alloc(f->ctx, scores, sizeof *f->scores);
    if (f->clips == NULL || f->truth == NULL || f->scores == NULL) {
        return false;
    }
    for (size_t i = 0; i < labels; i++) {
        f->truth[i] = -1;
    }
    for (size_t i = 0; i < scores; i++) {
        f->scores[i] = NAN;
    }
    for (size_t i = 0; i < n; i++) {
        f->clips[i] = (eval_clip){.id = "", .split = "", .page = "", .setting = "", .source = "",
                                  .truth = f->truth + i * tasks, .scores = width > 0 ? f->scores + i * width : NULL,
                                  .bonafide = NAN, .known = NAN, .is_bonafide = -1, .is_known = -1};
    }
    f->set.clips = f->clips;
    f->set.n = n;
    return true;
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static spoor_status put_text(io_writer *w, const char *s, spoor_error *err) {
    return io_writer_put(w, s, strlen(s), err);
}

/* A cell after a tab (first: without), quoted where needed. */
static spoor_status put_cell(io_writer *w, bool first, const char *s, spoor_error *err) {
    if (!first) {
        TRY(put_text(w, "\t", err));
    }
    if (strpbrk(s, "\t\"\r\n") == NULL && s[0] != '#') {
        return put_text(w, s, err);
    }
    TRY(put_text(w, "\"", err));
    for (const char *quote; (quote = strchr(s, '"')) != NULL; s = quote + 1) {
        TRY(io_writer_put(w, s, (size_t)(quote - s), err));
        TRY(put_text(w, "\"\"", err));
    }
    TRY(put_text(w, s, err));
    return put_text(w, "\"", err);
}

static spoor_status put_number(io_writer *w, double v, int digits, spoor_error *err) {
    char text[64] = "";
    if (!isnan(v)) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
    }
    return put_cell(w, false, text, err);
}

static spoor_status put_flag(io_writer *w, int flag, spoor_error *err) {
    return put_cell(w, false, flag < 0 ? "" : flag > 0 ? "1" : "0", err);
}

static spoor_status put_header(spoor_context *ctx, io_writer *w, const eval_set *set, spoor_error *err) {
    char line[128], threshold[48] = "";
    if (set->has_threshold) {
        (void)snprintf(threshold, sizeof threshold, "%s%.17g", threshold_key, set->known_threshold);
    }
    (void)snprintf(line, sizeof line, "%s probabilities=%d decisions=%d llr=%d%s\n", title, set->probabilities,
                   set->decisions, set->bonafide_is_llr, threshold);
    TRY(put_text(w, line, err));
    for (size_t k = 0; k < FIXED; k++) {
        TRY(put_cell(w, k == 0, fixed_names[k], err));
    }
    for (size_t t = 0; t < set->task_count; t++) {
        const eval_task *task = &set->tasks[t];
        if (strchr(task->name, '/') != NULL) {
            return error_set(err, SPOOR_ERR_USAGE, "the task name %s has a slash and cannot head a column", task->name);
        }
        for (size_t k = 0; k <= task->classes; k++) {
            char *name = k == 0 ? ctx_printf(ctx, "true/%s", task->name)
                                : ctx_printf(ctx, "score/%s/%s", task->name, task->names[k - 1]);
            if (name == NULL) {
                return error_memory(err, "writing scores");
            }
            spoor_status status = put_cell(w, false, name, err);
            ctx_free(ctx, name);
            TRY(status);
        }
    }
    return put_text(w, "\n", err);
}

static spoor_status put_clip(io_writer *w, const eval_set *set, const eval_clip *c, spoor_error *err) {
    TRY(put_cell(w, true, c->id, err));
    TRY(put_cell(w, false, c->split, err));
    TRY(put_cell(w, false, c->page, err));
    TRY(put_cell(w, false, c->setting, err));
    TRY(put_cell(w, false, c->source, err));
    TRY(put_flag(w, c->is_bonafide, err));
    TRY(put_number(w, c->bonafide, 17, err));
    TRY(put_flag(w, c->is_known, err));
    TRY(put_number(w, c->known, 17, err));
    const float *scores = c->scores;
    for (size_t t = 0; t < set->task_count; t++) {
        const eval_task *task = &set->tasks[t];
        int32_t truth = c->truth[t];
        TRY(put_cell(w, false, truth >= 0 && (size_t)truth < task->classes ? task->names[truth] : "", err));
        bool none = scores == NULL || (task->classes > 0 && isnan(scores[0]));
        for (size_t k = 0; k < task->classes; k++) {
            TRY(put_number(w, none ? NAN : (double)scores[k], 9, err));
        }
        scores = scores == NULL ? NULL : scores + task->classes;
    }
    return put_text(w, "\n", err);
}

static spoor_status put_all(spoor_context *ctx, io_writer *w, const eval_set *set, spoor_error *err) {
    plain_numbers plain = {0};
    TRY(plain_numbers_begin(&plain, err));
    spoor_status status = put_header(ctx, w, set, err);
    for (size_t i = 0; status == SPOOR_OK && i < set->n; i++) {
        status = put_clip(w, set, &set->clips[i], err);
    }
    plain_numbers_end(&plain);
    return status;
}

spoor_status score_file_write(spoor_context *ctx, const char *path, const eval_set *set, spoor_error *err) {
    io_writer *w;
    TRY(io_writer_open(ctx, path, &w, err));
    spoor_status status = put_all(ctx, w, set, err);
    if (status != SPOOR_OK) {
        (void)io_writer_close(w, false, NULL);
        return status;
    }
    return io_writer_close(w, true, err);
}

/* ---- reading ------------------------------------------------------------------------------------------ */

/* Where a reader finds things; SIZE_MAX = the file has no such column. */
typedef struct layout {
    size_t fixed[FIXED];
    size_t truth[DELIMITED_MAX_COLUMNS], first[DELIMITED_MAX_COLUMNS]; /* of each task */
    size_t width;
} layout;

static bool same_task(const char *name, const eval_task *task, size_t n) {
    return strlen(task->name) == n && memcmp(task->name, name, n) == 0;
}

static spoor_status bad_header(const char *path, const char *column, const char *why, spoor_error *err) {
    return error_set(err, SPOOR_ERR_INPUT, "%s: the column \"%.80s\" of the header %s", path, column, why);
}

/* score/TASK/CLASS. The task's columns stand together; the name of the class is all after the second slash. */
static spoor_status score_column(score_file *f, layout *l, const char *path, const char *column, size_t index,
                                 spoor_error *err) {
    const char *task = column + strlen("score/"), *slash = strchr(task, '/');
    if (slash == NULL || slash == task || slash[1] == '\0') {
        return bad_header(path, column, "is not of the form score/TASK/CLASS", err);
    }
    size_t n = (size_t)(slash - task), t = 0;
    while (t < f->set.task_count && !same_task(task, &f->tasks[t], n)) {
        t++;
    }
    if (t == f->set.task_count) {
        return bad_header(path, column, "is of a task without a column true/TASK before it", err);
    }
    eval_task *mine = &f->tasks[t];
    if (mine->classes == 0) {
        l->first[t] = index;
        mine->names = f->names + l->width;
    } else if (l->first[t] + mine->classes != index) {
        return bad_header(path, column, "does not stand beside the others of its task", err);
    }
    for (size_t k = 0; k < mine->classes; k++) {
        if (strcmp(mine->names[k], slash + 1) == 0) {
            return bad_header(path, column, "stands there twice", err);
        }
    }
    f->names[l->width++] = slash + 1;
    mine->classes++;
    return SPOOR_OK;
}

static spoor_status truth_column(score_file *f, layout *l, const char *path, const char *column, size_t index,
                                 spoor_error *err) {
    const char *task = column + strlen("true/");
    if (*task == '\0' || strchr(task, '/') != NULL) {
        return bad_header(path, column, "is not of the form true/TASK", err);
    }
    for (size_t t = 0; t < f->set.task_count; t++) {
        if (strcmp(f->tasks[t].name, task) == 0) {
            return bad_header(path, column, "stands there twice", err);
        }
    }
    l->truth[f->set.task_count] = index;
    f->tasks[f->set.task_count++] = (eval_task){.name = task};
    return SPOOR_OK;
}

static spoor_status fixed_column(layout *l, const char *path, const char *column, size_t index, spoor_error *err) {
    for (size_t k = 0; k < FIXED; k++) {
        if (strcmp(column, fixed_names[k]) == 0) {
            if (l->fixed[k] != SIZE_MAX) {
                return bad_header(path, column, "stands there twice", err);
            }
            l->fixed[k] = index;
            return SPOOR_OK;
        }
    }
    return bad_header(path, column, "is none of a Spoor score file; for another system's file name its columns", err);
}

static spoor_status read_header(score_file *f, layout *l, const char *path, spoor_error *err) {
    size_t columns = f->table.rows > 0 ? delimited_fields(&f->table, 0) : 0;
    f->tasks = ctx_calloc(f->ctx, columns, sizeof *f->tasks);
    f->names = ctx_alloc(f->ctx, columns, sizeof *f->names);
    if (f->tasks == NULL || f->names == NULL) {
        return error_memory(err, "reading scores");
    }
    for (size_t k = 0; k < FIXED; k++) {
        l->fixed[k] = SIZE_MAX;
    }
    l->width = 0;
    for (size_t k = 0; k < columns; k++) {
        const char *column = delimited_cell(&f->table, 0, k);
        if (strncmp(column, "true/", 5) == 0) {
            TRY(truth_column(f, l, path, column, k, err));
        } else if (strncmp(column, "score/", 6) == 0) {
            TRY(score_column(f, l, path, column, k, err));
        } else {
            TRY(fixed_column(l, path, column, k, err));
        }
    }
    if (l->fixed[ID] == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_INPUT, "%s has no header with a column \"id\"; for another system's file name "
                                               "its columns",
                         path);
    }
    for (size_t t = 0; t < f->set.task_count; t++) {
        if (f->tasks[t].classes == 0) {
            return error_set(err, SPOOR_ERR_INPUT, "%s: the task %s has no column score/%s/CLASS", path,
                             f->tasks[t].name, f->tasks[t].name);
        }
    }
    f->set.tasks = f->tasks;
    return SPOOR_OK;
}

/* A line being read, for its sentences. */
typedef struct line {
    const score_file *f;
    const layout *l;
    const char *path;
    size_t row;
} line;

static spoor_status bad_cell(const line *at, size_t column, const char *what, spoor_error *err) {
    return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu, column %s: \"%.60s\" is not %s", at->path,
                     at->f->table.line[at->row], delimited_cell(&at->f->table, 0, column),
                     delimited_cell(&at->f->table, at->row, column), what);
}

static const char *text_of(const line *at, size_t fixed) {
    size_t column = at->l->fixed[fixed];
    return column == SIZE_MAX ? "" : delimited_cell(&at->f->table, at->row, column);
}

static spoor_status number_of(const line *at, size_t column, double *out, spoor_error *err) {
    *out = NAN;
    if (column == SIZE_MAX || delimited_cell(&at->f->table, at->row, column)[0] == '\0') {
        return SPOOR_OK;
    }
    return score_number(delimited_cell(&at->f->table, at->row, column), out) ? SPOOR_OK
                                                                             : bad_cell(at, column, "a number", err);
}

static spoor_status flag_of(const line *at, size_t fixed, int *out, spoor_error *err) {
    const char *s = text_of(at, fixed);
    if (s[0] != '\0' && strcmp(s, "0") != 0 && strcmp(s, "1") != 0) {
        return bad_cell(at, at->l->fixed[fixed], "0, 1 or empty", err);
    }
    *out = s[0] == '\0' ? -1 : s[0] - '0';
    return SPOOR_OK;
}

/* Scores of one task: all of its cells are numbers, or all are empty. */
static spoor_status task_scores(const line *at, size_t t, float *scores, bool *any, spoor_error *err) {
    const eval_task *task = &at->f->tasks[t];
    size_t given = 0;
    for (size_t k = 0; k < task->classes; k++) {
        double v = NAN;
        TRY(number_of(at, at->l->first[t] + k, &v, err));
        scores[k] = (float)v;
        given += isnan(v) ? 0 : 1;
    }
    if (given != 0 && given != task->classes) {
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: only %zu of the %zu scores of task %s are there",
                         at->path, at->f->table.line[at->row], given, task->classes, task->name);
    }
    *any |= given != 0;
    return SPOOR_OK;
}

static int32_t class_of(const eval_task *task, const char *name) {
    for (size_t k = 0; k < task->classes; k++) {
        if (strcmp(task->names[k], name) == 0) {
            return (int32_t)k;
        }
    }
    return -1;
}

static spoor_status read_line(score_file *f, const line *at, eval_clip *c, spoor_error *err) {
    size_t fields = delimited_fields(&f->table, at->row), columns = delimited_fields(&f->table, 0);
    if (fields != columns) {
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: %zu fields, but the header has %zu", at->path,
                         f->table.line[at->row], fields, columns);
    }
    c->id = text_of(at, ID);
    c->split = text_of(at, SPLIT);
    c->page = text_of(at, PAGE);
    c->setting = text_of(at, SETTING);
    c->source = text_of(at, SOURCE);
    TRY(flag_of(at, IS_BONAFIDE, &c->is_bonafide, err));
    TRY(flag_of(at, IS_KNOWN, &c->is_known, err));
    TRY(number_of(at, at->l->fixed[BONAFIDE], &c->bonafide, err));
    TRY(number_of(at, at->l->fixed[KNOWN], &c->known, err));
    size_t i = (size_t)(c - f->clips);
    float *scores = f->scores + i * at->l->width;
    bool any = false;
    for (size_t t = 0, offset = 0; t < f->set.task_count; offset += f->tasks[t++].classes) {
        const char *truth = delimited_cell(&f->table, at->row, at->l->truth[t]);
        f->truth[i * f->set.task_count + t] = truth[0] == '\0' ? -1 : class_of(&f->tasks[t], truth);
        TRY(task_scores(at, t, scores + offset, &any, err));
    }
    c->scores = any ? scores : NULL;
    return SPOOR_OK;
}

static spoor_status read_lines(score_file *f, const layout *l, const char *path, spoor_error *err) {
    size_t n = f->table.rows - 1;
    if (!score_file_allocate(f, n, f->set.task_count, l->width)) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s: no memory for the scores of %zu lines", path, n);
    }
    plain_numbers plain = {0};
    TRY(plain_numbers_begin(&plain, err));
    spoor_status status = SPOOR_OK;
    for (size_t i = 0; status == SPOOR_OK && i < n; i++) {
        line at = {f, l, path, i + 1};
        status = read_line(f, &at, &f->clips[i], err);
    }
    plain_numbers_end(&plain);
    return status;
}

/* What the first line says of the scores; what it does not say is not so. */
static spoor_status read_claims(eval_set *set, const char *comment, spoor_error *err) {
    if (strncmp(comment, title, strlen(title)) != 0) {
        return SPOOR_OK;
    }
    set->probabilities = strstr(comment, " probabilities=1") != NULL;
    set->decisions = strstr(comment, " decisions=1") != NULL;
    set->bonafide_is_llr = strstr(comment, " llr=1") != NULL;
    const char *threshold = strstr(comment, threshold_key);
    plain_numbers plain = {0};
    TRY(plain_numbers_begin(&plain, err));
    set->has_threshold = threshold != NULL && score_number(threshold + strlen(threshold_key), &set->known_threshold) &&
                         isfinite(set->known_threshold);
    plain_numbers_end(&plain);
    return SPOOR_OK;
}

spoor_status score_file_read(spoor_context *ctx, const char *path, score_file **out, spoor_error *err) {
    *out = NULL;
    score_file *f = ctx_calloc(ctx, 1, sizeof *f);
    layout *l = ctx_calloc(ctx, 1, sizeof *l);
    spoor_status status = f == NULL || l == NULL ? error_memory(err, "reading scores") : SPOOR_OK;
    if (status == SPOOR_OK) {
        f->ctx = ctx;
        status = delimited_read(ctx, path, 0, &f->table, err);
    }
    if (status == SPOOR_OK) {
        status = read_claims(&f->set, f->table.comment, err);
    }
    if (status == SPOOR_OK) {
        status = read_header(f, l, path, err);
    }
    if (status == SPOOR_OK) {
        status = read_lines(f, l, path, err);
    }
    ctx_free(ctx, l);
    if (status != SPOOR_OK) {
        if (f != NULL && f->ctx != NULL) {
            score_file_free(f);
        } else {
            ctx_free(ctx, f);
        }
        return status;
    }
    *out = f;
    return SPOOR_OK;
}
