/* known.c: see known.h. */
#include "train/known.h"
#include "eval/metrics.h"
#include "openset/gate.h"
#include "trace/trace.h"
#include <math.h>
#include <string.h>

enum { FOLDS = 5 };

/* ---- scores ---- */

/* The scores of `kinds` of n rows into score[n, OPENSET_KINDS]. */
static spoor_status score_rows(const spoor_model *m, openset_kinds kinds, size_t n, const float *logits,
                               const float *embedding, double *score, spoor_error *err) {
    const model_task *t = &m->tasks[m->known_task];
    size_t width = trace_logits_size(m), at = score_offset(m, m->known_task), dim = (size_t)net_embedding_size(m->net);
    float *kept = ctx_alloc(m->ctx, t->n_classes, sizeof *kept);
    spoor_status status = kept ? SPOOR_OK : error_memory(err, "scoring recordings");
    for (size_t i = 0; status == SPOOR_OK && i < n; i++) {
        size_t classes = model_synthetic_logits(t, logits + i * width + at, kept, NULL);
        status = openset_scores(&m->openset, kinds, kept, classes, embedding ? embedding + i * dim : NULL, dim,
                                score + i * OPENSET_KINDS, err);
    }
    ctx_free(m->ctx, kept);
    return status;
}

spoor_status score_known(const spoor_model *m, size_t n, const float *logits, const float *embedding, double *known,
                         spoor_error *err) {
    if (m->known_task == SIZE_MAX) {
        for (size_t i = 0; i < n; i++) {
            known[i] = NAN;
        }
        return SPOOR_OK;
    }
    double *score = ctx_calloc(m->ctx, n, OPENSET_KINDS * sizeof *score);
    spoor_status status = score ? score_rows(m, OPENSET_BIT(m->openset.kind), n, logits, embedding, score, err)
                                : error_memory(err, "scoring recordings");
    for (size_t i = 0; status == SPOOR_OK && i < n; i++) {
        known[i] = score[i * OPENSET_KINDS + m->openset.kind];
    }
    ctx_free(m->ctx, score);
    return status;
}

/* The clips of which it is stated whether their source is known. */
typedef struct stated {
    size_t *clip; /* [n] */
    double *score; /* [n, OPENSET_KINDS] */
    unsigned char *target;
    int32_t *page;
    size_t n, targets, pages;
} stated;

static void stated_clear(spoor_context *ctx, stated *s) {
    ctx_free(ctx, s->clip);
    ctx_free(ctx, s->score);
    ctx_free(ctx, s->target);
    ctx_free(ctx, s->page);
}

static spoor_status stated_make(const spoor_model *m, openset_kinds kinds, const score_labels *l, const float *logits,
                                const float *embedding, stated *s, spoor_error *err) {
    *s = (stated){.clip = ctx_alloc(m->ctx, l->n, sizeof *s->clip),
                  .score = ctx_calloc(m->ctx, l->n, OPENSET_KINDS * sizeof *s->score),
                  .target = ctx_alloc(m->ctx, l->n, 1)};
    if (!s->clip || !s->score || !s->target) {
        return error_memory(err, "scoring recordings");
    }
    size_t width = trace_logits_size(m), dim = (size_t)net_embedding_size(m->net);
    TRY(score_page_groups(m->ctx, l, &s->page, &s->pages, err));
    for (size_t i = 0; i < l->n; i++) {
        if (l->clip[i].is_known >= 0) {
            TRY(score_rows(m, kinds, 1, logits + i * width, embedding ? embedding + i * dim : NULL,
                           s->score + s->n * OPENSET_KINDS, err));
            s->clip[s->n] = i;
            s->page[s->n] = s->page[i]; /* n <= i */
            s->target[s->n++] = l->clip[i].is_known == 1;
            s->targets += l->clip[i].is_known == 1;
        }
    }
    return SPOOR_OK;
}

static spoor_status cross_gate(const spoor_model *m, openset_kinds members, const stated *s, size_t folds, double *out,
                               spoor_error *err) {
    return openset_gate_cross(m->ctx, members, s->score, s->target, s->page, s->n, folds < s->pages ? folds : s->pages,
                              SCORE_FOLD_SEED, out, err);
}

spoor_status score_known_crossed(const spoor_model *m, const score_labels *l, const float *logits, const float *embedding,
                                 size_t folds, double *known, spoor_error *err) {
    TRY(score_known(m, l->n, logits, embedding, known, err));
    if (m->known_task == SIZE_MAX || m->openset.kind != OPENSET_GATE || folds < 2) {
        return SPOOR_OK;
    }
    stated s;
    spoor_status status = stated_make(m, m->openset.gate.members, l, logits, embedding, &s, err);
    double *crossed = ctx_alloc(m->ctx, l->n, sizeof *crossed);
    if (status == SPOOR_OK && !crossed) {
        status = error_memory(err, "scoring recordings");
    }
    if (status == SPOOR_OK) {
        spoor_error why;
        spoor_status made = cross_gate(m, m->openset.gate.members, &s, folds, crossed, &why);
        if (made == SPOOR_ERR_INPUT) {
            ctx_log(m->ctx, SPOOR_LOG_WARN, "known sources are reported with the model's own gate: %s", why.message);
        } else if (made != SPOOR_OK) {
            status = error_set(err, made, "%s", why.message);
        }
        for (size_t i = 0; made == SPOOR_OK && i < s.n; i++) {
            known[s.clip[i]] = crossed[i];
        }
    }
    ctx_free(m->ctx, crossed);
    stated_clear(m->ctx, &s);
    return status;
}

/* ---- threshold ---- */

static spoor_status describe(spoor_model *m, spoor_error *err) {
    json_t *known = json_pack("{s:s,s:o}", "task", m->tasks[m->known_task].name, "openset", openset_to_json(&m->openset));
    return known && json_object_set_new(m->meta, "known", known) == 0 ? SPOOR_OK : error_memory(err, "calibrating");
}

/* The threshold at the equal error rate; *done is false where dev lacks one of the classes. */
static spoor_status equal_errors(spoor_model *m, const double *score, const unsigned char *target, size_t n, bool *done,
                                 spoor_error *err) {
    detection *d;
    double threshold;
    TRY(detection_new(m->ctx, score, target, n, &d, err));
    *done = detection_eer(d, NULL, EER_ASVSPOOF, &threshold).reason == NULL;
    if (*done) {
        size_t known = detection_count(d, true), accepted = 0;
        for (size_t i = 0; i < n; i++) {
            accepted += target[i] && score[i] >= threshold;
        }
        m->openset.threshold = threshold;
        m->openset.acceptance = (double)accepted / (double)known;
        m->openset.by_eer = true;
    }
    detection_free(d);
    return SPOOR_OK;
}

static spoor_status fix(spoor_model *m, const score_labels *l, const double *known, double acceptance, double *score,
                        unsigned char *target, spoor_error *err) {
    bool done = false;
    size_t n = 0, targets = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (l->clip[i].is_known >= 0) {
            score[n] = known[i];
            target[n++] = l->clip[i].is_known == 1;
        }
    }
    if (acceptance <= 0) {
        TRY(equal_errors(m, score, target, n, &done, err));
        acceptance = 0.95;
        if (!done) {
            ctx_log(m->ctx, SPOOR_LOG_WARN, "dev lacks clips of known or of unknown sources: the threshold accepts %g %% of "
                    "known ones instead of lying at the equal error rate", 100 * acceptance);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (target[i]) {
            score[targets++] = score[i];
        }
    }
    if (targets == 0) {
        ctx_log(m->ctx, SPOOR_LOG_WARN, "dev has no clip of a known source: there is no threshold for unknown ones");
        return SPOOR_OK;
    }
    return done ? SPOOR_OK : openset_fix_threshold(m->ctx, &m->openset, score, targets, acceptance, err);
}

spoor_status known_fix_threshold(spoor_model *m, const score_labels *l, const float *logits, const float *embedding,
                                 double acceptance, spoor_error *err) {
    if (m->known_task == SIZE_MAX) {
        return SPOOR_OK;
    }
    double *known = ctx_alloc(m->ctx, l->n, 2 * sizeof *known);
    unsigned char *target = ctx_alloc(m->ctx, l->n, 1);
    spoor_status status = known && target ? score_known_crossed(m, l, logits, embedding, FOLDS, known, err)
                                          : error_memory(err, "calibrating");
    if (status == SPOOR_OK) {
        status = fix(m, l, known, acceptance, known + l->n, target, err);
    }
    ctx_free(m->ctx, known);
    ctx_free(m->ctx, target);
    return status == SPOOR_OK ? describe(m, err) : status;
}
