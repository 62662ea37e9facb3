/* fuse_scores.c: `spoor fuse --scores`: score files (and embeddings) of several systems fused as models are, see fuse.h
 * and docs/fuse.md: fitted on the rows of the train split, chosen and calibrated on dev, written for all rows but
 * train's. */
#include "cli/fuse.h"
#include "cli/fuse_table.h"
#include "cli/ui.h"
#include "eval/npy.h"
#include "eval/scores.h"
#include <math.h>
#include <string.h>

typedef struct fused { /* of all rows */
    fuse_table t;
    float *logits;     /* [n, width] of the tasks, one after the other */
    float *scores;     /* the same, calibrated */
    double *bonafide;  /* [n] NAN: not judged */
    bool llr;          /* they are log-likelihood ratios */
    double *known;     /* [n] */
    json_t *summary;
} fused;

static size_t offset(const fuse_table *t, size_t task) {
    size_t at = 0;
    for (size_t k = 0; k < task; k++) {
        at += t->task[k].classes;
    }
    return at;
}

/* Rows of one split of a task: those that are to be left out have label -1. */
static void pick(const fuse_table *t, size_t task, const char *split, int32_t *label) {
    for (size_t i = 0; i < t->n; i++) {
        bool in = t->usable[i] && (split == NULL || strcmp(t->split[i], split) == 0);
        label[i] = in ? t->truth[task][i] : -1;
    }
}

static void apply(const fuse_table *t, const float *w, const float *b, size_t classes, float *out, size_t stride) {
    for (size_t i = 0; i < t->n; i++) {
        for (size_t c = 0; c < classes; c++) {
            double sum = (double)b[c];
            for (size_t k = 0; k < t->d; k++) {
                sum += (double)w[c * t->d + k] * (double)t->x[i * t->d + k];
            }
            out[i * stride + c] = (float)sum;
        }
    }
}

/* A regression for one task on the train rows; its logits of all rows into out. */
static spoor_status regress(const fuse_command *o, fused *f, const char *name, size_t task, size_t classes, float *out,
                            size_t stride, json_t *tasks, spoor_error *err) {
    fuse_table *t = &f->t;
    int32_t *label = ctx_alloc(t->ctx, t->n, 2 * sizeof *label);
    float *w = ctx_alloc(t->ctx, classes, t->d * sizeof *w), *b = ctx_alloc(t->ctx, classes, sizeof *b);
    fuse_fit fit;
    spoor_status status = label && w && b ? SPOOR_OK : error_memory(err, "fusing score files");
    if (status == SPOOR_OK) {
        pick(t, task, o->train_split, label);
        pick(t, task, o->dev_split, label + t->n);
        fuse_rows train = {t->x, label, t->n}, dev = {t->x, label + t->n, t->n};
        status = fuse_fit_task(t->ctx, name, &train, &dev, t->d, classes, &o->fit, w, b, &fit, err);
    }
    if (status == SPOOR_OK) {
        apply(t, w, b, classes, out, stride);
        status = json_array_append_new(tasks, fuse_fit_json(name, classes, &fit)) == 0
                     ? SPOOR_OK
                     : error_memory(err, "fusing score files");
    }
    ctx_free(t->ctx, label);
    ctx_free(t->ctx, w);
    ctx_free(t->ctx, b);
    return status;
}

/* Bona fide against synthetic: a regression like any other task's, then the log-likelihood ratio as dev calibrates it.
 */
static spoor_status judge(const fuse_command *o, fused *f, json_t *tasks, spoor_error *err) {
    fuse_table *t = &f->t;
    float *pair = ctx_alloc(t->ctx, t->n, 2 * sizeof *pair);
    double *score = ctx_alloc(t->ctx, t->n, sizeof *score);
    unsigned char *target = ctx_alloc(t->ctx, t->n, 1);
    spoor_status status = pair && score && target ? regress(o, f, "bona fide", t->n_tasks, 2, pair, 2, tasks, err)
                                                  : error_memory(err, "fusing score files");
    size_t n = 0, targets = 0;
    for (size_t i = 0; status == SPOOR_OK && i < t->n; i++) {
        f->bonafide[i] = t->usable[i] ? (double)pair[2 * i + 1] - (double)pair[2 * i] : NAN;
        bool in = t->usable[i] && (o->dev_split == NULL || strcmp(t->split[i], o->dev_split) == 0);
        if (in && t->truth[t->n_tasks][i] >= 0) {
            score[n] = f->bonafide[i];
            target[n++] = t->truth[t->n_tasks][i] == 1;
            targets += t->truth[t->n_tasks][i] == 1;
        }
    }
    if (status == SPOOR_OK && targets > 0 && targets < n) {
        calibrate_logistic map;
        status = calibrate_logistic_fit(score, target, n, o->prior, &map, err);
        for (size_t i = 0; status == SPOOR_OK && i < t->n; i++) {
            f->bonafide[i] = t->usable[i] ? calibrate_logistic_llr(&map, f->bonafide[i]) : NAN;
        }
        f->llr = true;
    }
    ctx_free(t->ctx, pair);
    ctx_free(t->ctx, score);
    ctx_free(t->ctx, target);
    return status;
}

static spoor_status fuse_logistic(const fuse_command *o, fused *f, spoor_error *err) {
    fuse_table *t = &f->t;
    json_t *tasks = json_array();
    spoor_status status = tasks == NULL ? error_memory(err, "fusing score files") : SPOOR_OK;
    for (size_t k = 0; k < t->n_tasks && status == SPOOR_OK; k++) {
        status = regress(o, f, t->task[k].name, k, t->task[k].classes, f->logits + offset(t, k), t->width, tasks, err);
    }
    if (status == SPOOR_OK && t->judges) {
        status = judge(o, f, tasks, err);
    }
    if (status == SPOOR_OK && json_object_set(f->summary, "tasks", tasks) != 0) {
        status = error_memory(err, "fusing score files");
    }
    json_decref(tasks);
    return status;
}

/* Weighted averages of log probabilities; bona fide scores are averaged too. */
static spoor_status fuse_averages(const fuse_command *o, fused *f, spoor_error *err) {
    fuse_table *t = &f->t;
    fuse_scores task[NET_MAX_TASKS];
    fuse_averaging a = {.x = t->x, .n = t->n, .d = t->d, .task = task, .n_tasks = t->n_tasks, .n_models = t->n_files,
                        .probabilities = o->form == NET_SCORES_PROBABILITIES};
    fuse_weights w = {.n = t->n_files};
    memcpy(w.weight, o->weights, sizeof w.weight);
    int32_t *label = ctx_alloc(t->ctx, t->n, t->n_tasks * sizeof *label);
    double *row = ctx_alloc(t->ctx, t->width, sizeof *row);
    spoor_status status = label && row ? fuse_table_scores(t, task, err) : error_memory(err, "fusing score files");
    for (size_t k = 0; k < t->n_tasks && status == SPOOR_OK; k++) {
        task[k].label = label + k * t->n;
        pick(t, k, o->dev_split, label + k * t->n);
    }
    if (status == SPOOR_OK && o->n_weights == 0) {
        status = fuse_choose_weights(t->ctx, &a, &w, err);
    }
    double all = 0;
    for (size_t g = 0; g < w.n; g++) {
        all += w.weight[g];
    }
    for (size_t i = 0; i < t->n && status == SPOOR_OK; i++) {
        for (size_t k = 0; k < t->n_tasks; k++) {
            fuse_average_row(&a, k, w.weight, i, row);
            for (size_t c = 0; c < t->task[k].classes; c++) {
                f->logits[i * t->width + offset(t, k) + c] = (float)row[c];
            }
        }
        f->bonafide[i] = t->judges && t->usable[i] && all > 0 ? 0 : NAN;
        for (size_t g = 0; g < w.n && t->judges; g++) {
            f->bonafide[i] += w.weight[g] * t->bonafide[g][i] / all;
        }
    }
    ctx_free(t->ctx, label);
    ctx_free(t->ctx, row);
    if (status == SPOOR_OK &&
        json_object_set_new(f->summary, o->n_weights == 0 ? "chosen" : "given", fuse_weights_json(&w)) != 0) {
        status = error_memory(err, "fusing score files");
    }
    return status;
}

/* ---- from logits to scores ---- */

/* The temperature that dev asks for, and the probabilities of all rows at it. */
static spoor_status calibrate_task(const fuse_command *o, fused *f, size_t task, int32_t *label, float *own, double *p,
                                   spoor_error *err) {
    fuse_table *t = &f->t;
    size_t classes = t->task[task].classes, n = 0;
    calibrate_temperature fit = {.temperature = 1};
    pick(t, task, o->dev_split, label);
    for (size_t i = 0; i < t->n; i++) {
        memcpy(own + i * classes, f->logits + i * t->width + offset(t, task), classes * sizeof *own);
        n += label[i] >= 0;
    }
    if (n > 0 && classes > 1) {
        TRY(calibrate_temperature_fit(own, label, t->n, classes, &fit, err));
    }
    for (size_t i = 0; i < t->n; i++) {
        calibrate_softmax(own + i * classes, classes, fit.temperature, p);
        for (size_t c = 0; c < classes; c++) {
            f->scores[i * t->width + offset(t, task) + c] = (float)p[c];
        }
    }
    return SPOOR_OK;
}

/* Energy of the logits of the task that tells known from unknown; of an average the greatest probability. */
static void known_scores(const fuse_command *o, fused *f) {
    const fuse_table *t = &f->t;
    size_t task = 0;
    for (size_t k = 0; k < t->n_tasks; k++) {
        task = strcmp(t->task[k].name, "source") == 0 ? k : task;
    }
    for (size_t i = 0; i < t->n; i++) {
        const float *row = f->logits + i * t->width + (t->n_tasks > 0 ? offset(t, task) : 0);
        double top = -INFINITY, sum = 0;
        for (size_t c = 0; t->n_tasks > 0 && c < t->task[task].classes; c++) {
            top = (double)row[c] > top ? (double)row[c] : top;
        }
        for (size_t c = 0; t->n_tasks > 0 && c < t->task[task].classes; c++) {
            sum += exp((double)row[c] - top);
        }
        f->known[i] = !t->usable[i] || t->n_tasks == 0 ? NAN : o->method == FUSE_AVERAGE ? 1 / sum : top + log(sum);
    }
}

static spoor_status calibrate(const fuse_command *o, fused *f, spoor_error *err) {
    fuse_table *t = &f->t;
    int32_t *label = ctx_alloc(t->ctx, t->n, sizeof *label);
    float *own = ctx_alloc(t->ctx, t->n, t->width * sizeof *own);
    double *p = ctx_alloc(t->ctx, t->width, sizeof *p);
    spoor_status status = label && own && p ? SPOOR_OK : error_memory(err, "calibrating");
    for (size_t k = 0; k < t->n_tasks && status == SPOOR_OK; k++) {
        status = calibrate_task(o, f, k, label, own, p, err);
    }
    known_scores(o, f);
    ctx_free(t->ctx, label);
    ctx_free(t->ctx, own);
    ctx_free(t->ctx, p);
    return status;
}

/* ---- writing ---- */

/* Rows that were not fitted on, in their order. */
static spoor_status write_rows(const fuse_command *o, fused *f, spoor_error *err) {
    fuse_table *t = &f->t;
    eval_clip *clips = ctx_calloc(t->ctx, t->n, sizeof *clips);
    int32_t *truth = ctx_alloc(t->ctx, t->n, t->n_tasks * sizeof *truth);
    const char **ids = ctx_alloc(t->ctx, t->n, sizeof *ids);
    float *x = ctx_alloc(t->ctx, t->n, t->d * sizeof *x);
    eval_task tasks[NET_MAX_TASKS];
    size_t n = 0;
    spoor_status status = clips && truth && ids && x ? SPOOR_OK : error_memory(err, "writing scores");
    for (size_t i = 0; status == SPOOR_OK && i < t->n; i++) {
        if (o->train_split == NULL || strcmp(t->split[i], o->train_split) != 0) {
            for (size_t k = 0; k < t->n_tasks; k++) {
                truth[n * t->n_tasks + k] = t->truth[k][i];
            }
            clips[n] = *t->clip[i];
            clips[n].truth = truth + n * t->n_tasks;
            clips[n].scores = t->usable[i] ? f->scores + i * t->width : NULL;
            clips[n].bonafide = f->bonafide[i];
            clips[n].known = f->known[i];
            memcpy(x + n * t->d, t->x + i * t->d, t->d * sizeof *x);
            ids[n] = clips[n].id;
            n++;
        }
    }
    for (size_t k = 0; k < t->n_tasks; k++) {
        tasks[k] = (eval_task){t->task[k].name, t->task[k].classes, t->task[k].names};
    }
    eval_set set = {.tasks = tasks,
                    .task_count = t->n_tasks,
                    .clips = clips,
                    .n = n,
                    .probabilities = true,
                    .bonafide_is_llr = f->llr};
    if (status == SPOOR_OK && n == 0) {
        status =
            error_set(err, SPOOR_ERR_INPUT, "all rows are of the train split: there is nothing to write scores of");
    }
    if (status == SPOOR_OK) {
        status = score_file_write(t->ctx, o->out, &set, err);
    }
    if (status == SPOOR_OK && o->out_embeddings != NULL) {
        status = npy_write_f32(t->ctx, o->out_embeddings, x, n, t->d, err);
        status = status == SPOOR_OK ? npy_write_ids(t->ctx, o->out_embeddings, ids, n, err) : status;
    }
    (void)json_object_set_new(f->summary, "rows", json_integer((json_int_t)n));
    ctx_free(t->ctx, clips);
    ctx_free(t->ctx, truth);
    ctx_free(t->ctx, ids);
    ctx_free(t->ctx, x);
    return status;
}

static spoor_status run(const fuse_command *o, fused *f, spoor_error *err) {
    fuse_table *t = &f->t;
    net_scores form = o->method == FUSE_EMBEDDING ? NET_SCORES_NONE : (net_scores)o->form;
    fuse_table_options how = {.scores = o->inputs,
                              .embeddings = o->embeddings,
                              .n = o->n_inputs,
                              .n_embeddings = o->n_embeddings,
                              .form = o->method == FUSE_AVERAGE ? NET_SCORES_LOG_PROBABILITIES : form,
                              .same_classes = o->method == FUSE_AVERAGE};
    TRY(fuse_table_read(t, &how, err));
    f->logits = ctx_calloc(t->ctx, t->n, t->width * sizeof *f->logits);
    f->scores = ctx_calloc(t->ctx, t->n, t->width * sizeof *f->scores);
    f->bonafide = ctx_alloc(t->ctx, t->n, sizeof *f->bonafide);
    f->known = ctx_alloc(t->ctx, t->n, sizeof *f->known);
    json_t *files = json_array();
    for (size_t i = 0; i < o->n_inputs; i++) {
        (void)json_array_append_new(files, json_string(o->inputs[i]));
    }
    f->summary = json_pack("{s:s, s:s, s:o, s:I}", "out", o->out, "method", FUSE_METHODS[o->method], "models", files,
                           "embedding", (json_int_t)t->d);
    if (!f->logits || !f->scores || !f->bonafide || !f->known || !f->summary) {
        return error_memory(err, "fusing score files");
    }
    for (size_t i = 0; i < t->n; i++) {
        f->bonafide[i] = NAN;
    }
    TRY(o->method == FUSE_AVERAGE ? fuse_averages(o, f, err) : fuse_logistic(o, f, err));
    TRY(calibrate(o, f, err));
    TRY(write_rows(o, f, err));
    return fuse_print(o, json_incref(f->summary), err);
}

spoor_status fuse_score_files(const fuse_command *o, spoor_context *ctx, spoor_error *err) {
    fused f = {.t = {.ctx = ctx}};
    spoor_status status = run(o, &f, err);
    ctx_free(ctx, f.logits);
    ctx_free(ctx, f.scores);
    ctx_free(ctx, f.bonafide);
    ctx_free(ctx, f.known);
    json_decref(f.summary);
    fuse_table_clear(&f.t);
    return status;
}
