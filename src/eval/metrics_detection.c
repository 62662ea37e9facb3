/* metrics_detection.c: two-class figures over scores that are sorted once; see metrics.h. */
#include "eval/metrics_internal.h"
#include <math.h>
#include <stdlib.h>

static const char *const no_targets = "there is no target in the set";
static const char *const no_others = "there is no non-target in the set";
static const char *const no_items = "the set is empty";

static int by_score(const void *a, const void *b) {
    const detection_item *x = a, *y = b;
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
            return error_set(err, SPOOR_ERR_INPUT, "score %zu of %zu is not a number; every item needs a score", i + 1,
                             n);
        }
    }
    detection *d = ctx_calloc(ctx, 1, sizeof *d);
    detection_item *items = ctx_alloc(ctx, n, sizeof *items);
    detection_run *scratch = ctx_alloc(ctx, n, sizeof *scratch);
    if (d == NULL || items == NULL || scratch == NULL) {
        ctx_free(ctx, d);
        ctx_free(ctx, items);
        ctx_free(ctx, scratch);
        return error_memory(err, "sorting scores");
    }
    *d = (detection){ctx, items, scratch, n, 0};
    for (size_t i = 0; i < n; i++) {
        items[i] = (detection_item){score[i], (uint32_t)i, target[i] != 0, target[i] == DETECTION_TARGET};
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
        ctx_free(ctx, d->scratch);
        ctx_free(ctx, d);
    }
}

size_t detection_count(const detection *d, bool target) { return target ? d->targets : d->n - d->targets; }

detection_totals detection_count_all(const detection *d, const uint32_t *weight) {
    uint64_t targets = 0, all = 0;
    if (weight == NULL) {
        return (detection_totals){(double)d->targets, (double)(d->n - d->targets)};
    }
    for (size_t i = 0; i < d->n; i++) {
        uint64_t w = weight[d->items[i].index];
        targets += w * d->items[i].target;
        all += w;
    }
    return (detection_totals){(double)targets, (double)(all - targets)};
}

const char *detection_missing(detection_totals t) {
    if (t.targets + t.others == 0) {
        return no_items;
    }
    return t.targets == 0 ? no_targets : t.others == 0 ? no_others : NULL;
}

/* Whole multiplicities of a run. */
typedef struct sums {
    uint64_t targets, right, all;
} sums;

static inline void add(const detection_item *x, const uint32_t *weight, sums *s) {
    uint64_t w = weight == NULL ? 1 : weight[x->index];
    s->targets += w * x->target;
    s->right += w * x->right;
    s->all += w;
}

static inline detection_run run_of(double score, const sums *s) {
    return (detection_run){score, (double)s->targets, (double)s->right, (double)(s->all - s->targets)};
}

bool detection_run_up(const detection *d, const uint32_t *weight, size_t *at, detection_run *r) {
    for (size_t i = *at; i < d->n;) {
        double score = d->items[i].score;
        sums s = {0};
        for (; i < d->n && d->items[i].score == score; i++) {
            add(&d->items[i], weight, &s);
        }
        if (s.all > 0) {
            *at = i;
            *r = run_of(score, &s);
            return true;
        }
    }
    return false;
}

bool detection_run_down(const detection *d, const uint32_t *weight, size_t *at, detection_run *r) {
    for (size_t i = *at; i > 0;) {
        double score = d->items[i - 1].score;
        sums s = {0};
        for (; i > 0 && d->items[i - 1].score == score; i--) {
            add(&d->items[i - 1], weight, &s);
        }
        if (s.all > 0) {
            *at = i;
            *r = run_of(score, &s);
            return true;
        }
    }
    return false;
}

const char *eer_form_name(eer_form form) {
    switch (form) {
    case EER_ASVSPOOF: return "asvspoof";
    case EER_ROC: return "roc";
    case EER_SKLEARN: return "sklearn";
    }
    return "";
}

/* Points by falling threshold, after that which accepts nothing. roc_curve leaves out the middle of a straight run of
 * equal steps (drop_intermediate), never its own first and last point. */
static double eer_sklearn(const detection *d, const uint32_t *weight, detection_totals t, double *threshold) {
    size_t at = d->n;
    detection_run now = {0}, next = {0};
    double hit = 0, pass = 0, best_gap = t.targets * t.others, best = 0;
    bool first = true, more = detection_run_down(d, weight, &at, &now);
    for (*threshold = INFINITY; more; first = false, now = next) {
        hit += now.targets;
        pass += now.others;
        more = detection_run_down(d, weight, &at, &next);
        bool middle = more && !first && now.targets == next.targets && now.others == next.others;
        double gap = fabs((t.targets - hit) * t.others - pass * t.targets);
        if (!middle && gap < best_gap) {
            best_gap = gap;
            best = pass / t.others;
            *threshold = now.score;
        }
    }
    return best;
}

/* Walk the operating points by rising threshold. miss = targets below t, pass = non-targets at or above t. The
 * difference FRR - FAR is compared as miss * others - pass * targets: whole numbers, so that ties are exact. */
metric_value detection_eer(const detection *d, const uint32_t *weight, eer_form form, double *threshold) {
    detection_totals t = detection_count_all(d, weight);
    if (threshold != NULL) {
        *threshold = NAN;
    }
    if (detection_missing(t) != NULL) {
        return metric_undefined(detection_missing(t));
    }
    if (form == EER_SKLEARN) {
        double cut, value = eer_sklearn(d, weight, t, &cut);
        if (threshold != NULL) {
            *threshold = cut;
        }
        return metric_defined(value);
    }
    double miss = 0, pass = t.others, previous_miss = 0, previous_gap = 0;
    double best_gap = INFINITY, best = NAN, best_threshold = NAN, crossing = NAN;
    size_t at = 0;
    detection_run r;
    for (bool more = true; more;) {
        more = detection_run_up(d, weight, &at, &r);
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
    return metric_defined(form == EER_ROC ? crossing : best);
}

metric_value detection_auroc(const detection *d, const uint32_t *weight) {
    detection_totals t = detection_count_all(d, weight);
    if (detection_missing(t) != NULL) {
        return metric_undefined(detection_missing(t));
    }
    double below = 0, twice = 0;
    size_t at = 0;
    detection_run r;
    while (detection_run_up(d, weight, &at, &r)) {
        twice += r.targets * (2 * below + r.others);
        below += r.others;
    }
    return metric_defined(twice / (2 * t.targets * t.others));
}

metric_value detection_fpr_interpolated(const detection *d, const uint32_t *weight, double tpr) {
    detection_totals t = detection_count_all(d, weight);
    if (detection_missing(t) != NULL) {
        return metric_undefined(detection_missing(t));
    }
    double hit = 0, pass = 0;
    size_t at = d->n;
    detection_run r;
    if (tpr <= 0) {
        return metric_defined(0);
    }
    while (detection_run_down(d, weight, &at, &r)) {
        if ((hit + r.targets) / t.targets >= tpr) {
            /* share of this run that is needed; 1 exactly where its end is the point asked for */
            double end = (hit + r.targets) / t.targets;
            double share = end == tpr ? 1 : (tpr * t.targets - hit) / r.targets;
            return metric_defined((pass + share * r.others) / t.others);
        }
        hit += r.targets;
        pass += r.others;
    }
    return metric_defined(1); /* tpr > 1 */
}

/* Target score number k (from 0, rising) of the weighted multiset. */
static double target_at(const detection *d, const uint32_t *weight, double k) {
    double seen = 0, last = NAN;
    for (size_t i = 0; i < d->n; i++) {
        if (d->items[i].target) {
            double w = detection_weight(&d->items[i], weight);
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
    detection_totals t = detection_count_all(d, weight);
    if (threshold != NULL) {
        *threshold = NAN;
    }
    if (detection_missing(t) != NULL) {
        return metric_undefined(detection_missing(t));
    }
    double position = (t.targets - 1) * (reject < 0 ? 0 : reject > 1 ? 1 : reject);
    double low = floor(position);
    double cut = metric_between(target_at(d, weight, low), target_at(d, weight, low + 1), position - low);
    double pass = 0;
    for (size_t i = 0; i < d->n; i++) {
        pass += !d->items[i].target && d->items[i].score >= cut ? detection_weight(&d->items[i], weight) : 0;
    }
    if (threshold != NULL) {
        *threshold = cut;
    }
    return metric_defined(pass / t.others);
}
