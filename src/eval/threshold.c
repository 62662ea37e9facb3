/* threshold.c: thresholds that one set fixes for another, and what the scores of a set say at a glance; see
 * report_tables.h. */
#include "eval/report_tables.h"
#include "openset/openset.h"
#include <math.h>

static const char *const names[] = {"bona fide", "known"};

/* The labelled scores of a set; targets[n] in front of what is left of them. */
typedef struct labelled {
    double *score, *of_targets;
    unsigned char *target;
    size_t n, targets;
} labelled;

static void collect(const eval_set *set, bool known, labelled *l) {
    for (size_t i = 0; i < set->n; i++) {
        const eval_clip *c = &set->clips[i];
        int flag = known ? c->is_known : c->is_bonafide;
        double score = known ? c->known : c->bonafide;
        if (isnan(score) || flag < 0) {
            continue;
        }
        l->score[l->n] = score;
        l->target[l->n++] = flag > 0;
        if (flag > 0) {
            l->of_targets[l->targets++] = score;
        }
    }
}

static spoor_status at_eer(spoor_context *ctx, const labelled *l, bool known, double *out, spoor_error *err) {
    detection *d;
    TRY(detection_new(ctx, l->score, l->target, l->n, &d, err));
    metric_value v = detection_eer(d, NULL, EER_ASVSPOOF, out);
    detection_free(d);
    return v.reason == NULL ? SPOOR_OK
                            : error_set(err, SPOOR_ERR_INPUT, "the EER fixes no threshold of the %s score: %s",
                                        names[known], v.reason);
}

static spoor_status at_acceptance(spoor_context *ctx, const labelled *l, bool known, double acceptance, double *out,
                                  spoor_error *err) {
    openset o;
    openset_init(&o);
    if (l->targets == 0) {
        return error_set(err, SPOOR_ERR_INPUT,
                         "no threshold of the %s score can be fixed: there is no target with a score", names[known]);
    }
    TRY(openset_fix_threshold(ctx, &o, l->of_targets, l->targets, acceptance, err));
    *out = o.threshold;
    return SPOOR_OK;
}

/* In `l`, which labelled_clear frees, failed or not. */
static spoor_status labelled_new(spoor_context *ctx, const eval_set *set, bool known, labelled *l, spoor_error *err) {
    *l = (labelled){.score = ctx_alloc(ctx, set->n, sizeof *l->score),
                    .of_targets = ctx_alloc(ctx, set->n, sizeof *l->of_targets),
                    .target = ctx_alloc(ctx, set->n, 1)};
    if (l->score == NULL || l->of_targets == NULL || l->target == NULL) {
        return error_memory(err, "collecting scores");
    }
    collect(set, known, l);
    return SPOOR_OK;
}

static void labelled_clear(spoor_context *ctx, labelled *l) {
    ctx_free(ctx, l->score);
    ctx_free(ctx, l->of_targets);
    ctx_free(ctx, l->target);
}

spoor_status eval_fix_threshold(spoor_context *ctx, const eval_set *set, bool known, double acceptance, double *out,
                                spoor_error *err) {
    *out = NAN;
    labelled l;
    spoor_status status = labelled_new(ctx, set, known, &l, err);
    if (status == SPOOR_OK) {
        status =
            acceptance > 0 ? at_acceptance(ctx, &l, known, acceptance, out, err) : at_eer(ctx, &l, known, out, err);
    }
    labelled_clear(ctx, &l);
    return status;
}

spoor_status eval_set_auroc(spoor_context *ctx, const eval_set *set, bool known, double *out, spoor_error *err) {
    *out = NAN;
    labelled l;
    detection *d = NULL;
    spoor_status status = labelled_new(ctx, set, known, &l, err);
    if (status == SPOOR_OK) {
        status = detection_new(ctx, l.score, l.target, l.n, &d, err);
    }
    if (status == SPOOR_OK) {
        *out = detection_auroc(d, NULL).value;
    }
    detection_free(d);
    labelled_clear(ctx, &l);
    return status;
}
