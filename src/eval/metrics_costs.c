/* metrics_costs.c: two-class figures that weigh errors: detection costs, Cllr, precision; see metrics.h. */
#include "eval/metrics_internal.h"
#include <math.h>
#include <string.h>

#define LN2 0.69314718055994530942

/* ---- detection cost ----------------------------------------------------------------------------------- */

/* Forensics and intelligence: priors of a claim being true at equal costs. ASVspoof 5: the evaluation package of track
 * 1 (a spoof has the prior .05). */
static const dcf_profile PROFILES[] = {
    {"forensics", 0.01, 1, 1}, {"intelligence", 0.10, 1, 1}, {"asvspoof5", 0.95, 1, 10}};

const dcf_profile *dcf_profile_named(const char *name) {
    for (size_t i = 0; i < sizeof PROFILES / sizeof *PROFILES; i++) {
        if (strcmp(PROFILES[i].name, name) == 0) {
            return &PROFILES[i];
        }
    }
    return NULL;
}

const dcf_profile *dcf_profile_at(size_t index) {
    return index < sizeof PROFILES / sizeof *PROFILES ? &PROFILES[index] : NULL;
}

double dcf_bayes_threshold(const dcf_profile *p) { return log(p->c_fa * (1 - p->prior) / (p->c_miss * p->prior)); }

static double cost(const dcf_profile *p, double frr, double far) {
    return p->c_miss * p->prior * frr + p->c_fa * (1 - p->prior) * far;
}

/* What deciding always for one side costs, the better of the two. */
static double cost_of_nothing(const dcf_profile *p, bool normalised) {
    return normalised ? fmin(p->c_miss * p->prior, p->c_fa * (1 - p->prior)) : 1;
}

metric_value detection_min_dcf(const detection *d, const uint32_t *weight, const dcf_profile *p, bool normalised,
                               double *threshold) {
    detection_totals t = detection_count_all(d, weight);
    const char *missing = detection_missing(t);
    if (threshold != NULL) {
        *threshold = NAN;
    }
    if (missing != NULL) {
        return metric_undefined(missing);
    }
    double miss = 0, pass = t.others, best = INFINITY, cut = NAN;
    size_t at = 0;
    detection_run r;
    for (bool more = true; more;) {
        more = detection_run_up(d, weight, &at, &r);
        double here = cost(p, miss / t.targets, pass / t.others);
        if (here < best) {
            best = here;
            cut = more ? r.score : INFINITY;
        }
        if (more) {
            miss += r.targets;
            pass -= r.others;
        }
    }
    if (threshold != NULL) {
        *threshold = cut;
    }
    return metric_defined(best / cost_of_nothing(p, normalised));
}

metric_value detection_at(const detection *d, const uint32_t *weight, double threshold, detection_rate rate) {
    detection_totals t = detection_count_all(d, weight);
    double miss = 0, pass = 0;
    if (rate == DETECTION_ACCURACY ? t.targets + t.others == 0 : detection_missing(t) != NULL) {
        return metric_undefined(detection_missing(t));
    }
    for (size_t i = 0; i < d->n; i++) {
        const detection_item *x = &d->items[i];
        bool accepted = x->score >= threshold;
        miss += x->target && !accepted ? detection_weight(x, weight) : 0;
        pass += !x->target && accepted ? detection_weight(x, weight) : 0;
    }
    switch (rate) {
    case DETECTION_FRR: return metric_defined(miss / t.targets);
    case DETECTION_FAR: return metric_defined(pass / t.others);
    case DETECTION_ACCURACY: break;
    }
    return metric_defined(1 - (miss + pass) / (t.targets + t.others));
}

metric_value detection_act_dcf(const detection *d, const uint32_t *weight, const dcf_profile *p, bool normalised) {
    double threshold = dcf_bayes_threshold(p);
    metric_value frr = detection_at(d, weight, threshold, DETECTION_FRR);
    metric_value far = detection_at(d, weight, threshold, DETECTION_FAR);
    if (frr.reason != NULL) {
        return frr;
    }
    return metric_defined(cost(p, frr.value, far.value) / cost_of_nothing(p, normalised));
}

/* ---- likelihood ratios -------------------------------------------------------------------------------- */

static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

metric_value detection_cllr(const detection *d, const uint32_t *weight) {
    detection_totals t = detection_count_all(d, weight);
    if (detection_missing(t) != NULL) {
        return metric_undefined(detection_missing(t));
    }
    double targets = 0, others = 0;
    for (size_t i = 0; i < d->n; i++) {
        double w = detection_weight(&d->items[i], weight);
        if (w > 0) { /* 0 * Inf is NaN */
            double s = d->items[i].score;
            *(d->items[i].target ? &targets : &others) += w * softplus(d->items[i].target ? -s : s);
        }
    }
    return metric_defined((targets / t.targets + others / t.others) / (2 * LN2));
}

/* Pool adjacent violators: blocks of rising odds of a target. In each the best LLR is the log of (share of the targets
 * / share of the others); a block with one side only costs nothing. */
metric_value detection_min_cllr(const detection *d, const uint32_t *weight) {
    detection_totals t = detection_count_all(d, weight);
    if (detection_missing(t) != NULL) {
        return metric_undefined(detection_missing(t));
    }
    detection_run *block = d->scratch, r;
    size_t n = 0, at = 0;
    while (detection_run_up(d, weight, &at, &r)) {
        for (; n > 0 && block[n - 1].targets * r.others >= r.targets * block[n - 1].others; n--) {
            r.targets += block[n - 1].targets;
            r.others += block[n - 1].others;
        }
        block[n++] = r;
    }
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double target = block[i].targets / t.targets, other = block[i].others / t.others;
        if (target > 0 && other > 0) {
            sum += target * log1p(other / target) + other * log1p(target / other);
        }
    }
    return metric_defined(sum / (2 * LN2));
}

/* ---- precision ---------------------------------------------------------------------------------------- */

metric_value detection_aupr(const detection *d, const uint32_t *weight, bool of_targets) {
    detection_totals t = detection_count_all(d, weight);
    if (detection_missing(t) != NULL) {
        return metric_undefined(detection_missing(t));
    }
    double found = 0, taken = 0, sum = 0;
    size_t at = of_targets ? d->n : 0;
    detection_run r;
    while (of_targets ? detection_run_down(d, weight, &at, &r) : detection_run_up(d, weight, &at, &r)) {
        double positive = of_targets ? r.targets : r.others;
        found += positive;
        taken += r.targets + r.others;
        sum += positive * (found / taken);
    }
    return metric_defined(sum / (of_targets ? t.targets : t.others));
}
