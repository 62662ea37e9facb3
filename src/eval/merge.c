/* merge.c: see merge.h. */
#include "eval/merge.h"
#include "base/checked.h"
#include "data/delimited.h"
#include <math.h>
#include <string.h>

struct eval_merged {
    spoor_context *ctx;
    eval_set set;
    eval_task *tasks;
    const char **names; /* class names, task after task */
    size_t *map;        /* of each old class, task after task: its new index in the task */
    eval_clip *clips;
    int32_t *truth;
    float *scores;
    bool *used;         /* of each pair */
};

struct eval_merge_file {
    spoor_context *ctx;
    delimited table;
    eval_merge_pair *pairs;
};

const eval_set *eval_merged_set(const eval_merged *m) { return &m->set; }

void eval_merged_free(eval_merged *m) {
    if (m != NULL) {
        spoor_context *ctx = m->ctx;
        ctx_free(ctx, m->tasks);
        ctx_free(ctx, m->names);
        ctx_free(ctx, m->map);
        ctx_free(ctx, m->clips);
        ctx_free(ctx, m->truth);
        ctx_free(ctx, m->scores);
        ctx_free(ctx, m->used);
        ctx_free(ctx, m);
    }
}

typedef struct merging {
    eval_merged *m;
    const eval_set *from;
    const eval_merge_pair *pairs;
    size_t n;
} merging;

/* The new name; *renamed says whether a pair names it. */
static const char *rename_label(const merging *g, const char *name, bool *renamed) {
    for (size_t k = 0; k < g->n; k++) {
        if (strcmp(g->pairs[k].from, name) == 0) {
            g->m->used[k] = true;
            *renamed = true;
            return g->pairs[k].to;
        }
    }
    *renamed = false;
    return name;
}

static spoor_status check_pairs(const eval_merge_pair *pairs, size_t n, spoor_error *err) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            if (strcmp(pairs[i].to, pairs[j].from) == 0) {
                return error_set(err, SPOOR_ERR_USAGE,
                                 "\"%.60s\" becomes \"%.60s\", which is to become \"%.60s\": name the last "
                                 "at once",
                                 pairs[i].from, pairs[i].to, pairs[j].to);
            }
            if (i != j && strcmp(pairs[i].from, pairs[j].from) == 0) {
                return error_set(err, SPOOR_ERR_USAGE, "\"%.60s\" is merged twice", pairs[i].from);
            }
        }
        if (pairs[i].from[0] == '\0' || pairs[i].to[0] == '\0') {
            return error_set(err, SPOOR_ERR_USAGE, "labels that are merged have names");
        }
    }
    return SPOOR_OK;
}

static size_t find(const eval_task *t, const char *name) {
    size_t k = 0;
    while (k < t->classes && strcmp(t->names[k], name) != 0) {
        k++;
    }
    return k;
}

/* The classes of each task in the order of their first member. */
static void merge_classes(const merging *g) {
    size_t at = 0;
    bool renamed;
    for (size_t t = 0; t < g->from->task_count; t++) {
        const eval_task *old = &g->from->tasks[t];
        eval_task *task = &g->m->tasks[t];
        *task = (eval_task){.name = old->name, .names = g->m->names + at};
        for (size_t k = 0; k < old->classes; k++) {
            const char *name = rename_label(g, old->names[k], &renamed);
            size_t index = find(task, name);
            if (index == task->classes) {
                g->m->names[at + task->classes++] = name;
            }
            g->m->map[at + k] = index;
        }
        at += old->classes;
    }
}

static void merge_scores(const merging *g, const float *old, float *out) {
    size_t at = 0;
    for (size_t t = 0; t < g->from->task_count; t++) {
        const eval_task *task = &g->m->tasks[t];
        for (size_t k = 0; k < task->classes; k++) {
            out[k] = NAN;
        }
        for (size_t k = 0; k < g->from->tasks[t].classes; k++) {
            float *to = &out[g->m->map[at + k]];
            *to = isnan(*to)              ? old[at + k]
                  : g->from->probabilities ? *to + old[at + k]
                                           : fmaxf(*to, old[at + k]);
        }
        at += g->from->tasks[t].classes;
        out += task->classes;
    }
}

static void merge_clip(const merging *g, size_t i) {
    const eval_clip *old = &g->from->clips[i];
    eval_clip *c = &g->m->clips[i];
    size_t tasks = g->from->task_count, width = eval_offset(&g->m->set, tasks), at = 0;
    int32_t *truth = g->m->truth + i * tasks;
    bool renamed = false;
    *c = *old;
    c->truth = truth;
    c->source = old->source == NULL ? NULL : rename_label(g, old->source, &renamed);
    for (size_t t = 0; t < tasks; t++) {
        truth[t] = old->truth[t] < 0 ? -1 : (int32_t)g->m->map[at + (size_t)old->truth[t]];
        at += g->from->tasks[t].classes;
        size_t index = truth[t] < 0 && renamed ? find(&g->m->tasks[t], c->source) : g->m->tasks[t].classes;
        if (index < g->m->tasks[t].classes) {
            truth[t] = (int32_t)index;
            c->is_known = c->is_known == 0 ? 1 : c->is_known;
        }
    }
    if (old->scores != NULL) {
        merge_scores(g, old->scores, g->m->scores + i * width);
        c->scores = g->m->scores + i * width;
    }
}

static spoor_status merge_all(const merging *g, spoor_error *err) {
    eval_merged *m = g->m;
    spoor_context *ctx = m->ctx;
    const size_t old_width = eval_offset(g->from, g->from->task_count);
    size_t labels, bytes;
    m->tasks = ctx_calloc(ctx, g->from->task_count, sizeof *m->tasks);
    m->names = ctx_alloc(ctx, old_width, sizeof *m->names);
    m->map = ctx_alloc(ctx, old_width, sizeof *m->map);
    m->used = ctx_calloc(ctx, g->n, sizeof *m->used);
    m->clips = ctx_alloc(ctx, g->from->n, sizeof *m->clips);
    if (m->tasks == NULL || m->names == NULL || m->map == NULL || m->used == NULL || m->clips == NULL) {
        return error_memory(err, "merging labels");
    }
    merge_classes(g);
    m->set = *g->from;
    m->set.tasks = m->tasks;
    m->set.clips = m->clips;
    size_t width = eval_offset(&m->set, m->set.task_count);
    if (!checked_mul(m->set.n, m->set.task_count, &labels) || !checked_mul(m->set.n, width, &bytes)) {
        return error_memory(err, "merging labels");
    }
    m->truth = ctx_alloc(ctx, labels, sizeof *m->truth);
    m->scores = ctx_alloc(ctx, bytes, sizeof *m->scores);
    if (m->truth == NULL || m->scores == NULL) {
        return error_memory(err, "merging labels");
    }
    for (size_t i = 0; i < m->set.n; i++) {
        merge_clip(g, i);
    }
    for (size_t k = 0; k < g->n; k++) {
        if (!m->used[k]) {
            return error_set(err, SPOOR_ERR_INPUT,
                             "no class and no source is called \"%.60s\", which is to become \"%.60s\"",
                             g->pairs[k].from, g->pairs[k].to);
        }
    }
    return SPOOR_OK;
}

spoor_status eval_merge(spoor_context *ctx, const eval_set *set, const eval_merge_pair *pairs, size_t n,
                        eval_merged **out, spoor_error *err) {
    *out = NULL;
    TRY(check_pairs(pairs, n, err));
    eval_merged *m = ctx_calloc(ctx, 1, sizeof *m);
    if (m == NULL) {
        return error_memory(err, "merging labels");
    }
    m->ctx = ctx;
    const merging g = {m, set, pairs, n};
    spoor_status status = merge_all(&g, err);
    if (status != SPOOR_OK) {
        eval_merged_free(m);
        return status;
    }
    *out = m;
    return SPOOR_OK;
}

/* ---- a file of pairs ---------------------------------------------------------------------------------- */

void eval_merge_file_free(eval_merge_file *file) {
    if (file != NULL) {
        spoor_context *ctx = file->ctx;
        delimited_clear(&file->table);
        ctx_free(ctx, file->pairs);
        ctx_free(ctx, file);
    }
}

static spoor_status read_pairs(eval_merge_file *f, const char *path, spoor_error *err) {
    TRY(delimited_read(f->ctx, path, 0, &f->table, err));
    f->pairs = ctx_alloc(f->ctx, f->table.rows, sizeof *f->pairs);
    if (f->pairs == NULL) {
        return error_memory(err, "reading labels to merge");
    }
    for (size_t i = 0; i < f->table.rows; i++) {
        if (delimited_fields(&f->table, i) != 2) {
            return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: %zu fields instead of a label and what it becomes",
                             path, f->table.line[i], delimited_fields(&f->table, i));
        }
        f->pairs[i] = (eval_merge_pair){delimited_cell(&f->table, i, 0), delimited_cell(&f->table, i, 1)};
    }
    return SPOOR_OK;
}

spoor_status eval_merge_read(spoor_context *ctx, const char *path, eval_merge_file **file,
                             const eval_merge_pair **pairs, size_t *n, spoor_error *err) {
    *file = NULL;
    eval_merge_file *f = ctx_calloc(ctx, 1, sizeof *f);
    if (f == NULL) {
        return error_memory(err, "reading labels to merge");
    }
    f->ctx = ctx;
    spoor_status status = read_pairs(f, path, err);
    if (status != SPOOR_OK) {
        eval_merge_file_free(f);
        return status;
    }
    *file = f;
    *pairs = f->pairs;
    *n = f->table.rows;
    return SPOOR_OK;
}
