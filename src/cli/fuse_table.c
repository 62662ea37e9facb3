/* fuse_table.c: see fuse_table.h. */
#include "cli/fuse_table.h"
#include "base/io.h"
#include "eval/npy.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_P 1e-12 /* below which a probability counts as this in its logarithm */

void fuse_table_clear(fuse_table *t) {
    for (size_t f = 0; f < FUSE_MAX_MODELS; f++) {
        score_file_free(t->file[f]);
        ctx_free(t->ctx, t->row[f]);
        ctx_free(t->ctx, t->bonafide[f]);
    }
    for (size_t k = 0; k < t->n_tasks; k++) {
        ctx_free(t->ctx, t->task[k].names);
    }
    for (size_t k = 0; k <= NET_MAX_TASKS; k++) {
        ctx_free(t->ctx, t->truth[k]);
    }
    ctx_free(t->ctx, t->clip);
    ctx_free(t->ctx, t->split);
    ctx_free(t->ctx, t->usable);
    ctx_free(t->ctx, t->x);
}

/* ---- rows by id ---- */

typedef struct place {
    const char *id;
    size_t row;
} place;

static int by_id(const void *a, const void *b) { return strcmp(((const place *)a)->id, ((const place *)b)->id); }

/* The rows in the order of their ids, *out freed with ctx_free. */
static spoor_status index_ids(spoor_context *ctx, const char *path, const char *const *ids, size_t n, place **out,
                              spoor_error *err) {
    place *p = ctx_alloc(ctx, n, sizeof *p);
    if (p == NULL) {
        return error_memory(err, "matching recordings");
    }
    for (size_t i = 0; i < n; i++) {
        p[i] = (place){ids[i], i};
    }
    qsort(p, n, sizeof *p, by_id);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(p[i].id, p[i - 1].id) == 0) {
            spoor_status status =
                error_set(err, SPOOR_ERR_INPUT, "%.200s has the recording %.200s twice", path, p[i].id);
            ctx_free(ctx, p);
            return status;
        }
    }
    *out = p;
    return SPOOR_OK;
}

/* row[n]: the place of each wanted id among the ids of a file, which must be the same set. */
static spoor_status match(spoor_context *ctx, const char *path, const char *const *ids, size_t n_ids, const char *first,
                          const char *const *wanted, size_t n, size_t *row, spoor_error *err) {
    place *p = NULL;
    TRY(index_ids(ctx, path, ids, n_ids, &p, err));
    const char *missing = NULL;
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const place *at = bsearch(&(place){wanted[i], 0}, p, n_ids, sizeof *p, by_id);
        row[i] = at == NULL ? 0 : at->row;
        found += at != NULL;
        missing = at == NULL && missing == NULL ? wanted[i] : missing;
    }
    ctx_free(ctx, p);
    if (missing != NULL) {
        return error_set(err, SPOOR_ERR_INPUT, "%.150s lacks %zu of the %zu recordings of %.150s, the first is %.150s",
                         path, n - found, n, first, missing);
    }
    if (n_ids != n) {
        return error_set(err, SPOOR_ERR_INPUT, "%.150s has %zu recordings that %.150s lacks", path, n_ids - n, first);
    }
    return SPOOR_OK;
}

/* The ids of a score file; freed with ctx_free. */
static spoor_status list_ids(spoor_context *ctx, const eval_set *set, const char ***out, spoor_error *err) {
    *out = ctx_alloc(ctx, set->n, sizeof **out);
    if (*out == NULL) {
        return error_memory(err, "matching recordings");
    }
    for (size_t i = 0; i < set->n; i++) {
        (*out)[i] = set->clips[i].id;
    }
    return SPOOR_OK;
}

static const eval_clip *clip_of(const fuse_table *t, size_t file, size_t i) {
    return &score_file_set(t->file[file])->clips[t->row[file][i]];
}

static spoor_status match_files(fuse_table *t, const fuse_table_options *o, spoor_error *err) {
    const char **first = NULL;
    TRY(list_ids(t->ctx, score_file_set(t->file[0]), &first, err));
    spoor_status status = SPOOR_OK;
    for (size_t f = 0; f < t->n_files && status == SPOOR_OK; f++) {
        const char **ids = NULL;
        t->row[f] = ctx_alloc(t->ctx, t->n, sizeof **t->row);
        status = t->row[f] == NULL ? error_memory(err, "matching recordings")
                                   : list_ids(t->ctx, score_file_set(t->file[f]), &ids, err);
        if (status == SPOOR_OK) {
            status = match(t->ctx, o->scores[f], ids, score_file_set(t->file[f])->n, o->scores[0], first, t->n,
                           t->row[f], err);
        }
        ctx_free(t->ctx, ids);
    }
    ctx_free(t->ctx, first);
    return status;
}

/* ---- tasks ---- */

static size_t find_task(const fuse_table *t, const char *name) {
    size_t k = 0;
    while (k < t->n_tasks && strcmp(t->task[k].name, name) != 0) {
        k++;
    }
    return k;
}

static size_t find_class(const fuse_table_task *task, const char *name) {
    size_t c = 0;
    while (c < task->classes && strcmp(task->names[c], name) != 0) {
        c++;
    }
    return c;
}

static spoor_status add_classes(fuse_table *t, fuse_table_task *task, const eval_task *from, spoor_error *err) {
    for (size_t c = 0; c < from->classes; c++) {
        if (find_class(task, from->names[c]) < task->classes) {
            continue;
        }
        if (!ctx_grow(t->ctx, (void **)&task->names, &task->capacity, task->classes + 1, sizeof *task->names)) {
            return error_memory(err, "fusing score files");
        }
        task->names[task->classes++] = from->names[c];
    }
    return SPOOR_OK;
}

static spoor_status find_tasks(fuse_table *t, const fuse_table_options *o, spoor_error *err) {
    for (size_t f = 0; f < t->n_files; f++) {
        const eval_set *set = score_file_set(t->file[f]);
        for (size_t i = 0; i < set->task_count; i++) {
            size_t k = find_task(t, set->tasks[i].name);
            if (k == NET_MAX_TASKS) {
                return error_set(err, SPOOR_ERR_INPUT, "%.200s: the files have more than %d tasks", o->scores[f],
                                 NET_MAX_TASKS);
            }
            fuse_table_task *task = &t->task[k];
            if (k == t->n_tasks) {
                t->n_tasks++;
                task->name = set->tasks[i].name;
            }
            task->in[f] = true;
            task->index[f] = i;
            TRY(add_classes(t, task, &set->tasks[i], err));
        }
    }
    for (size_t k = 0; k < t->n_tasks; k++) {
        t->width += t->task[k].classes;
        for (size_t f = 0; o->same_classes && f < t->n_files; f++) {
            const fuse_table_task *task = &t->task[k];
            if (task->in[f] && score_file_set(t->file[f])->tasks[task->index[f]].classes != task->classes) {
                return error_set(err, SPOOR_ERR_INPUT,
                                 "%.200s does not know all classes of the task %.64s that the others know, so that "
                                 "their scores cannot be averaged; use the logistic method",
                                 o->scores[f], task->name);
            }
        }
    }
    return SPOOR_OK;
}

/* ---- truths ---- */

static spoor_status read_truth(fuse_table *t, const fuse_table_options *o, size_t k, spoor_error *err) {
    const fuse_table_task *task = &t->task[k];
    for (size_t i = 0; i < t->n; i++) {
        t->truth[k][i] = -1;
        for (size_t f = 0; f < t->n_files; f++) {
            const eval_clip *c = clip_of(t, f, i);
            int32_t own = task->in[f] ? c->truth[task->index[f]] : -1;
            if (own < 0) {
                continue;
            }
            int32_t class = (int32_t)find_class(task, score_file_set(t->file[f])->tasks[task->index[f]].names[own]);
            if (t->truth[k][i] >= 0 && t->truth[k][i] != class) {
                return error_set(err, SPOOR_ERR_INPUT,
                                 "%.150s says that %.150s is %.80s (%.64s), another file says %.80s", o->scores[f],
                                 c->id, task->names[class], task->name, task->names[t->truth[k][i]]);
            }
            t->truth[k][i] = class;
        }
    }
    return SPOOR_OK;
}

static spoor_status read_truths(fuse_table *t, const fuse_table_options *o, spoor_error *err) {
    for (size_t k = 0; k <= t->n_tasks; k++) {
        t->truth[k] = ctx_alloc(t->ctx, t->n, sizeof **t->truth);
        if (t->truth[k] == NULL) {
            return error_memory(err, "fusing score files");
        }
        TRY(k < t->n_tasks ? read_truth(t, o, k, err) : SPOOR_OK);
    }
    for (size_t i = 0; i < t->n; i++) {
        int32_t *stated = &t->truth[t->n_tasks][i];
        t->clip[i] = clip_of(t, 0, i);
        t->split[i] = "";
        t->usable[i] = 1;
        *stated = -1;
        for (size_t f = 0; f < t->n_files; f++) {
            const eval_clip *c = clip_of(t, f, i);
            bool silent = c->scores == NULL && isnan(c->bonafide) && isnan(c->known);
            t->usable[i] = t->usable[i] && !silent;
            if (*c->split != '\0' && *t->split[i] != '\0' && strcmp(c->split, t->split[i]) != 0) {
                return error_set(err, SPOOR_ERR_INPUT,
                                 "%.150s says that %.150s is of the split %.60s, another file says %.60s", o->scores[f],
                                 c->id, c->split, t->split[i]);
            }
            t->split[i] = *t->split[i] == '\0' ? c->split : t->split[i];
            *stated = *stated < 0 ? c->is_bonafide : *stated;
        }
    }
    return SPOOR_OK;
}

/* Bona fide scores, where all files have them. */
static spoor_status read_bonafide(fuse_table *t, spoor_error *err) {
    size_t stated = 0;
    t->judges = true;
    for (size_t f = 0; f < t->n_files; f++) {
        t->bonafide[f] = ctx_alloc(t->ctx, t->n, sizeof **t->bonafide);
        if (t->bonafide[f] == NULL) {
            return error_memory(err, "fusing score files");
        }
        for (size_t i = 0; i < t->n; i++) {
            t->bonafide[f][i] = clip_of(t, f, i)->bonafide;
            t->judges = t->judges && (!t->usable[i] || isfinite(t->bonafide[f][i]));
            stated += t->truth[t->n_tasks][i] >= 0;
        }
    }
    t->judges = t->judges && stated > 0;
    return SPOOR_OK;
}

/* ---- numbers ---- */

/* A bona fide log-likelihood ratio as a probability at even odds (or its logarithm), like the other scores. */
static float squash(double llr, net_scores form) {
    double p = 1 / (1 + exp(-llr));
    return (float)(form == NET_SCORES_LOG_PROBABILITIES ? log(fmax(p, LEAST_P)) : p);
}

static float as_form(const eval_set *set, float v, net_scores form) {
    if (form != NET_SCORES_LOG_PROBABILITIES || !(set->probabilities || set->decisions)) {
        return v;
    }
    return (float)log(fmax((double)v, LEAST_P));
}

/* The columns of file f's scores from `at` on; returns where they end. In averages a class has the column of its new
 * number. */
static size_t fill_scores(fuse_table *t, const fuse_table_options *o, size_t f, size_t at, bool count) {
    const eval_set *set = score_file_set(t->file[f]);
    for (size_t k = 0; k < t->n_tasks; k++) {
        fuse_table_task *task = &t->task[k];
        if (!task->in[f]) {
            continue;
        }
        const eval_task *own = &set->tasks[task->index[f]];
        size_t first = eval_offset(set, task->index[f]);
        task->first[f] = at;
        for (size_t i = 0; !count && i < t->n; i++) {
            const eval_clip *c = clip_of(t, f, i);
            bool says = c->scores != NULL && isfinite(c->scores[first]);
            for (size_t n = 0; n < own->classes; n++) {
                size_t column = at + (o->same_classes ? find_class(task, own->names[n]) : n);
                float v = says ? c->scores[first + n] : NAN;
                t->x[i * t->d + column] = isfinite(v) ? as_form(set, v, o->form) : 0;
            }
        }
        at += own->classes;
    }
    for (size_t i = 0; !count && t->judges && i < t->n; i++) {
        t->x[i * t->d + at] = t->usable[i] ? squash(t->bonafide[f][i], o->form) : 0;
    }
    return at + t->judges;
}

/* The ids beside a matrix: *text holds the file, of which *ids are the lines. Both freed with ctx_free. */
static spoor_status read_ids(spoor_context *ctx, const char *npy, char **text, const char ***ids, size_t *n,
                             spoor_error *err) {
    size_t length = strlen(npy), stem = length > 4 && strcmp(npy + length - 4, ".npy") == 0 ? length - 4 : length, size,
           lines = 1;
    unsigned char *bytes = NULL;
    char *path = ctx_printf(ctx, "%.*s.ids.txt", (int)stem, npy);
    if (path == NULL) {
        return error_memory(err, "reading embeddings");
    }
    spoor_status status = io_read_file(ctx, path, (size_t)1 << 30, &bytes, &size, err);
    ctx_free(ctx, path);
    TRY(status);
    *text = ctx_strndup(ctx, (const char *)bytes, size); /* ends at a NUL, if there is one */
    ctx_free(ctx, bytes);
    for (const char *c = *text; c != NULL && *c != '\0'; c++) {
        lines += *c == '\n';
    }
    *ids = ctx_alloc(ctx, lines, sizeof **ids);
    if (*text == NULL || *ids == NULL) {
        return error_memory(err, "reading embeddings");
    }
    *n = 0;
    for (char *line = *text, *end; *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        end += *end == '\n' ? (*end = '\0', 1) : 0;
        (*ids)[(*n)++] = line;
    }
    return SPOOR_OK;
}

/* Unit rows of a matrix into columns [at, at + cols) of x. */
static void fill_embedding(fuse_table *t, const float *data, size_t cols, const size_t *row, size_t at) {
    for (size_t i = 0; i < t->n; i++) {
        const float *e = data + row[i] * cols;
        double length = 0;
        for (size_t c = 0; c < cols; c++) {
            length += (double)e[c] * (double)e[c];
        }
        length = fmax(sqrt(length), 1e-12);
        for (size_t c = 0; c < cols; c++) {
            double v = (double)e[c] / length;
            t->x[i * t->d + at + c] = isfinite(v) ? (float)v : 0;
        }
    }
}

typedef struct matrix {
    float *data;
    size_t rows, cols, *row;
} matrix;

static spoor_status read_matrix(fuse_table *t, const fuse_table_options *o, size_t f, matrix *m, spoor_error *err) {
    char *text = NULL;
    const char **ids = NULL, **wanted = NULL;
    size_t n = 0;
    TRY(npy_read_f32(t->ctx, o->embeddings[f], NPY_MAX_BYTES, &m->data, &m->rows, &m->cols, err));
    m->row = ctx_alloc(t->ctx, t->n, sizeof *m->row);
    spoor_status status = m->row == NULL ? error_memory(err, "reading embeddings")
                                         : read_ids(t->ctx, o->embeddings[f], &text, &ids, &n, err);
    if (status == SPOOR_OK && n != m->rows) {
        status = error_set(err, SPOOR_ERR_INPUT, "%.200s has %zu rows, but the file of its ids %zu lines",
                           o->embeddings[f], m->rows, n);
    }
    if (status == SPOOR_OK) {
        status = list_ids(t->ctx, score_file_set(t->file[0]), &wanted, err);
    }
    if (status == SPOOR_OK) {
        status = match(t->ctx, o->embeddings[f], ids, n, o->scores[0], wanted, t->n, m->row, err);
    }
    ctx_free(t->ctx, text);
    ctx_free(t->ctx, ids);
    ctx_free(t->ctx, wanted);
    return status;
}

static spoor_status fill(fuse_table *t, const fuse_table_options *o, matrix *m, spoor_error *err) {
    bool scores = o->form != NET_SCORES_NONE;
    size_t at = 0;
    for (size_t f = 0; f < o->n_embeddings; f++) {
        TRY(read_matrix(t, o, f, &m[f], err));
        t->d += m[f].cols;
    }
    size_t embeddings = t->d;
    for (size_t f = 0; scores && f < t->n_files; f++) {
        t->d = fill_scores(t, o, f, t->d, true);
    }
    if (t->d == 0) {
        return error_set(
            err, SPOOR_ERR_INPUT,
            "there is nothing to fuse: the files have no scores, or --method embedding has no --embeddings");
    }
    t->x = ctx_calloc(t->ctx, t->n, t->d * sizeof *t->x);
    if (t->x == NULL) {
        return error_memory(err, "fusing score files");
    }
    for (size_t f = 0; f < o->n_embeddings; at += m[f++].cols) {
        fill_embedding(t, m[f].data, m[f].cols, m[f].row, at);
    }
    for (size_t f = 0; scores && f < t->n_files; f++) {
        embeddings = fill_scores(t, o, f, embeddings, false);
    }
    return SPOOR_OK;
}

spoor_status fuse_table_read(fuse_table *t, const fuse_table_options *o, spoor_error *err) {
    matrix m[FUSE_MAX_MODELS] = {{0}};
    for (size_t f = 0; f < o->n; f++) {
        TRY(score_file_read(t->ctx, o->scores[f], &t->file[f], err));
        t->n_files = f + 1;
    }
    t->n = score_file_set(t->file[0])->n;
    t->clip = ctx_alloc(t->ctx, t->n, sizeof *t->clip);
    t->split = ctx_alloc(t->ctx, t->n, sizeof *t->split);
    t->usable = ctx_alloc(t->ctx, t->n, 1);
    if (t->clip == NULL || t->split == NULL || t->usable == NULL) {
        return error_memory(err, "fusing score files");
    }
    TRY(match_files(t, o, err));
    TRY(find_tasks(t, o, err));
    TRY(read_truths(t, o, err));
    TRY(read_bonafide(t, err));
    spoor_status status = fill(t, o, m, err);
    for (size_t f = 0; f < o->n_embeddings; f++) {
        ctx_free(t->ctx, m[f].data);
        ctx_free(t->ctx, m[f].row);
    }
    return status;
}

spoor_status fuse_table_scores(const fuse_table *t, fuse_scores *task, spoor_error *err) {
    for (size_t f = 0; f < t->n_files; f++) {
        const eval_set *set = score_file_set(t->file[f]);
        if (!set->probabilities && !set->decisions) {
            return error_set(err, SPOOR_ERR_INPUT,
                             "the scores of file %zu are no probabilities (its first line says what they are), so that "
                             "they cannot be averaged; use the logistic method",
                             f + 1);
        }
    }
    for (size_t k = 0; k < t->n_tasks; k++) {
        task[k] = (fuse_scores){.classes = t->task[k].classes};
        for (size_t f = 0; f < t->n_files; f++) {
            if (t->task[k].in[f]) {
                task[k].model[task[k].n_models] = f;
                task[k].first[task[k].n_models++] = t->task[k].first[f];
            }
        }
    }
    return SPOOR_OK;
}
