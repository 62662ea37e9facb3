/* metrics_openset.c: figures that ask for a known source to be accepted and named rightly; see metrics.h. */
#include "eval/metrics_internal.h"

static double count_right(const detection *d, const uint32_t *weight) {
    double right = 0;
    for (size_t i = 0; i < d->n; i++) {
        right += d->items[i].right ? detection_weight(&d->items[i], weight) : 0;
    }
    return right;
}

/* Points by rising threshold; a target that is classified wrongly is an error at each of them. Gaps are compared in
 * whole numbers, as in detection_eer. */
metric_value detection_eerc(const detection *d, const uint32_t *weight, double *threshold) {
    detection_totals t = detection_count_all(d, weight);
    if (threshold != NULL) {
        *threshold = NAN;
    }
    if (detection_missing(t) != NULL) {
        return metric_undefined(detection_missing(t));
    }
    double fail = t.targets - count_right(d, weight), pass = t.others, best_gap = INFINITY, best = NAN, cut = NAN;
    size_t at = 0;
    detection_run r;
    for (bool more = true; more;) {
        more = detection_run_up(d, weight, &at, &r);
        double gap = fabs(fail * t.others - pass * t.targets);
        if (gap < best_gap) {
            best_gap = gap;
            best = (fail / t.targets + pass / t.others) / 2;
            cut = more ? r.score : INFINITY;
        }
        if (more) {
            fail += r.right;
            pass -= r.others;
        }
    }
    if (threshold != NULL) {
        *threshold = cut;
    }
    return metric_defined(best);
}

metric_value detection_oscr(const detection *d, const uint32_t *weight) {
    detection_totals t = detection_count_all(d, weight);
    if (detection_missing(t) != NULL) {
        return metric_undefined(detection_missing(t));
    }
    double below = 0, twice = 0; /* pairs (right target, other) in order, as in detection_auroc */
    size_t at = 0;
    detection_run r;
    while (detection_run_up(d, weight, &at, &r)) {
        twice += r.right * (2 * below + r.others);
        below += r.others;
    }
    return metric_defined(twice / (2 * t.targets * t.others));
}

metric_value detection_ccr_at_fpr(const detection *d, const uint32_t *weight, double fpr) {
    detection_totals t = detection_count_all(d, weight);
    if (detection_missing(t) != NULL) {
        return metric_undefined(detection_missing(t));
    }
    double right = 0, pass = 0;
    size_t at = d->n;
    detection_run r;
    while (detection_run_down(d, weight, &at, &r)) {
        if ((pass + r.others) / t.others > fpr) { /* the curve is linear within the run */
            double share = (fpr * t.others - pass) / r.others;
            return metric_defined((right + (share > 0 ? share : 0) * r.right) / t.targets);
        }
        right += r.right;
        pass += r.others;
    }
    return metric_defined(right / t.targets);
}

metric_value detection_id_accuracy(const detection *d, const uint32_t *weight) {
    detection_totals t = detection_count_all(d, weight);
    return t.targets > 0 ? metric_defined(count_right(d, weight) / t.targets) : metric_undefined(detection_missing(t));
}

size_t detection_curve(const detection *d, size_t most, detection_point *points) {
    detection_totals t = detection_count_all(d, NULL);
    if (detection_missing(t) != NULL || most < 2) {
        return 0;
    }
    size_t n = 0, at = d->n, seen = 0;
    double hit = 0, right = 0, pass = 0;
    detection_run r;
    points[n++] = (detection_point){0, 0, 0};
    while (detection_run_down(d, NULL, &at, &r)) {
        hit += r.targets;
        right += r.right;
        pass += r.others;
        seen = d->n - at;
        /* evenly over the items where there are more points than room; the last one always */
        if (at == 0 || d->n < most || seen * (most - 2) / d->n >= n) {
            points[n++] = (detection_point){pass / t.others, hit / t.targets, right / t.targets};
        }
    }
    return n;
}
