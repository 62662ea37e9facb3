/* metrics.h: the figures of the field on plain arrays. No I/O, no labels by name, no files.
 *
 * Conventions that hold for every function here:
 *  - Polarity: higher score = more like the target. `target[i]` is 1 for a target, 0 for a non-target.
 *  - `weight` holds a whole multiplicity per item (a bootstrap replicate), NULL means one each. A weighted figure is
 *    exactly that of the multiset in which item i stands weight[i] times.
 *  - Ties are one operating point: the order of equal scores in the input never changes a result.
 *  - What is not defined (empty set, one class only) is NaN with a sentence in `reason`; a defined value has reason
 *  NULL.
 *  - NaN scores are refused by detection_new with the index of the first; infinite ones are ordered as numbers are.
 */
#ifndef EVAL_METRICS_H
#define EVAL_METRICS_H
#include "base/context.h"

typedef struct metric_value {
    double value;
    const char *reason; /* static text where value is NaN, else NULL */
} metric_value;

/* ---- two classes: detection --------------------------------------------------------------------------- */

typedef struct detection detection; /* scores sorted once; every figure is then one pass */

/* What target[i] may be. A misclassified target is a target in every figure; only those of the open set (below) tell it
 * from one that is classified rightly. */
enum { DETECTION_OTHER = 0, DETECTION_TARGET = 1, DETECTION_MISCLASSIFIED = 2 };
/* n scores and target flags are copied. n = 0 and one-class sets are fine (their figures are NaN with a reason).
 * NaN: SPOOR_ERR_INPUT; out of memory: SPOOR_ERR_LIMIT. Figures of one detection are not for several threads at once.
 */
spoor_status detection_new(spoor_context *ctx, const double *score, const unsigned char *target, size_t n,
                           detection **out, spoor_error *err);
void detection_free(detection *d);
size_t detection_count(const detection *d, bool target);

/* The published forms of the equal error rate differ on small sets, so each is named. FRR(t) = share of targets with
 * score < t, FAR(t) = share of non-targets with score >= t, t over the distinct scores and one point above all. */
typedef enum eer_form {
    EER_ASVSPOOF, /* mean of FRR and FAR where |FRR - FAR| is least, the lowest such t (ASVspoof 2019-2024 scripts,
                     which break ties of scores by input order; here tied scores are one point) */
    EER_ROC,      /* where the ROC, linear between its points, meets FPR = 1 - TPR (brentq on the interpolated ROC) */
    EER_SKLEARN   /* FAR alone at the point of scikit-learn's roc_curve (with its default drop_intermediate) where
                     |FRR - FAR| is least, the highest such t (scripts of the form fpr[argmin(|fnr - fpr|)]) */
} eer_form;
const char *eer_form_name(eer_form form); /* "asvspoof", "roc", "sklearn" */
/* threshold (may be NULL): accept where score >= threshold. For EER_ROC that of the nearest point of the ROC. */
metric_value detection_eer(const detection *d, const uint32_t *weight, eer_form form, double *threshold);

/* Area under the ROC = P(target > non-target) + P(equal) / 2 (Mann-Whitney; Hanley and McNeil 1982). */
metric_value detection_auroc(const detection *d, const uint32_t *weight);

/* FPR at a true positive rate (0.95 gives FPR95; Hendrycks and Gimpel 2017), positives = target (ID, bona fide):
 * the smallest FPR at which the ROC, linear between its points, reaches `tpr`. */
metric_value detection_fpr_interpolated(const detection *d, const uint32_t *weight, double tpr);
/* The same by percentile: threshold = the `reject` quantile (0.05 for FPR95; linear, as numpy's default) of the target
 * scores; share of non-targets with score >= threshold. */
metric_value detection_fpr_percentile(const detection *d, const uint32_t *weight, double reject, double *threshold);

/* Average precision (area under precision and recall, without interpolation: scikit-learn's average_precision_score),
 * positives = the targets at high scores, or the others at low ones. */
metric_value detection_aupr(const detection *d, const uint32_t *weight, bool of_targets);

/* The rates at a threshold that is fixed beforehand (accept where score >= threshold). The accuracy needs no more than
 * one item; FRR and FAR need both sides. */
typedef enum detection_rate { DETECTION_ACCURACY, DETECTION_FRR, DETECTION_FAR } detection_rate;
metric_value detection_at(const detection *d, const uint32_t *weight, double threshold, detection_rate rate);

/* Detection cost: DCF(t) = c_miss * prior * FRR(t) + c_fa * (1 - prior) * FAR(t), prior = that of a target (Doddington
 * et al. 2000). Normalised: divided by min(c_miss * prior, c_fa * (1 - prior)), the cost of saying always the same. */
typedef struct dcf_profile {
    const char *name;
    double prior, c_miss, c_fa; /* prior in (0, 1), costs > 0 */
} dcf_profile;
const dcf_profile *dcf_profile_named(const char *name); /* "forensics", "intelligence", "asvspoof5"; NULL = none */
const dcf_profile *dcf_profile_at(size_t index);        /* 0, 1, ...; NULL past the last */
double dcf_bayes_threshold(const dcf_profile *p);       /* ln(c_fa (1 - prior) / (c_miss prior)) */
/* The least cost over all thresholds; threshold (may be NULL): the lowest such. */
metric_value detection_min_dcf(const detection *d, const uint32_t *weight, const dcf_profile *p, bool normalised,
                               double *threshold);
/* The cost at the Bayes threshold; scores are natural-log likelihood ratios. */
metric_value detection_act_dcf(const detection *d, const uint32_t *weight, const dcf_profile *p, bool normalised);

/* Cllr in bits for natural-log likelihood ratios (Bruemmer and du Preez 2006); 1 = as good as saying nothing. */
metric_value detection_cllr(const detection *d, const uint32_t *weight);
/* Cllr after the best rising map of the scores to LLRs (pool adjacent violators, ties pooled first): what calibration
 * cannot repair. Scores of any kind. */
metric_value detection_min_cllr(const detection *d, const uint32_t *weight);

/* ---- the open set: known sources (targets) must be accepted and named rightly ------------------------------ */

/* CCR(t) = share of targets that are classified rightly with score >= t; FPR(t) = share of others with score >= t. */
/* EERc (Klein et al. 2025): where P(target rejected or misclassified) = 1 - CCR(t) and FPR(t) differ least, their mean,
 * the lowest such t; the ASVspoof form of the EER if all are classified rightly. */
metric_value detection_eerc(const detection *d, const uint32_t *weight, double *threshold);
/* OSCR: area under CCR over FPR (Dhamija et al. 2018; Vaze et al. 2022), ties counted half; the AUROC if all are right.
 */
metric_value detection_oscr(const detection *d, const uint32_t *weight);
/* The greatest CCR at FPR <= fpr on the curve that is linear between its points. */
metric_value detection_ccr_at_fpr(const detection *d, const uint32_t *weight, double fpr);
/* Share of targets that are classified rightly, whatever their score. */
metric_value detection_id_accuracy(const detection *d, const uint32_t *weight);

/* The curve for a picture: points by falling threshold from (0, 0), at most `most`, evenly over the items where there
 * are more. Returns their number; 0 where a side is missing or most < 2. */
typedef struct detection_point {
    double fpr, tpr, ccr;
} detection_point;
size_t detection_curve(const detection *d, size_t most, detection_point *points);

/* ---- many classes: decisions -------------------------------------------------------------------------- */

/* All take truth[n] and predicted[n] as class indices. Items with truth < 0 are not counted. predicted < 0 = no answer,
 * which is never right. */
metric_value metric_accuracy(const int32_t *truth, const int32_t *predicted, size_t n, const uint32_t *weight);

/* Rank of class `truth` among `classes` scores: 0 = best. Equal scores are ordered by class index, as argmax does, so
 * that rank 0 is exactly "argmax is right". NaN scores rank last. -1 if truth is out of range. */
int32_t metric_rank(const float *scores, size_t classes, int32_t truth);
/* Share of items with 0 <= rank < k; items with rank -1 are not counted. */
metric_value metric_top_k(const int32_t *rank, size_t n, const uint32_t *weight, int32_t k);
/* Index of the greatest score, the first of equals; -1 if there is none (no classes or all NaN). */
int32_t metric_argmax(const float *scores, size_t classes);

/* counts[classes, classes + 1], row = truth, column = predicted, the last column = no answer or out of range. */
void metric_confusion(const int32_t *truth, const int32_t *predicted, size_t n, const uint32_t *weight, size_t classes,
                      uint64_t *counts);

/* Precision, recall and F1 of one class. A ratio with denominator 0 is 0, as in scikit-learn with zero_division=0. */
typedef struct metric_class {
    uint64_t support, predicted, right;
    double precision, recall, f1;
} metric_class;
metric_class metric_one_class(const uint64_t *confusion, size_t classes, size_t index);

/* What a label of the set does in the macro mean when the data lack it. */
typedef enum f1_absent {
    F1_ABSENT_ZERO, /* neither support nor predictions: it counts as 0 (scikit-learn's zero_division=0) */
    F1_ABSENT_SKIP, /* neither support nor predictions: it is left out (zero_division=nan) */
    F1_SUPPORTED    /* no support: it is left out, predicted or not (the label set is what the data hold) */
} f1_absent;

/* Means over an explicit label set (m class indices; the papers differ in it, so it is always the caller's choice).
 * macro: plain mean of F1; weighted: by support; micro: from the pooled counts of the set; balanced: mean recall of the
 * labels that have support (scikit-learn's balanced_accuracy over the set). */
typedef struct metric_f1 {
    metric_value macro, weighted, micro, balanced;
    size_t labels; /* that entered the macro mean */
} metric_f1;
metric_f1 metric_f1_set(const uint64_t *confusion, size_t classes, const int32_t *labels, size_t m, f1_absent absent);

/* ---- probabilities ------------------------------------------------------------------------------------ */

/* Expected calibration error (Naeini 2015, Guo 2017): sum over bins of share * |mean correct - mean confidence|, equal
 * widths, bin b = (b/bins, (b+1)/bins], 0 in the first. confidence in [0, 1] else NaN with a reason. */
enum { METRIC_ECE_BINS = 15, METRIC_MAX_BINS = 1000 };
metric_value metric_ece(const double *confidence, const unsigned char *correct, size_t n, const uint32_t *weight,
                        size_t bins);
/* The same over bins of equal mass (Nixon 2019): sizes differ by at most one, the larger first; a run of equal
 * confidences that spans bins counts in each with its mean correctness, so that order does not matter.
 * order[n]: indices by rising confidence, from metric_order. */
metric_value metric_ece_adaptive(const double *confidence, const unsigned char *correct, const uint32_t *order,
                                 size_t n, const uint32_t *weight, size_t bins);
/* order[n] = indices of value by rising value (ties by index). n < 2^32. */
void metric_order(const double *value, size_t n, uint32_t *order);

/* The bins of metric_ece, for a picture: n items with their mean confidence and share right (NaN where n = 0). Nothing
 * is filled in, and false returned, where metric_ece would be undefined. */
typedef struct metric_bin {
    uint64_t n;
    double confidence, accuracy;
} metric_bin;
bool metric_reliability(const double *confidence, const unsigned char *correct, size_t n, size_t bins, metric_bin *out);

/* Multi-class Brier score: mean over items of sum_k (p_k - [k = truth])^2, in [0, 2] (Brier 1950), and mean -ln p_truth
 * (+Inf if a true class was given 0). p[n, classes]; items with truth outside 0..classes-1 are not counted. */
metric_value metric_brier(const double *p, const int32_t *truth, size_t n, size_t classes, const uint32_t *weight);
metric_value metric_nll(const double *p, const int32_t *truth, size_t n, size_t classes, const uint32_t *weight);

/* ---- intervals ---------------------------------------------------------------------------------------- */

typedef struct bootstrap_options {
    uint64_t seed;
    size_t replicates;      /* 1000 */
    double level;           /* 0.95 */
    const int32_t *cluster; /* NULL: resample items; else cluster[n] in 0..clusters-1: resample whole clusters
                             * (pages) */
    size_t clusters;
} bootstrap_options;
void bootstrap_options_init(bootstrap_options *options);

typedef struct metric_interval {
    double low, high;   /* percentile interval (Efron 1979), linear quantiles; NaN if fewer than half the replicates
                         * were
                           defined, or if there are fewer than two items or clusters to draw from */
    size_t used;        /* replicates that were defined */
    const char *reason; /* static text where low and high are NaN */
} metric_interval;

/* Computes `count` figures of one resample; undefined ones are NaN. weight[n] as above. */
typedef void (*bootstrap_fn)(void *arg, const uint32_t *weight, double *values);
/* Intervals of `count` figures over n items that share their resamples. The same seed gives the same intervals. */
spoor_status bootstrap_intervals(spoor_context *ctx, size_t n, const bootstrap_options *options, bootstrap_fn fn,
                                 void *arg, size_t count, metric_interval *out, spoor_error *err);
/* Linear quantile (numpy's default) of n rising values, q in [0, 1]; NaN if n = 0. */
double metric_quantile(const double *rising, size_t n, double q);
/* a + t (b - a) for 0 <= t < 1, rounded as numpy's quantiles are: exact where a = b or t = 0. */
double metric_between(double a, double b, double t);
#endif
