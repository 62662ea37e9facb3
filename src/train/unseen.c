/* unseen.c: see unseen.h. */
#include "train/unseen.h"
#include "data/labels.h"
#include <math.h>
#include <string.h>

/* The evidence of an attribute, without the class of human speech, for dev's clips of sources that the model does not
 * know. */
typedef struct evidence {
    float *logits;     /* [n, classes] */
    int32_t *truth, *source;
    size_t *clip;
    size_t n, classes, sources;
    int64_t human;
} evidence;

static void evidence_free(spoor_context *ctx, evidence *e) {
    ctx_free(ctx, e->logits);
    ctx_free(ctx, e->truth);
    ctx_free(ctx, e->source);
    ctx_free(ctx, e->clip);
}

/* Numbers the sources of the clips that were taken. */
static spoor_status number_sources(spoor_context *ctx, const score_labels *l, evidence *e, spoor_error *err) {
    const char **name = ctx_alloc(ctx, e->n, sizeof *name);
    if (!name) {
        return error_memory(err, "calibrating");
    }
    for (size_t i = 0; i < e->n; i++) {
        name[i] = l->clip[e->clip[i]].source;
    }
    spoor_status status = labels_number(ctx, name, e->n, e->source, &e->sources, err);
    ctx_free(ctx, name);
    return status;
}

/* Clips of unknown sources whose value is known. */
static spoor_status evidence_make(const spoor_model *m, size_t task, const score_labels *l, const float *logits,
                                  evidence *e, spoor_error *err) {
    const model_task *t = &m->tasks[task];
    *e = (evidence){.human = t->human};
    e->classes = t->n_classes - (e->human >= 0);
    e->logits = ctx_alloc(m->ctx, l->n, t->n_classes * sizeof *e->logits);
    e->truth = ctx_alloc(m->ctx, l->n, sizeof *e->truth);
    e->source = ctx_alloc(m->ctx, l->n, sizeof *e->source);
    e->clip = ctx_alloc(m->ctx, l->n, sizeof *e->clip);
    if (!e->logits || !e->truth || !e->source || !e->clip) {
        return error_memory(err, "calibrating");
    }
    size_t width = model_row_size(m);
    for (size_t i = 0; i < l->n; i++) {
        int32_t truth = l->clip[i].label[task];
        if (l->clip[i].is_known == 0 && truth >= 0 && truth != e->human) {
            (void)model_synthetic_logits(t, model_evidence(m, logits + i * width, task), e->logits + e->n * e->classes,
                                         NULL);
            e->truth[e->n] = truth - (e->human >= 0 && truth > e->human);
            e->clip[e->n++] = i;
        }
    }
    return number_sources(m->ctx, l, e, err);
}

/* Never surer than the network itself is, nor than of known sources: few sources can be told apart without an error,
 * and the temperature that they alone ask for is then as low as can be. */
static double at_least(const spoor_model *m, size_t task, double temperature) {
    return fmax(temperature, fmax(1, m->tasks[task].temperature));
}

static spoor_status fit_task(spoor_model *m, size_t task, const score_labels *l, const float *logits,
                             spoor_error *err) {
    evidence e;
    calibrate_temperature fit;
    json_t *entry = json_array_get(json_object_get(m->meta, "tasks"), task);
    spoor_status status = evidence_make(m, task, l, logits, &e, err);
    if (status == SPOOR_OK && (e.n == 0 || e.classes < 2)) {
        ctx_log(m->ctx, SPOOR_LOG_WARN, "dev has no clip of an unknown source whose %s is known: what is said of it "
                "where the source is unknown is not calibrated", m->tasks[task].name);
    } else if (status == SPOOR_OK) {
        status = calibrate_temperature_fit(e.logits, e.truth, e.n, e.classes, &fit, err);
        if (status == SPOOR_OK) {
            fit.temperature = at_least(m, task, fit.temperature);
            m->tasks[task].unseen = fit.temperature;
            json_t *json = calibrate_temperature_to_json(&fit);
            status = json && json_object_set_new(json, "sources", json_integer((json_int_t)e.sources)) == 0 &&
                             json_object_set(entry, "calibration_unseen", json) == 0
                         ? SPOOR_OK
                         : error_memory(err, "calibrating");
            json_decref(json);
        }
    }
    evidence_free(m->ctx, &e);
    return status;
}

spoor_status unseen_calibrate(spoor_model *m, const score_labels *l, const float *logits, spoor_error *err) {
    for (size_t k = 0; k < m->n_tasks; k++) {
        TRY(model_is_attribute(m, k) && !m->tasks[k].evidence ? fit_task(m, k, l, logits, err) : SPOOR_OK);
    }
    return SPOOR_OK;
}

/* ---- scores ---- */

/* The temperature for each clip: the task's, or, of an unknown source, that which fits the other unknown sources. */
static spoor_status temperatures(const spoor_model *m, size_t task, const score_labels *l, const float *logits,
                                 size_t folds, double *out, spoor_error *err) {
    evidence e;
    spoor_status status = evidence_make(m, task, l, logits, &e, err);
    int32_t *truth = status == SPOOR_OK ? ctx_alloc(m->ctx, e.n, sizeof *truth) : NULL;
    if (status == SPOOR_OK && !truth) {
        status = error_memory(err, "calibrating");
    }
    for (size_t i = 0; i < l->n; i++) {
        out[i] = m->tasks[task].unseen;
    }
    for (size_t s = 0; status == SPOOR_OK && folds >= 2 && e.sources >= 2 && s < e.sources; s++) {
        calibrate_temperature fit;
        for (size_t i = 0; i < e.n; i++) {
            truth[i] = e.source[i] == (int32_t)s ? -1 : e.truth[i];
        }
        status = calibrate_temperature_fit(e.logits, truth, e.n, e.classes, &fit, err);
        for (size_t i = 0; status == SPOOR_OK && i < e.n; i++) {
            out[e.clip[i]] = e.source[i] == (int32_t)s ? at_least(m, task, fit.temperature) : out[e.clip[i]];
        }
    }
    ctx_free(m->ctx, truth);
    evidence_free(m->ctx, &e);
    return status;
}

static spoor_status say_task(const spoor_model *m, size_t task, const score_labels *l, const float *logits,
                             const double *known, size_t folds, float *scores, spoor_error *err) {
    spoor_model own = *m; /* with the temperature of the clip */
    size_t width = model_row_size(m), at = model_offset(m, task), n = m->tasks[task].n_classes;
    own.tasks = ctx_alloc(m->ctx, m->n_tasks, sizeof *own.tasks);
    double *t = ctx_alloc(m->ctx, l->n, sizeof *t), *p = ctx_alloc(m->ctx, n, sizeof *p);
    spoor_status status = own.tasks && t && p ? SPOOR_OK : error_memory(err, "calibrating");
    if (status == SPOOR_OK) {
        memcpy(own.tasks, m->tasks, m->n_tasks * sizeof *own.tasks);
        status = m->tasks[task].evidence ? SPOOR_OK : temperatures(m, task, l, logits, folds, t, err);
    }
    for (size_t i = 0; status == SPOOR_OK && i < l->n; i++) {
        float *to = scores + i * width + at;
        own.tasks[task].unseen = m->tasks[task].evidence ? 0 : t[i];
        model_attribute(&own, task, logits + i * width, model_known_probability(m, known[i]), p);
        for (size_t c = 0; c < n; c++) {
            to[c] = (float)p[c];
        }
    }
    ctx_free(m->ctx, own.tasks);
    ctx_free(m->ctx, t);
    ctx_free(m->ctx, p);
    return status;
}

spoor_status unseen_scores(const spoor_model *m, const score_labels *l, const float *logits, const double *known,
                           size_t folds, float *scores, spoor_error *err) {
    for (size_t k = 0; k < m->n_tasks; k++) {
        if (model_is_attribute(m, k) && (m->tasks[k].unseen > 0 || m->tasks[k].evidence)) {
            TRY(say_task(m, k, l, logits, known, folds, scores, err));
        }
    }
    return SPOOR_OK;
}
