/* score_set.c: calibration on dev and calibrated scores; see score.h. */
#include "train/known.h"
#include "net/joint.h"
#include "train/unseen.h"
#include "data/labels.h"
#include "trace/trace.h"
#include <math.h>
#include <string.h>

/* ---- what a row of logits says ---- */

double score_bonafide(const spoor_model *m, const float *logits) {
    return m->bonafide_task == SIZE_MAX ? NAN : model_bonafide_score(m, logits);
}

int32_t score_best(const spoor_model *m, size_t task, const float *logits) {
    const model_task *t = &m->tasks[task];
    const float *own = logits + model_offset(m, task);
    bool all = score_with_human(m, task);
    int32_t best = -1;
    for (size_t i = 0; i < t->n_classes; i++) {
        if ((all || (int64_t)i != t->human) && (best < 0 || own[i] > own[best])) {
            best = (int32_t)i;
        }
    }
    return best;
}

/* ---- calibration ---- */

/* The task's logits without its human class for the clips, row by row, and the truth among what is left. */
typedef struct synthetic {
    float *logits; /* [n, classes] */
    int32_t *truth;
    int32_t *map;  /* [classes] -> class of the task */
    size_t classes;
} synthetic;

static void synthetic_free(spoor_context *ctx, synthetic *s) {
    ctx_free(ctx, s->logits);
    ctx_free(ctx, s->truth);
    ctx_free(ctx, s->map);
}

static spoor_status synthetic_make(const spoor_model *m, size_t task, const score_labels *l, const float *logits,
                                   synthetic *out, spoor_error *err) {
    const model_task *t = &m->tasks[task];
    size_t width = trace_logits_size(m), at = model_offset(m, task);
    out->classes = t->n_classes - (t->human >= 0);
    out->logits = ctx_alloc(m->ctx, l->n, t->n_classes * sizeof *out->logits);
    out->truth = ctx_alloc(m->ctx, l->n, sizeof *out->truth);
    out->map = ctx_alloc(m->ctx, t->n_classes, sizeof *out->map);
    if (!out->logits || !out->truth || !out->map) {
        synthetic_free(m->ctx, out);
        return error_memory(err, "calibrating");
    }
    for (size_t i = 0; i < l->n; i++) {
        (void)model_synthetic_logits(t, logits + i * width + at, out->logits + i * out->classes, out->map);
        int32_t truth = l->clip[i].label[task];
        bool human = t->human >= 0 && truth == t->human;
        out->truth[i] = truth < 0 || human ? -1 : truth - (t->human >= 0 && truth > t->human);
    }
    return SPOOR_OK;
}

static spoor_status put(json_t *object, const char *key, json_t *value, spoor_error *err) {
    return value && json_object_set_new(object, key, value) == 0 ? SPOOR_OK : error_memory(err, "calibrating");
}

static size_t labelled(const synthetic *s, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += s->truth[i] >= 0;
    }
    return count;
}

static spoor_status fit_task(spoor_model *m, size_t task, const score_labels *l, const float *logits,
                             spoor_error *err) {
    synthetic s = {0};
    TRY(synthetic_make(m, task, l, logits, &s, err));
    spoor_status status = SPOOR_OK;
    calibrate_temperature fit;
    if (s.classes >= 2 && labelled(&s, l->n) == 0) {
        ctx_log(m->ctx, SPOOR_LOG_WARN, "dev has no clip with a known class of the task %s: its probabilities are not "
                "calibrated", m->tasks[task].name);
    } else if (s.classes >= 2) {
        status = calibrate_temperature_fit(s.logits, s.truth, l->n, s.classes, &fit, err);
        if (status == SPOOR_OK) {
            m->tasks[task].temperature = fit.temperature;
            json_t *entry = json_array_get(json_object_get(m->meta, "tasks"), task);
            status = put(entry, "calibration", calibrate_temperature_to_json(&fit), err);
        }
    }
    synthetic_free(m->ctx, &s);
    return status;
}

/* Bona fide scores and target flags of the clips whose flag is stated. */
typedef struct detection_data {
    double *score;
    unsigned char *target;
    int32_t *group;
    size_t n, targets;
} detection_data;

static void data_free(spoor_context *ctx, detection_data *d) {
    ctx_free(ctx, d->score);
    ctx_free(ctx, d->target);
    ctx_free(ctx, d->group);
}

static spoor_status data_make(const spoor_model *m, const score_labels *l, const float *logits, detection_data *d,
                              spoor_error *err) {
    *d = (detection_data){ctx_alloc(m->ctx, l->n, sizeof *d->score), ctx_alloc(m->ctx, l->n, 1), NULL, 0, 0};
    if (!d->score || !d->target) {
        data_free(m->ctx, d);
        return error_memory(err, "calibrating");
    }
    size_t width = trace_logits_size(m);
    for (size_t i = 0; i < l->n; i++) {
        if (l->clip[i].is_bonafide >= 0) {
            d->score[d->n] = score_bonafide(m, logits + i * width);
            d->target[d->n++] = l->clip[i].is_bonafide == 1;
            d->targets += l->clip[i].is_bonafide == 1;
        }
    }
    return SPOOR_OK;
}

static spoor_status fit_bonafide(spoor_model *m, const score_labels *l, const float *logits, double prior,
                                 spoor_error *err) {
    if (m->bonafide_task == SIZE_MAX) {
        return SPOOR_OK;
    }
    detection_data d;
    TRY(data_make(m, l, logits, &d, err));
    spoor_status status = SPOOR_OK;
    if (d.targets == 0 || d.targets == d.n) {
        ctx_log(m->ctx, SPOOR_LOG_WARN, "dev lacks bona fide or synthetic clips: that probability is not calibrated");
    } else {
        status = calibrate_logistic_fit(d.score, d.target, d.n, prior, &m->bonafide, err);
        if (status == SPOOR_OK) {
            status = put(m->meta, "bonafide", calibrate_logistic_to_json(&m->bonafide), err);
        }
    }
    data_free(m->ctx, &d);
    return status;
}

/* The probabilities of parents are sums of those of the joint task, at its temperature (model_join). */
static spoor_status share_temperature(spoor_model *m, spoor_error *err) {
    const net_joint *j = net_joint_head(m->net);
    json_t *tasks = json_object_get(m->meta, "tasks");
    for (size_t i = 0; j != NULL && i < j->n; i++) {
        json_t *fit = json_object_get(json_array_get(tasks, j->task), "calibration");
        m->tasks[j->parent[i].task].temperature = m->tasks[j->task].temperature;
        if (fit != NULL && json_object_set(json_array_get(tasks, j->parent[i].task), "calibration", fit) != 0) {
            return error_memory(err, "calibrating");
        }
    }
    return SPOOR_OK;
}

spoor_status score_calibrate(spoor_model *m, const score_labels *l, float *logits, const float *embedding,
                             double acceptance, double prior, spoor_error *err) {
    for (size_t i = 0; i < m->n_tasks; i++) {
        TRY(model_is_parent(m, i) ? SPOOR_OK : fit_task(m, i, l, logits, err));
    }
    TRY(share_temperature(m, err));
    for (size_t i = 0; i < l->n; i++) {
        model_join(m, logits + i * model_row_size(m));
    }
    TRY(fit_bonafide(m, l, logits, prior, err));
    TRY(known_fix_threshold(m, l, logits, embedding, acceptance, err));
    return unseen_calibrate(m, l, logits, err);
}

/* ---- score sets ---- */

void score_set_free(score_set *s) {
    if (s) {
        ctx_free(s->ctx, s->tasks);
        ctx_free(s->ctx, s->clips);
        ctx_free(s->ctx, s->scores);
        ctx_free(s->ctx, s);
    }
}

spoor_status score_page_groups(spoor_context *ctx, const score_labels *l, int32_t **out, size_t *groups,
                               spoor_error *err) {
    int32_t *g = ctx_alloc(ctx, l->n, sizeof *g);
    const char **page = ctx_alloc(ctx, l->n, sizeof *page);
    for (size_t i = 0; page && i < l->n; i++) {
        page[i] = l->clip[i].page;
    }
    spoor_status status = g && page ? labels_number(ctx, page, l->n, g, groups, err) : error_memory(err, "calibrating");
    ctx_free(ctx, page);
    if (status != SPOOR_OK) {
        ctx_free(ctx, g);
        return status;
    }
    for (size_t i = 0; i < l->n; i++) {
        g[i] = g[i] < 0 ? (int32_t)(*groups)++ : g[i];
    }
    *out = g;
    return SPOOR_OK;
}

static spoor_status fill_task(const spoor_model *m, size_t task, const score_labels *l, const float *logits,
                              const int32_t *group, size_t folds, size_t width, float *scores, spoor_error *err) {
    synthetic s = {0};
    TRY(synthetic_make(m, task, l, logits, &s, err));
    double *p = ctx_alloc(m->ctx, l->n, (s.classes ? s.classes : 1) * sizeof *p);
    spoor_status status = p ? SPOOR_OK : error_memory(err, "calibrating");
    if (status == SPOOR_OK && folds >= 2 && s.classes >= 2 && labelled(&s, l->n) > 0) {
        status = calibrate_temperature_cross(m->ctx, s.logits, s.truth, group, l->n, s.classes, folds, SCORE_FOLD_SEED,
                                             p, err);
    } else if (status == SPOOR_OK) {
        for (size_t i = 0; i < l->n; i++) {
            calibrate_softmax(s.logits + i * s.classes, s.classes, m->tasks[task].temperature, p + i * s.classes);
        }
    }
    size_t at = model_offset(m, task);
    for (size_t i = 0; status == SPOOR_OK && i < l->n; i++) {
        for (size_t k = 0; k < s.classes; k++) { /* the human class stays 0 */
            scores[i * width + at + (size_t)s.map[k]] = (float)p[i * s.classes + k];
        }
    }
    ctx_free(m->ctx, p);
    synthetic_free(m->ctx, &s);
    return status;
}

/* llr of every clip: by the model's map, or, with folds, those with a stated flag by maps fitted on other pages. */
static spoor_status fill_bonafide(const spoor_model *m, const score_labels *l, const float *logits,
                                  const int32_t *group, size_t folds, double *llr, spoor_error *err) {
    size_t width = trace_logits_size(m);
    for (size_t i = 0; i < l->n; i++) {
        llr[i] = calibrate_logistic_llr(&m->bonafide, score_bonafide(m, logits + i * width));
    }
    if (folds < 2) {
        return SPOOR_OK;
    }
    detection_data d;
    TRY(data_make(m, l, logits, &d, err));
    d.group = ctx_alloc(m->ctx, l->n, sizeof *d.group);
    double *crossed = ctx_alloc(m->ctx, l->n, sizeof *crossed);
    spoor_status status = d.group && crossed ? SPOOR_OK : error_memory(err, "calibrating");
    if (status == SPOOR_OK) {
        for (size_t i = 0, k = 0; i < l->n; i++) {
            if (l->clip[i].is_bonafide >= 0) {
                d.group[k++] = group[i];
            }
        }
        spoor_error why;
        if (calibrate_logistic_cross(m->ctx, d.score, d.target, d.group, d.n, m->bonafide.prior, folds, SCORE_FOLD_SEED,
                                     crossed, &why) == SPOOR_OK) {
            for (size_t i = 0, k = 0; i < l->n; i++) {
                if (l->clip[i].is_bonafide >= 0) {
                    llr[i] = crossed[k++];
                }
            }
        } else {
            ctx_log(m->ctx, SPOOR_LOG_WARN, "bona fide is reported with the model's own calibration: %s", why.message);
        }
    }
    ctx_free(m->ctx, crossed);
    data_free(m->ctx, &d);
    return status;
}

static void bonafide_scores(const spoor_model *m, size_t n, const double *llr, size_t width, float *scores) {
    const model_task *t = &m->tasks[m->bonafide_task];
    double prior = log(m->bonafide.prior / (1 - m->bonafide.prior));
    for (size_t i = 0; i < n; i++) {
        double p = 1 / (1 + exp(-(llr[i] + prior)));
        float *own = scores + i * width + model_offset(m, m->bonafide_task);
        own[t->human] = (float)p;
        own[1 - t->human] = (float)(1 - p);
    }
}

static spoor_status fill_scores(const spoor_model *m, const score_labels *l, const float *logits, const double *known,
                                size_t folds, double *llr, float *scores, spoor_error *err) {
    int32_t *group = NULL;
    size_t groups = 0, width = trace_logits_size(m);
    TRY(score_page_groups(m->ctx, l, &group, &groups, err));
    folds = folds > groups ? groups : folds;
    spoor_status status = SPOOR_OK;
    for (size_t task = 0; task < m->n_tasks && status == SPOOR_OK; task++) {
        status = fill_task(m, task, l, logits, group, model_is_parent(m, task) ? 0 : folds, width, scores, err);
    }
    if (status == SPOOR_OK && m->bonafide_task != SIZE_MAX) {
        status = fill_bonafide(m, l, logits, group, folds, llr, err);
        if (status == SPOOR_OK && score_with_human(m, m->bonafide_task)) {
            bonafide_scores(m, l->n, llr, width, scores);
        }
    }
    if (status == SPOOR_OK) {
        status = unseen_scores(m, l, logits, known, folds, scores, err);
    }
    ctx_free(m->ctx, group);
    return status;
}

static void fill_clips(const spoor_model *m, const score_labels *l, const spoor_error *failed,
                       const double *llr, const double *known, score_set *s) {
    size_t width = trace_logits_size(m);
    for (size_t i = 0; i < l->n; i++) {
        const score_label *c = &l->clip[i];
        bool out = failed && failed[i].status != SPOOR_OK;
        s->clips[i] = (eval_clip){.id = c->id, .split = c->split, .page = c->page, .setting = c->setting,
                                  .source = c->source, .truth = c->truth, .scores = out ? NULL : s->scores + i * width,
                                  .bonafide = out || m->bonafide_task == SIZE_MAX ? NAN : llr[i],
                                  .known = out ? NAN : known[i],
                                  .is_bonafide = c->is_bonafide, .is_known = c->is_known};
    }
    for (size_t i = 0; i < m->n_tasks; i++) {
        s->tasks[i] = (eval_task){m->tasks[i].name, m->tasks[i].n_classes, (const char *const *)m->tasks[i].classes};
    }
    s->set = (eval_set){.tasks = s->tasks, .task_count = m->n_tasks, .clips = s->clips, .n = l->n,
                        .probabilities = true,
                        .bonafide_is_llr = m->bonafide_task != SIZE_MAX,
                        .has_threshold = m->known_task != SIZE_MAX && isfinite(m->openset.threshold),
                        .known_threshold = m->openset.threshold};
}

spoor_status score_set_new(spoor_context *ctx, const spoor_model *m, const score_labels *l, const float *logits,
                           const float *embedding, const spoor_error *failed, size_t folds, score_set **out,
                           spoor_error *err) {
    *out = NULL;
    score_set *s = ctx_calloc(ctx, 1, sizeof *s);
    double *llr = ctx_calloc(ctx, l->n, 2 * sizeof *llr), *known = llr + l->n;
    if (s) {
        *s = (score_set){.ctx = ctx, .tasks = ctx_calloc(ctx, m->n_tasks, sizeof *s->tasks),
                         .clips = ctx_calloc(ctx, l->n, sizeof *s->clips),
                         .scores = ctx_calloc(ctx, l->n, trace_logits_size(m) * sizeof *s->scores)};
    }
    spoor_status status = s && llr && s->tasks && s->clips && s->scores
                              ? score_known_crossed(m, l, logits, embedding, folds, known, err)
                              : error_memory(err, "scoring recordings");
    if (status == SPOOR_OK) {
        status = fill_scores(m, l, logits, known, folds, llr, s->scores, err);
    }
    if (status == SPOOR_OK) {
        fill_clips(m, l, failed, llr, known, s);
        *out = s;
    } else {
        score_set_free(s);
    }
    ctx_free(ctx, llr);
    return status;
}
