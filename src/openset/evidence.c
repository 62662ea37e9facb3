/* evidence.c: what the evidence for an attribute is worth where a source was never heard; see calibrate.h. */
#include "openset/calibrate.h"
#include <math.h>

#define LEAST_SCALE (1.0 / 64)
enum { STEPS = 96 /* of the search for the scale, from the least to 1 */ };

typedef struct problem {
    const float *logits;  /* [n, values] */
    const int32_t *truth;
    double *weight;       /* [n] sums to 1 over the items of a source; 0: left out */
    double *p;            /* [n] of the truth by the evidence */
    const double *share;
    size_t n, values, sources;
} problem;

typedef struct answer { /* the best weight of the evidence at a scale, and the sum of all -ln p */
    double scale, weight, sum;
} answer;

void calibrate_evidence_p(const calibrate_evidence *c, const float *logits, double *p) {
    calibrate_softmax(logits, c->values, 1 / c->scale, p);
    for (size_t v = 0; v < c->values; v++) {
        p[v] = c->weight * p[v] + (1 - c->weight) * c->share[v];
    }
}

static double sum_at(const problem *q, double weight) {
    double sum = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (q->weight[i] > 0) {
            sum -= q->weight[i] * log(fmax(weight * q->p[i] + (1 - weight) * q->share[q->truth[i]], 1e-300));
        }
    }
    return sum;
}

/* Falls as the weight rises: its root is where the sum is least. */
static double rise_at(const problem *q, double weight) {
    double rise = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (q->weight[i] > 0) {
            double s = q->share[q->truth[i]];
            rise += q->weight[i] * (q->p[i] - s) / fmax(weight * q->p[i] + (1 - weight) * s, 1e-300);
        }
    }
    return rise;
}

static answer best_weight(const problem *q, double scale) {
    double p[CALIBRATE_MAX_VALUES], low = 0, high = 1;
    for (size_t i = 0; i < q->n; i++) {
        if (q->weight[i] > 0) {
            calibrate_softmax(q->logits + i * q->values, q->values, 1 / scale, p);
            q->p[i] = p[q->truth[i]];
        }
    }
    bool none = rise_at(q, 0) <= 0, all = rise_at(q, 1) >= 0;
    for (int i = 0; !none && !all && i < 54; i++) {
        double middle = (low + high) / 2;
        *(rise_at(q, middle) > 0 ? &low : &high) = middle;
    }
    double weight = none ? 0 : all ? 1 : (low + high) / 2;
    return (answer){scale, weight, sum_at(q, weight)};
}

static double step_scale(double step) { return exp(log(LEAST_SCALE) * (1 - step / STEPS)); }

/* The best of the steps, of equals the first, and then the best between its neighbours, by golden sections. */
static answer minimise(const problem *q) {
    const double golden = (sqrt(5) - 1) / 2;
    answer best = best_weight(q, LEAST_SCALE);
    int at = 0;
    for (int i = 1; i <= STEPS; i++) {
        answer a = best_weight(q, step_scale(i));
        at = a.sum < best.sum ? i : at;
        best = a.sum < best.sum ? a : best;
    }
    double low = at == 0 ? 0 : at - 1, high = at == STEPS ? STEPS : at + 1;
    for (int i = 0; i < 40; i++) {
        double inner = high - golden * (high - low), outer = low + golden * (high - low);
        answer a = best_weight(q, step_scale(inner)), b = best_weight(q, step_scale(outer));
        *(a.sum <= b.sum ? &high : &low) = a.sum <= b.sum ? outer : inner;
        best = a.sum < best.sum ? a : best;
        best = b.sum < best.sum ? b : best;
    }
    return best;
}

static spoor_status check_shares(const double *share, size_t values, spoor_error *err) {
    double sum = 0;
    bool good = values >= 2 && values <= CALIBRATE_MAX_VALUES;
    for (size_t v = 0; good && v < values; v++) {
        good = share[v] > 0 && share[v] < 1;
        sum += share[v];
    }
    return good && fabs(sum - 1) < 1e-6
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_INPUT, "evidence is fitted for 2 to %d values, each with a share",
                           CALIBRATE_MAX_VALUES);
}

static spoor_status weigh(problem *q, const int32_t *source, double *count, calibrate_evidence *out,
                          spoor_error *err) {
    for (size_t i = 0; i < q->n; i++) {
        if (q->truth[i] < 0 || source[i] < 0) {
            continue;
        }
        if ((size_t)q->truth[i] >= q->values || (size_t)source[i] >= q->n) {
            return error_set(err, SPOOR_ERR_INPUT, "item %zu has label %d of %zu and source %d of %zu", i + 1,
                             (int)q->truth[i], q->values, (int)source[i], q->n);
        }
        for (size_t v = 0; v < q->values; v++) {
            if (!isfinite(q->logits[i * q->values + v])) {
                return error_set(err, SPOOR_ERR_INPUT, "logit %zu of item %zu is not a finite number", v + 1, i + 1);
            }
        }
        out->sources += count[source[i]]++ == 0;
        out->n++;
    }
    for (size_t i = 0; i < q->n; i++) {
        q->weight[i] = q->truth[i] < 0 || source[i] < 0 ? 0 : 1 / count[source[i]];
    }
    return out->sources > 0 ? SPOOR_OK
                            : error_set(err, SPOOR_ERR_INPUT, "no item of a known value is in the set, so that "
                                                              "nothing can be fitted");
}

spoor_status calibrate_evidence_fit(spoor_context *ctx, const float *logits, const int32_t *truth,
                                    const int32_t *source, size_t n, const double *share, size_t values,
                                    calibrate_evidence *out, spoor_error *err) {
    TRY(check_shares(share, values, err));
    *out = (calibrate_evidence){.values = values};
    double *room = ctx_calloc(ctx, n, 3 * sizeof *room);
    if (room == NULL) {
        return error_memory(err, "calibrating");
    }
    problem q = {.logits = logits, .truth = truth, .weight = room, .p = room + n, .share = share, .n = n,
                 .values = values};
    spoor_status status = weigh(&q, source, room + 2 * n, out, err);
    if (status == SPOOR_OK) {
        answer best = minimise(&q);
        (void)best_weight(&q, 1); /* p as the logits stand */
        out->nll_before = sum_at(&q, 1) / (double)out->sources;
        out->nll = best.sum / (double)out->sources;
        out->scale = best.scale;
        out->weight = best.weight;
        for (size_t v = 0; v < values; v++) {
            out->share[v] = share[v];
        }
    }
    ctx_free(ctx, room);
    return status;
}

json_t *calibrate_evidence_to_json(const calibrate_evidence *c) {
    json_t *shares = json_array();
    for (size_t v = 0; shares != NULL && v < c->values; v++) {
        if (json_array_append_new(shares, json_real(c->share[v])) != 0) {
            json_decref(shares);
            shares = NULL;
        }
    }
    return json_pack("{s:f, s:f, s:o, s:I, s:I, s:f, s:f}", "scale", c->scale, "weight", c->weight, "shares", shares,
                     "sources", (json_int_t)c->sources, "n", (json_int_t)c->n, "nll_before", c->nll_before, "nll",
                     c->nll);
}

spoor_status calibrate_evidence_from_json(const json_t *json, size_t values, calibrate_evidence *out,
                                          spoor_error *err) {
    const json_t *scale = json_object_get(json, "scale"), *weight = json_object_get(json, "weight"),
                 *shares = json_object_get(json, "shares");
    calibrate_evidence c = {.scale = json_number_value(scale), .weight = json_number_value(weight), .values = values};
    bool good = json_is_number(scale) && c.scale >= LEAST_SCALE / 2 && c.scale <= 1 && json_is_number(weight) &&
                c.weight >= 0 && c.weight <= 1 && values <= CALIBRATE_MAX_VALUES && json_array_size(shares) == values;
    for (size_t v = 0; good && v < values; v++) {
        c.share[v] = json_number_value(json_array_get(shares, v));
    }
    if (!good || check_shares(c.share, values, NULL) != SPOOR_OK) {
        return error_set(err, SPOOR_ERR_MODEL, "the calibration for unseen sources must have \"scale\" and \"weight\" "
                                               "up to 1 and \"shares\" that sum to 1, one for each value");
    }
    *out = c;
    return SPOOR_OK;
}
