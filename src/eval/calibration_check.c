/* calibration_check.c: see calibration_check.h. */
#include "eval/calibration_check.h"
#include <math.h>

typedef struct scratch {
    double *p, *confidence;
    unsigned char *correct;
    uint32_t *order;
} scratch;

static spoor_status scratch_new(spoor_context *ctx, size_t n, size_t classes, scratch *s, spoor_error *err) {
    *s = (scratch){ctx_alloc(ctx, n, classes * sizeof *s->p), ctx_alloc(ctx, n, sizeof *s->confidence),
                   ctx_alloc(ctx, n, 1), ctx_alloc(ctx, n, sizeof *s->order)};
    if (s->p == NULL || s->confidence == NULL || s->correct == NULL || s->order == NULL) {
        return error_memory(err, "checking a calibration");
    }
    return SPOOR_OK;
}

static void scratch_clear(spoor_context *ctx, scratch *s) {
    ctx_free(ctx, s->p);
    ctx_free(ctx, s->confidence);
    ctx_free(ctx, s->correct);
    ctx_free(ctx, s->order);
}

static void put_ece(const scratch *s, size_t n, calibration_quality *q) {
    metric_order(s->confidence, n, s->order);
    q->ece = metric_ece(s->confidence, s->correct, n, NULL, METRIC_ECE_BINS);
    q->ece_adaptive = metric_ece_adaptive(s->confidence, s->correct, s->order, n, NULL, METRIC_ECE_BINS);
}

/* ---- a task ------------------------------------------------------------------------------------------- */

/* From s->p[n, classes]; returns how many items are labelled. */
static size_t task_quality(const scratch *s, const int32_t *truth, size_t n, size_t classes, calibration_quality *q) {
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        const double *p = s->p + i * classes;
        size_t best = 0;
        for (size_t k = 1; k < classes; k++) {
            best = p[k] > p[best] ? k : best;
        }
        if (truth[i] >= 0) {
            s->confidence[m] = p[best] > 1 ? 1 : p[best]; /* a sum of rounded terms */
            s->correct[m++] = best == (size_t)truth[i];
        }
    }
    put_ece(s, m, q);
    q->loss = metric_nll(s->p, truth, n, classes, NULL);
    return m;
}

static void soften(const float *logits, size_t n, size_t classes, double temperature, double *p) {
    for (size_t i = 0; i < n; i++) {
        calibrate_softmax(logits + i * classes, classes, temperature, p + i * classes);
    }
}

spoor_status calibration_check_task(spoor_context *ctx, const float *logits, const int32_t *truth, const int32_t *group,
                                    size_t n, size_t classes, size_t folds, uint64_t seed, calibration_check *out,
                                    spoor_error *err) {
    calibrate_temperature fit;
    TRY(calibrate_temperature_fit(logits, truth, n, classes, &fit, err));
    scratch s;
    spoor_status status = scratch_new(ctx, n, classes, &s, err);
    if (status == SPOOR_OK) {
        soften(logits, n, classes, 1, s.p);
        out->n = task_quality(&s, truth, n, classes, &out->before);
        soften(logits, n, classes, fit.temperature, s.p);
        (void)task_quality(&s, truth, n, classes, &out->fitted);
        status = calibrate_temperature_cross(ctx, logits, truth, group, n, classes, folds, seed, s.p, err);
    }
    if (status == SPOOR_OK) {
        (void)task_quality(&s, truth, n, classes, &out->crossed);
    }
    scratch_clear(ctx, &s);
    return status;
}

/* ---- a score ------------------------------------------------------------------------------------------ */

/* From s->p[n] as llr. */
static spoor_status score_quality(spoor_context *ctx, const scratch *s, const unsigned char *target, size_t n,
                                  calibration_quality *q, spoor_error *err) {
    double targets = 0;
    for (size_t i = 0; i < n; i++) {
        targets += target[i] != 0;
    }
    double shift = log(targets / ((double)n - targets));
    for (size_t i = 0; i < n; i++) {
        s->confidence[i] = 1 / (1 + exp(-(s->p[i] + shift)));
        s->correct[i] = target[i] != 0;
    }
    put_ece(s, n, q);
    detection *d;
    TRY(detection_new(ctx, s->p, target, n, &d, err));
    q->loss = detection_cllr(d, NULL);
    detection_free(d);
    return SPOOR_OK;
}

static spoor_status check_score(spoor_context *ctx, const double *score, const unsigned char *target,
                                const int32_t *group, size_t n, const calibrate_logistic *fit, size_t folds, uint64_t seed,
                                const scratch *s, calibration_check *out, spoor_error *err) {
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        s->p[i] = score[i];
    }
    TRY(score_quality(ctx, s, target, n, &out->before, err));
    for (size_t i = 0; i < n; i++) {
        s->p[i] = calibrate_logistic_llr(fit, score[i]);
    }
    TRY(score_quality(ctx, s, target, n, &out->fitted, err));
    TRY(calibrate_logistic_cross(ctx, score, target, group, n, fit->prior, folds, seed, s->p, err));
    return score_quality(ctx, s, target, n, &out->crossed, err);
}

spoor_status calibration_check_score(spoor_context *ctx, const double *score, const unsigned char *target,
                                     const int32_t *group, size_t n, double prior, size_t folds, uint64_t seed,
                                     calibration_check *out, spoor_error *err) {
    calibrate_logistic fit;
    TRY(calibrate_logistic_fit(score, target, n, prior, &fit, err));
    scratch s;
    spoor_status status = scratch_new(ctx, n, 1, &s, err);
    if (status == SPOOR_OK) {
        status = check_score(ctx, score, target, group, n, &fit, folds, seed, &s, out, err);
    }
    scratch_clear(ctx, &s);
    return status;
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static json_t *number(metric_value v) { return isfinite(v.value) ? json_real(v.value) : json_null(); }

static json_t *quality(const calibration_quality *q, const char *loss_name) {
    return json_pack("{s:o, s:o, s:o}", "ece", number(q->ece), "ece_adaptive", number(q->ece_adaptive), loss_name,
                     number(q->loss));
}

json_t *calibration_check_to_json(const calibration_check *c, const char *loss_name) {
    return json_pack("{s:I, s:o, s:o, s:o}", "n", (json_int_t)c->n, "before", quality(&c->before, loss_name), "fitted",
                     quality(&c->fitted, loss_name), "crossed", quality(&c->crossed, loss_name));
}
