/* unseen_learn.c: what clips of left-out sources say of unseen ones; see unseen.h. */
#include "train/unseen.h"
#include "train/known.h"
#include <math.h>
#include <string.h>

/* ---- rows ---- */

static size_t values_of(const spoor_model *m, size_t task) {
    return m->tasks[task].n_classes - (m->tasks[task].human >= 0);
}

spoor_status unseen_rows_new(const spoor_model *m, size_t most, unseen_rows *out, spoor_error *err) {
    *out = (unseen_rows){.ctx = m->ctx};
    for (size_t k = 0; k < m->n_tasks; k++) {
        out->attributes += model_is_attribute(m, k);
        out->width += model_is_attribute(m, k) ? values_of(m, k) : 0;
    }
    out->source = ctx_alloc(m->ctx, most, sizeof *out->source);
    out->known = ctx_alloc(m->ctx, most, 1);
    out->score = ctx_alloc(m->ctx, most, sizeof *out->score);
    out->truth = ctx_alloc(m->ctx, most, out->attributes * sizeof *out->truth);
    out->evidence = ctx_alloc(m->ctx, most, out->width * sizeof *out->evidence);
    if (!out->source || !out->known || !out->score || !out->truth || !out->evidence) {
        unseen_rows_clear(out);
        return error_memory(err, "learning of unseen sources");
    }
    return SPOOR_OK;
}

void unseen_rows_clear(unseen_rows *rows) {
    ctx_free(rows->ctx, rows->source);
    ctx_free(rows->ctx, rows->known);
    ctx_free(rows->ctx, rows->score);
    ctx_free(rows->ctx, rows->truth);
    ctx_free(rows->ctx, rows->evidence);
}

/* ---- an attribute ---- */

/* Clips of one attribute whose source was left out and whose value is known. */
typedef struct heard {
    float *logits; /* [n, values] */
    int32_t *truth, *source, *kept;
    size_t n, values, sources;
    double with[CALIBRATE_MAX_VALUES]; /* how many sources have each value, those that are never left out too */
} heard;

static void heard_free(spoor_context *ctx, heard *h) {
    ctx_free(ctx, h->logits);
    ctx_free(ctx, h->truth);
    ctx_free(ctx, h->source);
    ctx_free(ctx, h->kept);
}

static void count_values(const unseen_rows *rows, size_t attribute, bool *counted, heard *h) {
    for (size_t i = 0; i < rows->n; i++) {
        int32_t truth = rows->truth[i * rows->attributes + attribute];
        if (truth >= 0 && truth < CALIBRATE_MAX_VALUES && !counted[rows->source[i]]) {
            counted[rows->source[i]] = true;
            h->with[truth]++;
        }
    }
}

/* (sources of the value + 1) / (sources + values), without one source of value `but` (-1: with all). */
static void shares_of(const heard *h, int32_t but, double *share) {
    double sum = 0;
    for (size_t v = 0; v < h->values; v++) {
        share[v] = h->with[v] + 1 - ((int32_t)v == but && h->with[v] > 0);
        sum += share[v];
    }
    for (size_t v = 0; v < h->values; v++) {
        share[v] /= sum;
    }
}

static spoor_status heard_make(const spoor_model *m, const unseen_rows *rows, size_t attribute, size_t first,
                               size_t values, heard *h, spoor_error *err) {
    size_t most = m->tasks[m->known_task].n_classes;
    *h = (heard){.logits = ctx_alloc(m->ctx, rows->n, values * sizeof *h->logits),
                 .truth = ctx_alloc(m->ctx, rows->n, sizeof *h->truth),
                 .source = ctx_alloc(m->ctx, rows->n, sizeof *h->source),
                 .kept = ctx_alloc(m->ctx, rows->n, sizeof *h->kept), .values = values};
    int32_t *number = ctx_alloc(m->ctx, most, sizeof *number);
    bool *counted = ctx_calloc(m->ctx, most, sizeof *counted);
    if (!h->logits || !h->truth || !h->source || !h->kept || !number || !counted) {
        ctx_free(m->ctx, number);
        ctx_free(m->ctx, counted);
        heard_free(m->ctx, h);
        return error_memory(err, "learning of unseen sources");
    }
    memset(number, 0xff, most * sizeof *number); /* -1 */
    for (size_t i = 0; i < rows->n; i++) {
        int32_t truth = rows->truth[i * rows->attributes + attribute], *of = &number[rows->source[i]];
        if (!rows->known[i] && truth >= 0) {
            *of = *of < 0 ? (int32_t)h->sources++ : *of;
            memcpy(h->logits + h->n * values, rows->evidence + i * rows->width + first, values * sizeof *h->logits);
            h->truth[h->n] = truth;
            h->source[h->n++] = *of;
        }
    }
    count_values(rows, attribute, counted, h);
    ctx_free(m->ctx, number);
    ctx_free(m->ctx, counted);
    return SPOOR_OK;
}

typedef struct held_out { /* means over sources */
    double accuracy, confidence, nll;
} held_out;

/* Adds the answers about source s, by a fit on the others, to the means. */
static spoor_status judge_source(spoor_context *ctx, const heard *h, int32_t s, held_out *out, spoor_error *err) {
    calibrate_evidence c;
    double p[CALIBRATE_MAX_VALUES], usual[CALIBRATE_MAX_VALUES], count = 0;
    int32_t value = -1; /* of its first clip, as it was counted */
    for (size_t i = 0; i < h->n; i++) {
        h->kept[i] = h->source[i] == s ? -1 : h->truth[i];
        value = h->source[i] == s && count == 0 ? h->truth[i] : value;
        count += h->source[i] == s;
    }
    shares_of(h, value, usual);
    TRY(calibrate_evidence_fit(ctx, h->logits, h->kept, h->source, h->n, usual, h->values, &c, err));
    double share = 1 / (count * (double)h->sources);
    for (size_t i = 0; i < h->n; i++) {
        if (h->source[i] != s) {
            continue;
        }
        size_t best = 0;
        calibrate_evidence_p(&c, h->logits + i * h->values, p);
        for (size_t v = 1; v < h->values; v++) {
            best = p[v] > p[best] ? v : best;
        }
        out->accuracy += (int32_t)best == h->truth[i] ? share : 0;
        out->confidence += share * p[best];
        out->nll -= share * log(fmax(p[h->truth[i]], 1e-300));
    }
    return SPOOR_OK;
}

static spoor_status keep(spoor_model *m, size_t task, const calibrate_evidence *c, const held_out *j,
                         spoor_error *err) {
    json_t *entry = json_array_get(json_object_get(m->meta, "tasks"), task), *json = calibrate_evidence_to_json(c);
    if (!m->tasks[task].evidence) {
        m->tasks[task].evidence = ctx_alloc(m->ctx, 1, sizeof *c);
    }
    json_t *left = json_pack("{s:f, s:f, s:f}", "accuracy", j->accuracy, "confidence", j->confidence, "nll", j->nll);
    int bad = !m->tasks[task].evidence || !json || json_object_set(json, "left_out", left) != 0 ||
              json_object_set(entry, "calibration_unseen", json) != 0;
    json_decref(left);
    json_decref(json);
    if (bad) {
        return error_memory(err, "learning of unseen sources");
    }
    *m->tasks[task].evidence = *c;
    m->tasks[task].unseen = 0;
    ctx_log(m->ctx, SPOOR_LOG_INFO, "%s of %zu sources that were left out in turn: %.1f %% right, %.1f %% sure",
            m->tasks[task].name, c->sources, 100 * j->accuracy, 100 * j->confidence);
    return SPOOR_OK;
}

static spoor_status learn_task(spoor_model *m, size_t task, const heard *h, spoor_error *err) {
    calibrate_evidence c;
    double usual[CALIBRATE_MAX_VALUES];
    held_out j = {0};
    if (h->sources < 2 || h->values < 2 || h->values > CALIBRATE_MAX_VALUES) {
        ctx_log(m->ctx, SPOOR_LOG_WARN, "%s: %zu sources that were left out have a value, too few to learn what is to "
                "be said of unseen ones", m->tasks[task].name, h->sources);
        return SPOOR_OK;
    }
    shares_of(h, -1, usual);
    TRY(calibrate_evidence_fit(m->ctx, h->logits, h->truth, h->source, h->n, usual, h->values, &c, err));
    for (size_t s = 0; s < h->sources; s++) {
        TRY(judge_source(m->ctx, h, (int32_t)s, &j, err));
    }
    return keep(m, task, &c, &j, err);
}

/* ---- known or not ---- */

static spoor_status learn_odds(spoor_model *m, const unseen_rows *rows, spoor_error *err) {
    size_t known = 0;
    for (size_t i = 0; i < rows->n; i++) {
        known += rows->known[i];
    }
    if (known == 0 || known == rows->n) {
        ctx_log(m->ctx, SPOOR_LOG_WARN, "dev has no clip of a known source: what the known score says of it is not "
                "known");
        return SPOOR_OK;
    }
    TRY(calibrate_logistic_fit(rows->score, rows->known, rows->n, 0.5, &m->odds, err));
    m->has_odds = true;
    return known_describe(m, err);
}

spoor_status unseen_learn(spoor_model *m, const unseen_rows *rows, spoor_error *err) {
    size_t first = 0, attribute = 0;
    for (size_t k = 0; k < m->n_tasks; k++) {
        if (!model_is_attribute(m, k)) {
            continue;
        }
        heard h;
        TRY(heard_make(m, rows, attribute++, first, values_of(m, k), &h, err));
        first += values_of(m, k);
        spoor_status status = learn_task(m, k, &h, err);
        heard_free(m->ctx, &h);
        TRY(status);
    }
    return learn_odds(m, rows, err);
}
