/* logistic.c: a two-class score to a log-likelihood ratio; see calibrate.h. */
#include "openset/calibrate.h"
#include <math.h>

/* Items whose fold is not `skip` (fold NULL: all). */
typedef struct problem {
    const double *score;
    const unsigned char *target;
    const uint32_t *fold;
    uint32_t skip;
    size_t n;
    double prior;
} problem;

/* What the fit needs of its items: scores are standardised, so that Newton's steps are well scaled. */
typedef struct sums {
    size_t targets, others;
    double mean, deviation;
} sums;

static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }
static double logit(double p) { return log(p) - log1p(-p); }
static bool taken(const problem *q, size_t i) { return q->fold == NULL || q->fold[i] != q->skip; }

static sums add_up(const problem *q) {
    sums s = {0};
    double n = 0, square = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (taken(q, i)) {
            *(q->target[i] ? &s.targets : &s.others) += 1;
            n++;
            double d = q->score[i] - s.mean; /* Welford */
            s.mean += d / n;
            square += d * (q->score[i] - s.mean);
        }
    }
    s.deviation = n > 0 ? sqrt(square / n) : 0;
    return s;
}

/* Value, gradient and Hessian at x = a * z + b + logit(prior), z the standardised score:
 *   prior / Nt * sum over targets + (1 - prior) / No * sum over others of  t softplus(-x) + (1 - t) softplus(x),
 * t = (Nt + 1) / (Nt + 2) for targets and 1 / (No + 2) for others (Platt). h = {aa, ab, bb}. */
static double objective(const problem *q, const sums *s, double a, double b, double g[2], double h[3]) {
    double value = 0, nt = (double)s->targets, no = (double)s->others;
    g[0] = g[1] = h[0] = h[1] = h[2] = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (!taken(q, i)) {
            continue;
        }
        double w = q->target[i] ? q->prior / nt : (1 - q->prior) / no;
        double t = q->target[i] ? (nt + 1) / (nt + 2) : 1 / (no + 2);
        double z = (q->score[i] - s->mean) / s->deviation, x = a * z + b + logit(q->prior);
        double p = sigmoid(x), d = w * (p - t), c = w * p * (1 - p);
        value += w * (t * softplus(-x) + (1 - t) * softplus(x));
        g[0] += d * z;
        g[1] += d;
        h[0] += c * z * z;
        h[1] += c * z;
        h[2] += c;
    }
    return value;
}

/* Newton with halved steps on a convex function of two variables. */
static void minimise(const problem *q, const sums *s, double *a, double *b) {
    double g[2], h[3], unused_g[2], unused_h[3];
    *a = *b = 0;
    double value = objective(q, s, *a, *b, g, h);
    bool near = false; /* the last step's predicted gain was rounding: Newton has squared the error since */
    for (int i = 0; i < 200 && !near; i++) {
        double ridge = 1e-12 * (h[0] + h[2]) + 1e-300;
        double aa = h[0] + ridge, bb = h[2] + ridge, det = aa * bb - h[1] * h[1];
        double da = (bb * g[0] - h[1] * g[1]) / det, db = (aa * g[1] - h[1] * g[0]) / det, step = 1;
        near = !(g[0] * da + g[1] * db > 1e-14);
        while (step > 1e-10 && !(objective(q, s, *a - step * da, *b - step * db, unused_g, unused_h) <= value)) {
            step /= 2;
        }
        if (step <= 1e-10) {
            break; /* at the rounding of the minimum */
        }
        *a -= step * da;
        *b -= step * db;
        value = objective(q, s, *a, *b, g, h);
    }
}

static spoor_status fit(const problem *q, calibrate_logistic *out, spoor_error *err) {
    sums s = add_up(q);
    if (s.targets == 0 || s.others == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "a calibration needs both classes; the set has %zu targets and %zu "
                                               "others",
                         s.targets, s.others);
    }
    double a = 0, b = 0;
    if (s.deviation > 0) {
        minimise(q, &s, &a, &b);
    }
    *out = (calibrate_logistic){.prior = q->prior, .targets = s.targets, .others = s.others, .informative = a > 0};
    if (out->informative) {
        out->scale = a / s.deviation;
        out->offset = b - a * s.mean / s.deviation;
    }
    return SPOOR_OK;
}

static spoor_status check(const problem *q, spoor_error *err) {
    if (!(q->prior > 0 && q->prior < 1)) {
        return error_set(err, SPOOR_ERR_INPUT, "the prior of a calibration must lie between 0 and 1, not %g", q->prior);
    }
    for (size_t i = 0; i < q->n; i++) {
        if (!isfinite(q->score[i])) {
            return error_set(err, SPOOR_ERR_INPUT, "score %zu of %zu is not a finite number", i + 1, q->n);
        }
    }
    return SPOOR_OK;
}

spoor_status calibrate_logistic_fit(const double *score, const unsigned char *target, size_t n, double prior,
                                    calibrate_logistic *out, spoor_error *err) {
    problem q = {.score = score, .target = target, .n = n, .prior = prior};
    TRY(check(&q, err));
    return fit(&q, out, err);
}

double calibrate_logistic_llr(const calibrate_logistic *c, double score) { return c->scale * score + c->offset; }

double calibrate_logistic_p(const calibrate_logistic *c, double score) {
    return sigmoid(calibrate_logistic_llr(c, score) + logit(c->prior));
}

spoor_status calibrate_logistic_cross(spoor_context *ctx, const double *score, const unsigned char *target,
                                      const int32_t *group, size_t n, double prior, size_t folds, uint64_t seed,
                                      double *llr, spoor_error *err) {
    problem q = {.score = score, .target = target, .n = n, .prior = prior};
    TRY(check(&q, err));
    uint32_t *fold = ctx_alloc(ctx, n, sizeof *fold);
    if (fold == NULL) {
        return error_memory(err, "cross-fitting a calibration");
    }
    spoor_status status = calibrate_folds(ctx, group, n, folds, seed, fold, err);
    q.fold = fold;
    for (uint32_t f = 0; status == SPOOR_OK && f < folds; f++) {
        calibrate_logistic c;
        q.skip = f;
        status = fit(&q, &c, err);
        for (size_t i = 0; status == SPOOR_OK && i < n; i++) {
            if (fold[i] == f) {
                llr[i] = calibrate_logistic_llr(&c, score[i]);
            }
        }
    }
    ctx_free(ctx, fold);
    return status;
}

json_t *calibrate_logistic_to_json(const calibrate_logistic *c) {
    return json_pack("{s:f, s:f, s:f, s:b, s:I, s:I}", "scale", c->scale, "offset", c->offset, "prior", c->prior,
                     "informative", c->informative, "targets", (json_int_t)c->targets, "others", (json_int_t)c->others);
}

static size_t whole(const json_t *json, const char *key) {
    json_int_t v = json_integer_value(json_object_get(json, key));
    return v > 0 ? (size_t)v : 0;
}

spoor_status calibrate_logistic_from_json(const json_t *json, calibrate_logistic *out, spoor_error *err) {
    const json_t *scale = json_object_get(json, "scale"), *offset = json_object_get(json, "offset");
    calibrate_logistic c = {.scale = json_number_value(scale),
                            .offset = json_number_value(offset),
                            .prior = json_number_value(json_object_get(json, "prior")),
                            .informative = json_is_true(json_object_get(json, "informative")),
                            .targets = whole(json, "targets"),
                            .others = whole(json, "others")};
    if (!json_is_number(scale) || !isfinite(c.scale) || c.scale < 0) {
        return error_set(err, SPOOR_ERR_MODEL, "calibration: \"scale\" is missing or below 0");
    }
    if (!json_is_number(offset) || !isfinite(c.offset)) {
        return error_set(err, SPOOR_ERR_MODEL, "calibration: \"offset\" is missing or no number");
    }
    if (!(c.prior > 0 && c.prior < 1)) {
        return error_set(err, SPOOR_ERR_MODEL, "calibration: \"prior\" is missing or not between 0 and 1");
    }
    *out = c;
    return SPOOR_OK;
}
