/* table_lacking.c: values of a taxonomy's attributes that a model has no class for; see table.h. A system that was
 * trained without a quantiser cannot name it, and is wrong about every recording of it: these are classes of the table,
 * which are never answered. */
#include "cli/table.h"
#include "train/score.h"
#include <math.h>
#include <string.h>

typedef struct attribute { /* of a task */
    size_t number;
    int32_t *class; /* [values] of each value: the model's class, or one behind those; -1 */
} attribute;

/* The class of a label that is none of the model's as it is written; a value that the model lacks becomes a class. */
static int32_t class_of(table *t, const taxonomy *x, attribute *a, size_t task, const char *text) {
    eval_task *e = &t->tasks[task];
    size_t value = text[0] != '\0' ? taxonomy_value(x, a->number, text) : SIZE_MAX;
    if (value == SIZE_MAX) {
        return -1;
    }
    if (a->class[value] < 0) {
        a->class[value] = (int32_t)e->classes;
        t->wider[task][e->classes++] = taxonomy_value_name(x, a->number, value);
    }
    return a->class[value];
}

static spoor_status widen_task(table *t, const taxonomy *x, const spoor_model *m, const json_t *spec, size_t task,
                               spoor_error *err) {
    eval_task *e = &t->tasks[task];
    attribute a = {.number = taxonomy_attribute(x, e->name)};
    if (a.number == SIZE_MAX) {
        return SPOOR_OK;
    }
    size_t values = taxonomy_values(x, a.number);
    a.class = ctx_alloc(t->ctx, values, sizeof *a.class);
    t->wider[task] = ctx_alloc(t->ctx, e->classes + values, sizeof *t->wider[task]);
    if (a.class == NULL || t->wider[task] == NULL) {
        ctx_free(t->ctx, a.class);
        return error_memory(err, "making a table");
    }
    for (size_t v = 0; v < values; v++) {
        a.class[v] = model_is_human(taxonomy_value_name(x, a.number, v)) ? (int32_t)m->tasks[task].human : -1;
    }
    for (size_t k = 0; k < e->classes; k++) {
        size_t v = taxonomy_value(x, a.number, e->names[k]);
        t->wider[task][k] = e->names[k];
        if (v != SIZE_MAX) {
            a.class[v] = (int32_t)k;
        }
    }
    for (size_t i = 0; i < t->c.n; i++) {
        int32_t *truth = &t->truth[i * t->n_tasks + task];
        if (*truth < 0) {
            *truth = class_of(t, x, &a, task, score_label_text(m, t->c.manifest, t->c.rows[i], spec, task));
        }
    }
    e->names = t->wider[task];
    ctx_free(t->ctx, a.class);
    return SPOOR_OK;
}

/* Scores with room for the new classes, of which none is ever the best. */
static spoor_status widen_scores(table *t, const spoor_model *m, spoor_error *err) {
    t->scores = ctx_alloc(t->ctx, t->c.n, (t->width + 1) * sizeof *t->scores);
    if (t->scores == NULL) {
        return error_memory(err, "making a table");
    }
    for (size_t i = 0; i < t->c.n; i++) {
        const float *from = t->clips[i].scores;
        float *to = t->scores + i * t->width;
        for (size_t k = 0; from != NULL && k < t->n_tasks; k++) {
            size_t own = m->tasks[k].n_classes;
            memcpy(to, from, own * sizeof *to);
            for (size_t j = own; j < t->tasks[k].classes; j++) {
                to[j] = -INFINITY;
            }
            from += own;
            to += t->tasks[k].classes;
        }
        t->clips[i].scores = from != NULL ? t->scores + i * t->width : NULL;
    }
    return SPOOR_OK;
}

spoor_status table_add_lacking(table *t, const spoor_model *m, const json_t *spec, spoor_error *err) {
    size_t own = 0;
    TRY(taxonomy_open(t->ctx, t->o->corpus.how.taxonomy, &t->taxonomy, err));
    const taxonomy *x = t->o->corpus.how.taxonomy == NULL && m->taxonomy != NULL ? m->taxonomy : t->taxonomy;
    for (size_t k = 0; k < t->n_tasks; k++) {
        TRY(widen_task(t, x, m, spec, k, err));
        own += m->tasks[k].n_classes;
        t->width += t->tasks[k].classes;
    }
    return t->width > own ? widen_scores(t, m, err) : SPOOR_OK;
}
