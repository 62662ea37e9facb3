/* metrics_detection.c: two-class figures over scores that are sorted once; see metrics.h. */
#include "eval/metrics.h"
#include <math.h>
#include <stdlib.h>

typedef struct item {
    double score;
    uint32_t index; /* in the caller's arrays, for weights */
    uint32_t target;
} item;

struct detection {
    spoor_context *ctx;
    item *items; /* rising score */
    size_t n, targets;
};

/* Totals of the multiset that a weight makes. */
typedef struct totals {
    double targets, others;
} totals;

/* A run of equal scores with its weights; doubles hold whole numbers exactly up to 2^53. */
typedef struct run {
    double score, targets, others;
} run;

static const char *const no_targets = "there is no target in the set";
static const char *const no_others = "there is no non-target in the set";
static const char *const no_items = "the set is empty";

static int by_score(const void *a, const void *b) {
    const item *x = a, *y = b;
    if (x->score != y->score) {
        return x->score < y->score ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

spoor_status detection_new(spoor_context *ctx, const double *score, const unsigned char *target, size_t n,
                           detection **out, spoor_error *err) {
    *out = NULL;
    if (n > UINT32_MAX) {
        return error_set(err, SPOOR_ERR_LIMIT, "%zu scores are more than the %ju that can be evaluated at once", n,
                         (uintmax_t)UINT32_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if (isnan(score[i])) {
            return error_set(err, SPOOR_ERR_INPUT, "score %zu of %zu is not a number; every item needs a score", i + 1, n);
        }
    }
    detection *d = ctx_calloc(ctx, 1, sizeof *d);
    item *items = ctx_alloc(ctx, n, sizeof *items);
    if (d == NULL || items == NULL) {
        ctx_free(ctx, d);
        ctx_free(ctx, items);
        return error_memory(err, "sorting scores");
    }
    *d = (detection){ctx, items, n, 0};
    for (size_t i = 0; i < n; i++) {
        items[i] = (item){score[i], (uint32_t)i, target[i] != 0};
        d->targets += target[i] != 0;
    }
    if (n > 1) {
        qsort(items, n, sizeof *items, by_score);
    }
    *out = d;
    return SPOOR_OK;
}

void detection_free(detection *d) {
    if (d != NULL) {
        spoor_context *ctx = d->ctx;
        ctx_free(ctx, d->items);
        ctx_free(ctx, d);
    }
}

size_t detection_count(const detection *d, bool target) { return target ? d->targets : d->n - d->targets; }

static metric_value undefined(const char *reason) { return (metric_value){NAN, reason}; }
static metric_value defined(double value) { return (metric_value){value, NULL}; }

static double weight_of(const item *x, const uint32_t *weight) { return weight == NULL ? 1.0 : (double)weight[x->index]; }

static totals count_all(const detection *d, const uint32_t *weight) {
    uint64_t targets = 0, all = 0;
    if (weight == NULL) {
        return (totals){(double)d->targets, (double)(d->n - d->targets)};
    }
    for (size_t i = 0; i < d->n; i++) {
        uint64_t w = weight[d->items[i].index];
        targets += w * d->items[i].target;
        all += w;
    }
    return (totals){(double)targets, (double)(all - targets)};
}

static const char *missing(totals t) {
    if (t.targets + t.others == 0) {
        return no_items;
    }
    return t.targets == 0 ? no_targets : t.others == 0 ? no_others : NULL;
}

static inline void add(const item *x, const uint32_t *weight, uint64_t *targets, uint64_t *all) {
    uint64_t w = weight == NULL ? 1 : weight[x->index];
    *targets += w * x->target;
    *all += w;
}

/* The next run of equal scores of positive weight, upwards from *at; false at the end. */
static bool run_up(const detection *d, const uint32_t *weight, size_t *at, run *r) {
    for (size_t i = *at; i < d->n;) {
        double score = d->items[i].score;
        uint64_t targets = 0, all = 0;
        for (; i < d->n && d->items[i].score == score; i++) {
            add(&d->items[i], weight, &targets, &all);
        }
        if (all > 0) {
            *at = i;
            *r = (run){score, (double)targets, (double)(all - targets)};
            return true;
        }
    }
    return false;
}

/* The same downwards: *at is one past the items that are left. */
static bool run_down(const detection *d, const uint32_t *weight, size_t *at, run *r) {
    for (size_t i = *at; i > 0;) {
        double score = d->items[i - 1].score;
        uint64_t targets = 0, all = 0;
        for (; i > 0 && d->items[i - 1].score == score; i--) {
            add(&d->items[i - 1], weight, &targets, &all);
        }
        if (all > 0) {
            *at = i;
            *r = (run){score, (double)targets, (double)(all - targets)};
            return true;
        }
    }
    return false;
}

const char *eer_form_name(eer_form form) { return form == EER_ROC ? "roc" : "asvspoof"; }

/* Walk the operating points by rising threshold. miss = targets below t, pass = non-targets at or above t. The
 * difference FRR - FAR is compared as miss * others - pass * targets: whole numbers, so that ties are exact. */
metric_value detection_eer(const detection *d, const uint32_t *weight, eer_form form, double *threshold) {
    totals t = count_all(d, weight);
    if (threshold != NULL) {
        *threshold = NAN;
    }
    if (missing(t) != NULL) {
        return undefined(missing(t));
    }
    double miss = 0, pass = t.others, previous_miss = 0, previous_gap = 0;
    double best_gap = INFINITY, best = NAN, best_threshold = NAN, crossing = NAN;
    size_t at = 0;
    run r;
    for (bool more = true; more;) {
        more = run_up(d, weight, &at, &r);
        double point = more ? r.score : INFINITY; /* accept from this score on; above all: accept nothing */
        double gap = miss * t.others - pass * t.targets;
        if (fabs(gap) < best_gap) {
            best_gap = fabs(gap);
            best = (miss / t.targets + pass / t.others) / 2;
            best_threshold = point;
        }
        if (isnan(crossing) && gap >= 0) { /* the first point has gap < 0 */
            double share = previous_gap / (previous_gap - gap);
            crossing = (previous_miss + share * (miss - previous_miss)) / t.targets;
        }
        previous_miss = miss;
        previous_gap = gap;
        if (more) {
            miss += r.targets;
            pass -= r.others;
        }
    }
    if (threshold != NULL) {
        *threshold = best_threshold;
    }
    return defined(form == EER_ROC ? crossing : best);
}

metric_value detection_auroc(const detection *d, const uint32_t *weight) {
    totals t = count_all(d, weight);
    if (missing(t) != NULL) {
        return undefined(missing(t));
    }
    double below = 0, twice = 0;
    size_t at = 0;
    run r;
    while (run_up(d, weight, &at, &r)) {
        twice += r.targets * (2 * below + r.others);
        below += r.others;
    }
    return defined(twice / (2 * t.targets * t.others));
}

metric_value detection_fpr_interpolated(const detection *d, const uint32_t *weight, double tpr) {
    totals t = count_all(d, weight);
    if (missing(t) != NULL) {
        return undefined(missing(t));
    }
    double hit = 0, pass = 0;
    size_t at = d->n;
    run r;
    if (tpr <= 0) {
        return defined(0);
    }
    while (run_down(d, weight, &at, &r)) {
        if ((hit + r.targets) / t.targets >= tpr) {
            /* share of this run that is needed; 1 exactly where its end is the point asked for */
            double end = (hit + r.targets) / t.targets;
            double share = end == tpr ? 1 : (tpr * t.targets - hit) / r.targets;
            return defined((pass + share * r.others) / t.others);
        }
        hit += r.targets;
        pass += r.others;
    }
    return defined(1); /* tpr > 1 */
}

/* Target score number k (from 0, rising) of the weighted multiset. */
static double target_at(const detection *d, const uint32_t *weight, double k) {
    double seen = 0, last = NAN;
    for (size_t i = 0; i < d->n; i++) {
        if (d->items[i].target) {
            double w = weight_of(&d->items[i], weight);
            seen += w;
            last = w > 0 ? d->items[i].score : last;
            if (seen > k) {
                return d->items[i].score;
            }
        }
    }
    return last;
}

metric_value detection_fpr_percentile(const detection *d, const uint32_t *weight, double reject, double *threshold) {
    totals t = count_all(d, weight);
    if (threshold != NULL) {
        *threshold = NAN;
    }
    if (missing(t) != NULL) {
        return undefined(missing(t));
    }
    double position = (t.targets - 1) * (reject < 0 ? 0 : reject > 1 ? 1 : reject);
    double low = floor(position);
    double cut = metric_between(target_at(d, weight, low), target_at(d, weight, low + 1), position - low);
    double pass = 0;
    for (size_t i = 0; i < d->n; i++) {
        pass += !d->items[i].target && d->items[i].score >= cut ? weight_of(&d->items[i], weight) : 0;
    }
    if (threshold != NULL) {
        *threshold = cut;
    }
    return defined(pass / t.others);
}

static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

metric_value detection_cllr(const detection *d, const uint32_t *weight) {
    totals t = count_all(d, weight);
    if (missing(t) != NULL) {
        return undefined(missing(t));
    }
    double targets = 0, others = 0;
    for (size_t i = 0; i < d->n; i++) {
        double w = weight_of(&d->items[i], weight);
        if (w > 0) { /* 0 * Inf is NaN */
            double s = d->items[i].score;
            *(d->items[i].target ? &targets : &others) += w * softplus(d->items[i].target ? -s : s);
        }
    }
    return defined((targets / t.targets + others / t.others) / (2 * 0.69314718055994530942));
}
