/* temperature.c: softmax, mean logits and the temperature of a task; see calibrate.h. */
#include "openset/calibrate.h"
#include <math.h>

#define LEAST_BETA 0.01 /* beta = 1 / T */
#define MOST_BETA 100.0

/* The items of a fit: all with truth >= 0 whose fold is not `skip` (fold NULL: all). */
typedef struct problem {
    const float *logits;
    const int32_t *truth;
    const uint32_t *fold;
    uint32_t skip;
    size_t n, classes;
} problem;

void calibrate_mean_logits(const float *logits, size_t windows, size_t classes, float *mean) {
    for (size_t k = 0; k < classes; k++) {
        double sum = 0;
        for (size_t w = 0; w < windows; w++) {
            sum += (double)logits[w * classes + k];
        }
        mean[k] = (float)(sum / (double)windows);
    }
}

void calibrate_softmax(const float *logits, size_t classes, double temperature, double *p) {
    double most = -INFINITY, sum = 0;
    for (size_t k = 0; k < classes; k++) {
        most = logits[k] > most ? (double)logits[k] : most;
    }
    for (size_t k = 0; k < classes; k++) {
        p[k] = exp(((double)logits[k] - most) / temperature);
        sum += p[k];
    }
    for (size_t k = 0; k < classes; k++) {
        p[k] /= sum;
    }
}

static bool taken(const problem *q, size_t i) { return q->truth[i] >= 0 && (q->fold == NULL || q->fold[i] != q->skip); }

static size_t count_taken(const problem *q) {
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++) {
        n += taken(q, i);
    }
    return n;
}

/* Mean NLL at beta, and its derivative: mean of E_p[z] - z_truth, which rises with beta (its own is a variance). */
static double mean_nll(const problem *q, double beta, double *slope) {
    double nll = 0, d = 0, n = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (!taken(q, i)) {
            continue;
        }
        const float *z = q->logits + i * q->classes;
        double most = (double)z[0], sum = 0, first = 0, mine = (double)z[q->truth[i]];
        for (size_t k = 1; k < q->classes; k++) {
            most = (double)z[k] > most ? (double)z[k] : most;
        }
        for (size_t k = 0; k < q->classes; k++) {
            double e = exp(beta * ((double)z[k] - most));
            sum += e;
            first += e * ((double)z[k] - most);
        }
        nll += log(sum) - beta * (mine - most);
        d += first / sum - (mine - most);
        n++;
    }
    *slope = d / n;
    return nll / n;
}

/* The root of the slope, by bisection of log beta: the NLL is convex, so that nothing can go wrong. */
static void minimise(const problem *q, calibrate_temperature *out) {
    double low = log(LEAST_BETA), high = log(MOST_BETA), slope;
    *out = (calibrate_temperature){.temperature = 1, .n = count_taken(q)};
    out->nll_before = mean_nll(q, 1, &slope);
    (void)mean_nll(q, LEAST_BETA, &slope);
    bool flat = slope >= 0;
    (void)mean_nll(q, MOST_BETA, &slope);
    bool sharp = slope <= 0;
    for (int i = 0; !flat && !sharp && i < 54; i++) {
        double middle = (low + high) / 2;
        (void)mean_nll(q, exp(middle), &slope);
        *(slope < 0 ? &low : &high) = middle;
    }
    double beta = flat ? LEAST_BETA : sharp ? MOST_BETA : exp((low + high) / 2);
    out->at_limit = flat || sharp;
    out->temperature = 1 / beta;
    out->nll = mean_nll(q, beta, &slope);
}

static spoor_status check(const problem *q, spoor_error *err) {
    if (q->classes < 2) {
        return error_set(err, SPOOR_ERR_INPUT, "a temperature needs at least two classes, not %zu", q->classes);
    }
    for (size_t i = 0; i < q->n; i++) {
        if (q->truth[i] >= 0 && (size_t)q->truth[i] >= q->classes) {
            return error_set(err, SPOOR_ERR_INPUT, "item %zu has label %d, but there are %zu classes", i + 1,
                             (int)q->truth[i], q->classes);
        }
        for (size_t k = 0; k < q->classes; k++) {
            if (!isfinite(q->logits[i * q->classes + k])) {
                return error_set(err, SPOOR_ERR_INPUT, "logit %zu of item %zu is not a finite number", k + 1, i + 1);
            }
        }
    }
    if (count_taken(q) == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "no item of a known class is in the set, so that no temperature can be "
                                               "fitted");
    }
    return SPOOR_OK;
}

spoor_status calibrate_temperature_fit(const float *logits, const int32_t *truth, size_t n, size_t classes,
                                       calibrate_temperature *out, spoor_error *err) {
    problem q = {.logits = logits, .truth = truth, .n = n, .classes = classes};
    TRY(check(&q, err));
    minimise(&q, out);
    return SPOOR_OK;
}

spoor_status calibrate_temperature_cross(spoor_context *ctx, const float *logits, const int32_t *truth,
                                         const int32_t *group, size_t n, size_t classes, size_t folds, uint64_t seed,
                                         double *p, spoor_error *err) {
    problem q = {.logits = logits, .truth = truth, .n = n, .classes = classes};
    TRY(check(&q, err));
    uint32_t *fold = ctx_alloc(ctx, n, sizeof *fold);
    if (fold == NULL) {
        return error_memory(err, "cross-fitting a temperature");
    }
    spoor_status status = calibrate_folds(ctx, group, n, folds, seed, fold, err);
    q.fold = fold;
    for (uint32_t f = 0; status == SPOOR_OK && f < folds; f++) {
        calibrate_temperature c;
        q.skip = f;
        if (count_taken(&q) == 0) {
            status = error_set(err, SPOOR_ERR_INPUT, "without fold %u no labelled item is left to fit a temperature "
                                                     "on", f);
            break;
        }
        minimise(&q, &c);
        for (size_t i = 0; i < n; i++) {
            if (fold[i] == f) {
                calibrate_softmax(logits + i * classes, classes, c.temperature, p + i * classes);
            }
        }
    }
    ctx_free(ctx, fold);
    return status;
}

json_t *calibrate_temperature_to_json(const calibrate_temperature *c) {
    return json_pack("{s:f, s:b, s:I, s:f, s:f}", "temperature", c->temperature, "at_limit", c->at_limit, "n",
                     (json_int_t)c->n, "nll_before", c->nll_before, "nll", c->nll);
}

spoor_status calibrate_temperature_from_json(const json_t *json, calibrate_temperature *out, spoor_error *err) {
    const json_t *n = json_object_get(json, "n");
    calibrate_temperature c = {.temperature = json_number_value(json_object_get(json, "temperature")),
                               .at_limit = json_is_true(json_object_get(json, "at_limit")),
                               .n = json_integer_value(n) > 0 ? (size_t)json_integer_value(n) : 0,
                               .nll_before = json_number_value(json_object_get(json, "nll_before")),
                               .nll = json_number_value(json_object_get(json, "nll"))};
    if (!(c.temperature > 0) || !isfinite(c.temperature)) {
        return error_set(err, SPOOR_ERR_MODEL, "calibration: \"temperature\" is missing or not above 0");
    }
    *out = c;
    return SPOOR_OK;
}
