/* report_task.c: the part of the report on one task with many classes. */
#include "eval/report_internal.h"
#include "openset/calibrate.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TOP = 5, FIGURES = 13, BRIEF = 2 };
static const char *const figure_names[FIGURES] = {
    "accuracy", "top5",        "balanced_accuracy", "macro_f1", "weighted_f1",  "micro_f1", "macro_f1_all",
    "weighted_f1_all", "micro_f1_all", "ece",       "ece_adaptive", "nll",      "brier"};

/* The labelled and answered clips of a group, as columns. */
typedef struct view {
    size_t n, classes, figures;
    uint32_t *clip;
    int32_t *truth, *predicted, *rank, *labels, *present; /* labels[classes]: 0, 1, ...; present: those with support */
    double *confidence, *p;                     /* p[n, classes] where probabilities are reported */
    unsigned char *correct;
    uint32_t *order;
    uint64_t *confusion;
    bool decisions;
} view;

static void view_clear(spoor_context *ctx, view *v) {
    ctx_free(ctx, v->clip);
    ctx_free(ctx, v->truth);
    ctx_free(ctx, v->predicted);
    ctx_free(ctx, v->rank);
    ctx_free(ctx, v->labels);
    ctx_free(ctx, v->present);
    ctx_free(ctx, v->confidence);
    ctx_free(ctx, v->p);
    ctx_free(ctx, v->correct);
    ctx_free(ctx, v->order);
    ctx_free(ctx, v->confusion);
}

static bool view_allocate(spoor_context *ctx, size_t n, size_t classes, bool probabilities, view *v) {
    v->clip = ctx_alloc(ctx, n, sizeof *v->clip);
    v->truth = ctx_alloc(ctx, n, sizeof *v->truth);
    v->predicted = ctx_alloc(ctx, n, sizeof *v->predicted);
    v->rank = ctx_alloc(ctx, n, sizeof *v->rank);
    v->labels = ctx_alloc(ctx, classes, sizeof *v->labels);
    v->present = ctx_alloc(ctx, classes, sizeof *v->present);
    v->confidence = ctx_alloc(ctx, n, sizeof *v->confidence);
    v->p = ctx_alloc(ctx, probabilities ? n : 0, classes * sizeof *v->p);
    v->correct = ctx_alloc(ctx, n, sizeof *v->correct);
    v->order = ctx_alloc(ctx, n, sizeof *v->order);
    v->confusion = ctx_alloc(ctx, classes + 1, classes * sizeof *v->confusion);
    return v->clip != NULL && v->truth != NULL && v->predicted != NULL && v->rank != NULL && v->labels != NULL &&
           v->present != NULL && v->confidence != NULL && v->p != NULL && v->correct != NULL && v->order != NULL &&
           v->confusion != NULL;
}

/* Take the clips whose group is `which` (group NULL: all), that have a label and scores for the task. */
static void view_fill(const report *r, size_t task, const int32_t *group, int32_t which, bool probabilities, view *v) {
    size_t offset = eval_offset(r->set, task);
    for (size_t i = 0; i < r->set->n; i++) {
        const eval_clip *c = &r->set->clips[i];
        if (c->truth[task] < 0 || c->scores == NULL || isnan(c->scores[offset]) ||
            (group != NULL && group[i] != which)) {
            continue;
        }
        const float *scores = c->scores + offset;
        size_t k = v->n++;
        v->clip[k] = (uint32_t)i;
        v->truth[k] = c->truth[task];
        v->predicted[k] = metric_argmax(scores, v->classes);
        v->rank[k] = metric_rank(scores, v->classes, v->truth[k]);
        v->confidence[k] = (double)scores[v->predicted[k]];
        v->correct[k] = v->predicted[k] == v->truth[k];
        for (size_t j = 0; probabilities && j < v->classes; j++) {
            v->p[k * v->classes + j] = (double)scores[j];
        }
    }
    for (size_t j = 0; j < v->classes; j++) {
        v->labels[j] = (int32_t)j;
    }
    metric_order(v->confidence, v->n, v->order);
}

int report_answer(const eval_set *set, size_t task, const eval_clip *c) {
    size_t offset = eval_offset(set, task);
    if (c->truth[task] < 0 || c->scores == NULL || isnan(c->scores[offset])) {
        return -1;
    }
    return metric_argmax(c->scores + offset, set->tasks[task].classes) == c->truth[task];
}

static spoor_status view_new(const report *r, size_t task, const int32_t *group, int32_t which, bool brief, view *v,
                             spoor_error *err) {
    bool probabilities = r->set->probabilities && !brief;
    *v = (view){.classes = r->set->tasks[task].classes,
                .figures = brief ? BRIEF : probabilities ? FIGURES : FIGURES - 4,
                .decisions = r->set->decisions};
    size_t most = 0;
    for (size_t i = 0; i < r->set->n; i++) {
        most += group == NULL || group[i] == which;
    }
    if (!view_allocate(r->ctx, most, v->classes, probabilities, v)) {
        view_clear(r->ctx, v);
        return error_memory(err, "measuring a task");
    }
    view_fill(r, task, group, which, probabilities, v);
    return SPOOR_OK;
}

/* Fills v->present from v->confusion. */
static size_t labels_with_support(view *v) {
    size_t labels = 0;
    for (size_t k = 0; k < v->classes; k++) {
        if (metric_one_class(v->confusion, v->classes, k).support > 0) {
            v->present[labels++] = (int32_t)k;
        }
    }
    return labels;
}

static void task_figures(void *arg, const uint32_t *weight, metric_value *out) {
    view *v = arg;
    out[0] = metric_accuracy(v->truth, v->predicted, v->n, weight);
    out[1] = v->decisions ? (metric_value){NAN, "the file has decisions, not scores"}
                          : metric_top_k(v->rank, v->n, weight, TOP);
    if (v->figures == BRIEF) {
        return;
    }
    metric_confusion(v->truth, v->predicted, v->n, weight, v->classes, v->confusion);
    metric_f1 f = metric_f1_set(v->confusion, v->classes, v->present, labels_with_support(v), F1_SUPPORTED);
    metric_f1 all = metric_f1_set(v->confusion, v->classes, v->labels, v->classes, F1_ABSENT_ZERO);
    out[2] = f.balanced;
    out[3] = f.macro;
    out[4] = f.weighted;
    out[5] = f.micro;
    out[6] = all.macro;
    out[7] = all.weighted;
    out[8] = all.micro;
    if (v->figures == FIGURES) {
        out[9] = metric_ece(v->confidence, v->correct, v->n, weight, METRIC_ECE_BINS);
        out[10] = metric_ece_adaptive(v->confidence, v->correct, v->order, v->n, weight, METRIC_ECE_BINS);
        out[11] = metric_nll(v->p, v->truth, v->n, v->classes, weight);
        out[12] = metric_brier(v->p, v->truth, v->n, v->classes, weight);
    }
}

/* precision, recall, F1 of each class, one after the other; what has no denominator is undefined here. */
static void class_figures(void *arg, const uint32_t *weight, metric_value *out) {
    view *v = arg;
    metric_confusion(v->truth, v->predicted, v->n, weight, v->classes, v->confusion);
    for (size_t k = 0; k < v->classes; k++) {
        metric_class c = metric_one_class(v->confusion, v->classes, k);
        out[3 * k] = c.predicted > 0 ? (metric_value){c.precision, NULL} : (metric_value){NAN, "it is never predicted"};
        out[3 * k + 1] = c.support > 0 ? (metric_value){c.recall, NULL} : (metric_value){NAN, "it has no recording"};
        out[3 * k + 2] = c.support > 0 ? (metric_value){c.f1, NULL} : (metric_value){NAN, "it has no recording"};
    }
}

static spoor_status put_group(const report *r, view *v, const char *kind, const char *name, json_t *groups,
                              spoor_error *err) {
    if (v->n == 0) {
        return SPOOR_OK; /* nothing of this task in the group */
    }
    metric_confusion(v->truth, v->predicted, v->n, NULL, v->classes, v->confusion);
    json_t *g = json_pack("{s:s, s:o, s:I, s:I}", "group", kind, "name", report_string(name), "n", (json_int_t)v->n,
                          "labels", (json_int_t)labels_with_support(v));
    TRY(report_append(groups, g, err));
    return report_measure(r, v->clip, v->n, task_figures, v, v->figures, figure_names, g, err);
}

static spoor_status put_groups(const report *r, size_t task, group_by by, const char *kind, json_t *groups,
                               spoor_error *err) {
    grouping g;
    TRY(report_group(r->ctx, r->set, by, &g, err));
    spoor_status status = SPOOR_OK;
    for (size_t k = 0; status == SPOOR_OK && k < g.count; k++) {
        view v;
        status = view_new(r, task, g.group, (int32_t)k, by == GROUP_PAGE, &v, err);
        if (status == SPOOR_OK) {
            status = put_group(r, &v, kind, g.names[k], groups, err);
            view_clear(r->ctx, &v);
        }
    }
    report_group_clear(r->ctx, &g);
    return status;
}

static spoor_status put_class(const report *r, const view *v, size_t task, size_t k, json_t *figures, json_t *list,
                              spoor_error *err) {
    metric_class c = metric_one_class(v->confusion, v->classes, k);
    if (c.support + c.predicted == 0) {
        return SPOOR_OK;
    }
    return report_append(list,
                         json_pack("{s:o, s:I, s:I, s:I, s:O, s:O, s:O}", "class",
                                   report_string(r->set->tasks[task].names[k]), "support", (json_int_t)c.support,
                                   "predicted", (json_int_t)c.predicted, "right", (json_int_t)c.right, "precision",
                                   json_array_get(figures, 3 * k), "recall", json_array_get(figures, 3 * k + 1), "f1",
                                   json_array_get(figures, 3 * k + 2)),
                         err);
}

static spoor_status put_classes(const report *r, view *v, size_t task, json_t *into, spoor_error *err) {
    json_t *figures = json_array(), *list = json_array();
    spoor_status status = report_put(into, "per_class", list, err);
    if (status == SPOOR_OK) {
        status = figures == NULL
                     ? error_memory(err, "writing a report")
                     : report_measure_list(r, v->clip, v->n, class_figures, v, 3 * v->classes, figures, err);
    }
    metric_confusion(v->truth, v->predicted, v->n, NULL, v->classes, v->confusion);
    for (size_t k = 0; status == SPOOR_OK && k < v->classes; k++) {
        status = put_class(r, v, task, k, figures, list, err);
    }
    json_decref(figures);
    return status;
}

/* Rows and columns: the `n` classes in `used`, those that occur as truth or answer. */
static spoor_status put_counts(const report *r, const view *v, size_t task, const size_t *used, size_t n, json_t *into,
                               spoor_error *err) {
    json_t *labels = json_array(), *counts = json_array();
    TRY(report_put(into, "confusion", json_pack("{s:o, s:o}", "labels", labels, "counts", counts), err));
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_array();
        TRY(report_append(labels, report_string(r->set->tasks[task].names[used[i]]), err));
        TRY(report_append(counts, row, err));
        for (size_t j = 0; j < n; j++) {
            uint64_t count = v->confusion[used[i] * (v->classes + 1) + used[j]];
            TRY(report_append(row, json_integer((json_int_t)count), err));
        }
    }
    return SPOOR_OK;
}

static spoor_status put_confusion(const report *r, const view *v, size_t task, json_t *into, spoor_error *err) {
    size_t *used = ctx_alloc(r->ctx, v->classes, sizeof *used), n = 0;
    if (used == NULL) {
        return error_memory(err, "writing a confusion matrix");
    }
    for (size_t k = 0; k < v->classes; k++) {
        metric_class c = metric_one_class(v->confusion, v->classes, k);
        if (c.support + c.predicted > 0) {
            used[n++] = k;
        }
    }
    spoor_status status = put_counts(r, v, task, used, n, into, err);
    ctx_free(r->ctx, used);
    return status;
}

/* The labels that have recordings: those over which F1 is taken. */
static spoor_status put_label_set(const report *r, view *v, size_t task, json_t *into, spoor_error *err) {
    json_t *set = json_array();
    TRY(report_put(into, "label_set", set, err));
    metric_confusion(v->truth, v->predicted, v->n, NULL, v->classes, v->confusion);
    size_t labels = labels_with_support(v);
    for (size_t k = 0; k < labels; k++) {
        TRY(report_append(set, report_string(r->set->tasks[task].names[v->present[k]]), err));
    }
    return SPOOR_OK;
}

static spoor_status put_reliability(const report *r, const view *v, json_t *into, spoor_error *err) {
    metric_bin bin[METRIC_ECE_BINS];
    if (!r->set->probabilities || !metric_reliability(v->confidence, v->correct, v->n, METRIC_ECE_BINS, bin)) {
        return SPOOR_OK;
    }
    json_t *list = json_array();
    TRY(report_put(into, "reliability", list, err));
    for (size_t k = 0; k < METRIC_ECE_BINS; k++) {
        json_t *b = json_pack("{s:f, s:f, s:I}", "low", (double)k / METRIC_ECE_BINS, "high",
                              (double)(k + 1) / METRIC_ECE_BINS, "n", (json_int_t)bin[k].n);
        TRY(report_append(list, b, err));
        TRY(report_put(b, "confidence", bin[k].n > 0 ? json_real(bin[k].confidence) : json_null(), err));
        TRY(report_put(b, "accuracy", bin[k].n > 0 ? json_real(bin[k].accuracy) : json_null(), err));
    }
    return SPOOR_OK;
}

static spoor_status put_task(const report *r, view *all, size_t task, json_t *tasks, spoor_error *err) {
    const eval_task *t = &r->set->tasks[task];
    json_t *groups = json_array();
    json_t *into = json_pack("{s:o, s:I, s:s, s:o}", "task", report_string(t->name), "classes", (json_int_t)t->classes,
                             "scores",
                             r->set->decisions       ? "decisions"
                             : r->set->probabilities ? "probabilities"
                                                     : "any",
                             "groups", groups);
    TRY(report_append(tasks, into, err));
    TRY(put_group(r, all, "all", "all", groups, err));
    TRY(put_label_set(r, all, task, into, err));
    TRY(put_reliability(r, all, into, err));
    TRY(put_groups(r, task, GROUP_SETTING, "setting", groups, err));
    TRY(put_groups(r, task, GROUP_PAGE, "page", groups, err));
    TRY(put_classes(r, all, task, into, err));
    return r->options.confusion ? put_confusion(r, all, task, into, err) : SPOOR_OK;
}

spoor_status report_task(const report *r, size_t task, json_t *tasks, spoor_error *err) {
    view all;
    TRY(view_new(r, task, NULL, 0, false, &all, err));
    spoor_status status = all.n > 0 ? put_task(r, &all, task, tasks, err) : SPOOR_OK;
    view_clear(r->ctx, &all);
    return status;
}
