/* metrics_classes.c: figures on class decisions and on probabilities; see metrics.h. */
#define _GNU_SOURCE /* qsort_r */
#include "eval/metrics.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const no_items = "there is no labelled item";
static const char *const no_labels = "the label set is empty";
static const char *const bad_confidence = "a confidence is outside 0..1";

static metric_value ratio(double part, double whole, const char *reason) {
    return whole > 0 ? (metric_value){part / whole, NULL} : (metric_value){NAN, reason};
}

static uint32_t weight_of(const uint32_t *weight, size_t i) { return weight == NULL ? 1 : weight[i]; }

/* ---- decisions ---------------------------------------------------------------------------------------- */

metric_value metric_accuracy(const int32_t *truth, const int32_t *predicted, size_t n, const uint32_t *weight) {
    uint64_t right = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        if (truth[i] >= 0) {
            all += weight_of(weight, i);
            right += truth[i] == predicted[i] ? weight_of(weight, i) : 0;
        }
    }
    return ratio((double)right, (double)all, no_items);
}

int32_t metric_rank(const float *scores, size_t classes, int32_t truth) {
    if (truth < 0 || (size_t)truth >= classes) {
        return -1;
    }
    int32_t before = 0;
    float mine = scores[truth];
    for (size_t k = 0; k < classes; k++) {
        bool earlier = k < (size_t)truth;
        if (isnan(scores[k])) {
            before += isnan(mine) && earlier;
        } else {
            before += isnan(mine) || scores[k] > mine || (scores[k] == mine && earlier);
        }
    }
    return before;
}

metric_value metric_top_k(const int32_t *rank, size_t n, const uint32_t *weight, int32_t k) {
    uint64_t in = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        if (rank[i] >= 0) {
            all += weight_of(weight, i);
            in += rank[i] < k ? weight_of(weight, i) : 0;
        }
    }
    return ratio((double)in, (double)all, no_items);
}

int32_t metric_argmax(const float *scores, size_t classes) {
    int32_t best = -1;
    for (size_t k = 0; k < classes; k++) {
        if (!isnan(scores[k]) && (best < 0 || scores[k] > scores[best])) {
            best = (int32_t)k;
        }
    }
    return best;
}

void metric_confusion(const int32_t *truth, const int32_t *predicted, size_t n, const uint32_t *weight, size_t classes,
                      uint64_t *counts) {
    memset(counts, 0, classes * (classes + 1) * sizeof *counts);
    for (size_t i = 0; i < n; i++) {
        if (truth[i] >= 0 && (size_t)truth[i] < classes) {
            bool answered = predicted[i] >= 0 && (size_t)predicted[i] < classes;
            size_t column = answered ? (size_t)predicted[i] : classes;
            counts[(size_t)truth[i] * (classes + 1) + column] += weight_of(weight, i);
        }
    }
}

metric_class metric_one_class(const uint64_t *confusion, size_t classes, size_t index) {
    metric_class c = {0};
    for (size_t k = 0; k <= classes; k++) {
        c.support += confusion[index * (classes + 1) + k];
    }
    for (size_t k = 0; k < classes; k++) {
        c.predicted += confusion[k * (classes + 1) + index];
    }
    c.right = confusion[index * (classes + 1) + index];
    c.precision = c.predicted > 0 ? (double)c.right / (double)c.predicted : 0;
    c.recall = c.support > 0 ? (double)c.right / (double)c.support : 0;
    c.f1 = c.support + c.predicted > 0 ? 2 * (double)c.right / (double)(c.support + c.predicted) : 0;
    return c;
}

static bool enters_macro(const metric_class *c, f1_absent absent) {
    switch (absent) {
    case F1_ABSENT_ZERO: return true;
    case F1_ABSENT_SKIP: return c->support + c->predicted > 0;
    case F1_SUPPORTED: return c->support > 0;
    }
    return true;
}

metric_f1 metric_f1_set(const uint64_t *confusion, size_t classes, const int32_t *labels, size_t m, f1_absent absent) {
    double f1 = 0, weighted = 0, recall = 0;
    uint64_t right = 0, support = 0, predicted = 0;
    size_t entered = 0, supported = 0;
    for (size_t j = 0; j < m; j++) {
        metric_class c = metric_one_class(confusion, classes, (size_t)labels[j]);
        if (enters_macro(&c, absent)) {
            f1 += c.f1;
            entered++;
        }
        weighted += (double)c.support * c.f1;
        recall += c.recall; /* 0 without support */
        supported += c.support > 0;
        right += c.right;
        support += c.support;
        predicted += c.predicted;
    }
    const char *reason = m == 0 ? no_labels : no_items;
    metric_f1 out = {.labels = entered};
    out.macro = support + predicted > 0 ? ratio(f1, (double)entered, reason) : (metric_value){NAN, reason};
    out.weighted = ratio(weighted, (double)support, reason);
    out.micro = ratio(2 * (double)right, (double)(support + predicted), reason);
    out.balanced = ratio(recall, (double)supported, reason);
    return out;
}

/* ---- probabilities ------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b, void *arg) {
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const double *v = arg;
    if (v[i] != v[j]) {
        return v[i] < v[j] ? -1 : 1;
    }
    return i < j ? -1 : i > j;
}

void metric_order(const double *value, size_t n, uint32_t *order) {
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    if (n > 1) {
        qsort_r(order, n, sizeof *order, by_value, (void *)(uintptr_t)value);
    }
}

static const char *check_bins(const double *confidence, size_t n, size_t bins) {
    if (bins == 0 || bins > METRIC_MAX_BINS) {
        return "the number of bins is outside 1..1000";
    }
    for (size_t i = 0; i < n; i++) {
        if (!(confidence[i] >= 0 && confidence[i] <= 1)) {
            return bad_confidence;
        }
    }
    return NULL;
}

/* (b/bins, (b+1)/bins], 0 in the first. */
static size_t bin_of(double confidence, size_t bins) {
    double b = ceil(confidence * (double)bins) - 1;
    return b < 0 ? 0 : (size_t)b;
}

bool metric_reliability(const double *confidence, const unsigned char *correct, size_t n, size_t bins,
                        metric_bin *out) {
    if (n == 0 || check_bins(confidence, n, bins) != NULL) {
        return false;
    }
    memset(out, 0, bins * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        metric_bin *b = &out[bin_of(confidence[i], bins)];
        b->n++;
        b->confidence += confidence[i];
        b->accuracy += correct[i] ? 1 : 0;
    }
    for (size_t k = 0; k < bins; k++) {
        out[k].confidence /= (double)out[k].n; /* 0 / 0: NaN */
        out[k].accuracy /= (double)out[k].n;
    }
    return true;
}

metric_value metric_ece(const double *confidence, const unsigned char *correct, size_t n, const uint32_t *weight,
                        size_t bins) {
    const char *reason = check_bins(confidence, n, bins);
    if (reason != NULL) {
        return (metric_value){NAN, reason};
    }
    double gap[METRIC_MAX_BINS] = {0}; /* sum of correct - confidence */
    double all = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        double w = weight_of(weight, i);
        gap[bin_of(confidence[i], bins)] += w * ((correct[i] ? 1.0 : 0.0) - confidence[i]);
        all += w;
    }
    for (size_t b = 0; b < bins; b++) {
        sum += fabs(gap[b]);
    }
    return ratio(sum, all, no_items);
}

metric_value metric_ece_adaptive(const double *confidence, const unsigned char *correct, const uint32_t *order,
                                 size_t n, const uint32_t *weight, size_t bins) {
    const char *reason = check_bins(confidence, n, bins);
    if (reason != NULL) {
        return (metric_value){NAN, reason};
    }
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) {
        all += weight_of(weight, i);
    }
    uint64_t bin = 0, room = 0;
    double gap = 0, sum = 0;
    for (size_t at = 0; at < n;) {
        double c = confidence[order[at]], right = 0;
        uint64_t mass = 0;
        for (; at < n && confidence[order[at]] == c; at++) {
            mass += weight_of(weight, order[at]);
            right += correct[order[at]] ? weight_of(weight, order[at]) : 0;
        }
        double unit = mass > 0 ? right / (double)mass - c : 0;
        while (mass > 0) {
            if (room == 0) { /* open the next bin that has room; the first all % bins are one larger */
                sum += fabs(gap);
                gap = 0;
                room = all / bins + (bin < all % bins);
                bin++;
                continue;
            }
            uint64_t take = mass < room ? mass : room;
            gap += (double)take * unit;
            mass -= take;
            room -= take;
        }
    }
    return ratio(sum + fabs(gap), (double)all, no_items);
}

metric_value metric_brier(const double *p, const int32_t *truth, size_t n, size_t classes, const uint32_t *weight) {
    double sum = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        if (truth[i] < 0 || (size_t)truth[i] >= classes || weight_of(weight, i) == 0) {
            continue;
        }
        double square = 0;
        for (size_t k = 0; k < classes; k++) {
            double miss = p[i * classes + k] - (k == (size_t)truth[i] ? 1 : 0);
            square += miss * miss;
        }
        sum += weight_of(weight, i) * square;
        all += weight_of(weight, i);
    }
    return ratio(sum, all, no_items);
}

metric_value metric_nll(const double *p, const int32_t *truth, size_t n, size_t classes, const uint32_t *weight) {
    double sum = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        if (truth[i] >= 0 && (size_t)truth[i] < classes && weight_of(weight, i) > 0) {
            sum -= weight_of(weight, i) * log(p[i * classes + (size_t)truth[i]]);
            all += weight_of(weight, i);
        }
    }
    return ratio(sum, all, no_items);
}
