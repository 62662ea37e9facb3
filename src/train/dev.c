/* dev.c: see dev.h. */
#include "train/dev.h"
#include "base/logsum.h"
#include "eval/metrics.h"
#include "trace/trace.h"
#include <math.h>
#include <string.h>

/* Samples of the cache, which has taken the silences out where the recipe says so. */
static spoor_status open_samples(const dataset *d, const float *samples, size_t n, spoor_audio **audio,
                                 spoor_error *err) {
    TRY(spoor_audio_open_samples(d->ctx, samples, n, AUDIO_RATE, audio, err));
    return audio_set_silence(*audio, NULL, err);
}

/* Clips of the dataset, those of training with their first windows alone. */
typedef struct clip_list {
    const dataset *d;
    size_t first;
    const size_t *clip; /* NULL: from `first` on */
} clip_list;

static size_t listed(const clip_list *l, size_t i) { return l->clip ? l->clip[i] : l->first + i; }

static spoor_status open_clip(void *user, size_t i, spoor_audio **audio, float **owned, spoor_error *err) {
    const clip_list *l = user;
    size_t n, clip = listed(l, i);
    TRY(cache_whole(l->d->cache, clip, owned, &n, err));
    bool whole = clip >= l->d->n_train || n < AUDIO_WINDOW;
    return open_samples(l->d, *owned, whole ? n : AUDIO_WINDOW, audio, err);
}

static spoor_status forward(const clip_list *l, spoor_model *m, unsigned threads, size_t n, float *logits,
                            float *embedding, spoor_error *err) {
    const dataset *d = l->d;
    spoor_error *errors = ctx_calloc(d->ctx, n, sizeof *errors);
    if (!errors) {
        return error_memory(err, "evaluating recordings");
    }
    spoor_status status =
        score_all(d->ctx, m, threads, n, open_clip, (void *)(uintptr_t)l, 0, logits, embedding, errors, err);
    for (size_t i = 0; status == SPOOR_OK && i < n; i++) {
        if (errors[i].status != SPOOR_OK) {
            size_t clip = listed(l, i);
            status = error_set(err, errors[i].status, "%s clip %.200s: %.250s", clip < d->n_train ? "train" : "dev",
                               d->paths[clip], errors[i].message);
        }
    }
    ctx_free(d->ctx, errors);
    return status;
}

spoor_status dev_forward(const dataset *d, spoor_model *m, unsigned threads, float *logits, float *embedding,
                         spoor_error *err) {
    clip_list l = {.d = d, .first = d->n_train};
    return forward(&l, m, threads, d->n_dev, logits, embedding, err);
}

spoor_status dev_forward_train(const dataset *d, spoor_model *m, unsigned threads, float *logits, float *embedding,
                               spoor_error *err) {
    clip_list l = {.d = d};
    return forward(&l, m, threads, d->n_train, logits, embedding, err);
}

spoor_status dev_forward_clips(const dataset *d, spoor_model *m, unsigned threads, const size_t *clip, size_t n,
                               float *logits, float *embedding, spoor_error *err) {
    clip_list l = {.d = d, .clip = clip};
    return forward(&l, m, threads, n, logits, embedding, err);
}

typedef struct work { /* of one metric */
    double *score;
    unsigned char *flag;
    int32_t *truth, *predicted;
    size_t n;
} work;

static double cross_entropy(const float *x, size_t n, int32_t truth) {
    return log_sum_exp(x, n, -1, 1) - (double)x[truth];
}

/* Rank of the truth among the classes that the task may answer with. */
static bool in_top5(const spoor_model *m, size_t task, const float *row, int32_t truth) {
    const model_task *t = &m->tasks[task];
    const float *x = row + model_offset(m, task);
    size_t better = 0;
    for (size_t i = 0; i < t->n_classes; i++) {
        bool human = (int64_t)i == t->human && !score_with_human(m, task);
        better += !human && (x[i] > x[truth] || (x[i] == x[truth] && (int32_t)i < truth));
    }
    return better < 5;
}

static double mean_of(const double *v, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += v[i];
    }
    return n ? sum / (double)n : NAN;
}

/* Macro F1 over the classes that stand in the truth. */
static spoor_status macro_f1(const spoor_model *m, size_t task, const work *w, double *out, spoor_error *err) {
    size_t classes = m->tasks[task].n_classes, n = 0;
    uint64_t *counts = ctx_calloc(m->ctx, classes, (classes + 1) * sizeof *counts);
    int32_t *labels = ctx_alloc(m->ctx, classes, sizeof *labels);
    if (!counts || !labels) {
        ctx_free(m->ctx, counts);
        ctx_free(m->ctx, labels);
        return error_memory(err, "evaluating on dev");
    }
    metric_confusion(w->truth, w->predicted, w->n, NULL, classes, counts);
    for (size_t c = 0; c < classes; c++) {
        if (metric_one_class(counts, classes, c).support > 0) {
            labels[n++] = (int32_t)c;
        }
    }
    *out = metric_f1_set(counts, classes, labels, n, F1_ABSENT_ZERO).macro.value;
    ctx_free(m->ctx, counts);
    ctx_free(m->ctx, labels);
    return SPOOR_OK;
}

static spoor_status detect(const spoor_model *m, const work *w, bool eer, double *out, spoor_error *err) {
    detection *d;
    TRY(detection_new(m->ctx, w->score, w->flag, w->n, &d, err));
    *out = eer ? detection_eer(d, NULL, EER_ROC, NULL).value : detection_auroc(d, NULL).value;
    detection_free(d);
    return SPOOR_OK;
}

/* Collects what the metric counts from clip i. */
static void add_clip(const spoor_model *m, const recipe_metric *metric, size_t task, const score_label *l,
                     const float *row, double known_score, work *w) {
    if (metric->kind == RECIPE_AUROC || metric->kind == RECIPE_EER || metric->kind == RECIPE_KNOWN_AUROC) {
        bool known = metric->kind == RECIPE_KNOWN_AUROC;
        int flag = known ? l->is_known : l->is_bonafide;
        double score = flag < 0 ? NAN : known ? known_score : score_bonafide(m, row);
        if (!isnan(score)) {
            w->score[w->n] = score;
            w->flag[w->n++] = flag == 1;
        }
        return;
    }
    int32_t truth = metric->kind == RECIPE_LOSS ? l->label[task] : l->truth[task];
    if (truth < 0) {
        return;
    }
    w->truth[w->n] = truth;
    w->predicted[w->n] = score_best(m, task, row);
    if (metric->kind == RECIPE_LOSS) {
        w->score[w->n] = cross_entropy(row + model_offset(m, task), m->tasks[task].n_classes, truth);
    } else {
        w->score[w->n] = metric->kind == RECIPE_TOP5 ? in_top5(m, task, row, truth) : w->predicted[w->n] == truth;
    }
    w->n++;
}

static spoor_status one_metric(const recipe_metric *metric, const dataset *d, const spoor_model *m,
                               const score_labels *l, const float *logits, const double *known, work *w, double *out,
                               spoor_error *err) {
    size_t task = model_find_task(m, metric->task), width = trace_logits_size(m);
    w->n = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (manifest_match(d->manifest, d->rows[d->n_train + i], metric->where.item, metric->where.n)) {
            add_clip(m, metric, task, &l->clip[i], logits + i * width, known[i], w);
        }
    }
    switch (metric->kind) {
    case RECIPE_ACCURACY:
    case RECIPE_TOP5:
    case RECIPE_LOSS: *out = mean_of(w->score, w->n); return SPOOR_OK;
    case RECIPE_MACRO_F1: return macro_f1(m, task, w, out, err);
    case RECIPE_AUROC:
    case RECIPE_KNOWN_AUROC: return detect(m, w, false, out, err);
    case RECIPE_EER: return detect(m, w, true, out, err);
    }
    return SPOOR_OK;
}

static double selection(const recipe *r, const double *value) {
    double sum = 0;
    for (size_t s = 0; s < r->n_select; s++) {
        for (size_t i = 0; i < r->n_metrics; i++) {
            if (strcmp(r->metric[i].name, r->select[s]) == 0) {
                bool low = r->metric[i].kind == RECIPE_LOSS || r->metric[i].kind == RECIPE_EER;
                sum += low ? -value[i] : value[i];
                break;
            }
        }
    }
    return isnan(sum) ? -INFINITY : sum / (double)r->n_select;
}

spoor_status dev_metrics(const recipe *r, const dataset *d, const spoor_model *m, const score_labels *l,
                         const float *logits, const double *known, double *value, double *select, spoor_error *err) {
    work w = {ctx_alloc(d->ctx, l->n, sizeof *w.score), ctx_alloc(d->ctx, l->n, 1),
              ctx_alloc(d->ctx, l->n, sizeof *w.truth), ctx_alloc(d->ctx, l->n, sizeof *w.predicted), 0};
    double *own = ctx_alloc(d->ctx, l->n, sizeof *own); /* where the caller has none */
    spoor_status status =
        w.score && w.flag && w.truth && w.predicted && own ? SPOOR_OK : error_memory(err, "evaluating on dev");
    if (status == SPOOR_OK && known == NULL) {
        status = score_known(m, l->n, logits, NULL, own, err);
        known = own;
    }
    for (size_t i = 0; i < r->n_metrics && status == SPOOR_OK; i++) {
        value[i] = NAN;
        status = one_metric(&r->metric[i], d, m, l, logits, known, &w, &value[i], err);
    }
    if (status == SPOOR_OK) {
        *select = selection(r, value);
    }
    ctx_free(d->ctx, own);
    ctx_free(d->ctx, w.score);
    ctx_free(d->ctx, w.flag);
    ctx_free(d->ctx, w.truth);
    ctx_free(d->ctx, w.predicted);
    return status;
}
