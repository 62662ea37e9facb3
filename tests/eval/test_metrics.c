/* test_metrics.c: figures against hand-worked cases and against scikit-learn and SciPy on 2,000 random sets with ties
 * (tests/torch/make_eval.py). */
#include "base/io.h"
#include "base/rng.h"
#include "eval/metrics.h"
#include "openset/calibrate.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static spoor_context *ctx;

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    spoor_context_free(ctx);
    return 0;
}

static detection *make(const double *score, const unsigned char *target, size_t n) {
    detection *d;
    spoor_error err = {0};
    support_ok(detection_new(ctx, score, target, n, &d, &err), &err);
    return d;
}

/* ---- by hand ------------------------------------------------------------------------------------------ */

static void detection_by_hand(void **state) {
    (void)state;
    /* targets 3 2 2 0, others 2 1 0 -1. Points (FRR, FAR) by rising t: -1 (0, 1), 0 (0, 3/4), 1 (1/4, 1/2),
     * 2 (1/4, 1/4), 3 (3/4, 0), above (1, 0). */
    const double s[] = {3, 2, 2, 0, 2, 1, 0, -1};
    const unsigned char t[] = {1, 1, 1, 1, 0, 0, 0, 0};
    detection *d = make(s, t, 8);
    double threshold;
    support_close(detection_eer(d, NULL, EER_ASVSPOOF, &threshold).value, 0.25, 0, "EER");
    support_close(threshold, 2, 0, "EER threshold");
    support_close(detection_eer(d, NULL, EER_ROC, NULL).value, 0.25, 0, "EER of the ROC");
    /* pairs won: 3 beats 4; each 2 beats 3 and ties 1; 0 beats 1 and ties 1 -> 4 + 3.5 + 3.5 + 1.5 = 12.5 of 16 */
    support_close(detection_auroc(d, NULL).value, 12.5 / 16, 0, "AUROC");
    /* TPR reaches 3/4 at t = 2 with FPR 1/4, 1 at t = 0 with FPR 3/4; the run of 1 adds FPR alone: from (1/2, 3/4)
     * to (3/4, 1), 0.95 lies 0.8 of the way */
    support_close(detection_fpr_interpolated(d, NULL, 0.95).value, 0.7, 1e-12, "FPR95 interpolated");
    support_close(detection_fpr_interpolated(d, NULL, 0.75).value, 0.25, 0, "FPR at a point of the ROC");
    /* 5th percentile of 0 2 2 3 is 0.3: of the others 2 and 1 pass */
    support_close(detection_fpr_percentile(d, NULL, 0.05, &threshold).value, 0.5, 0, "FPR95 percentile");
    support_close(threshold, 0.3, 1e-12, "percentile");
    assert_int_equal(detection_count(d, true), 4);
    detection_free(d);
}

/* The set above with the second target of score 2 misclassified. */
static void costs_and_open_set_by_hand(void **state) {
    (void)state;
    const double s[] = {3, 2, 2, 0, 2, 1, 0, -1};
    const unsigned char t[] = {1, 1, DETECTION_MISCLASSIFIED, 1, 0, 0, 0, 0};
    detection *d = make(s, t, 8);
    double threshold;
    /* FAR where |FRR - FAR| is least: (1/4, 1/4) at 2 */
    support_close(detection_eer(d, NULL, EER_SKLEARN, &threshold).value, 0.25, 0, "EER sklearn");
    support_close(threshold, 2, 0, "its threshold");
    /* costs of the points (FRR, FAR) above at prior 1/2, c 1/1: 1/2 3/8 3/8 1/4 3/8 1/2; by the least of (1/2, 1/2) */
    const dcf_profile even = {"even", 0.5, 1, 1}, dear = {"dear", 0.5, 1, 9};
    support_close(detection_min_dcf(d, NULL, &even, true, &threshold).value, 0.5, 1e-15, "minDCF");
    support_close(threshold, 2, 0, "its threshold");
    support_close(detection_min_dcf(d, NULL, &even, false, NULL).value, 0.25, 1e-15, "minDCF, not normalised");
    /* Bayes threshold 0: (0, 3/4) */
    support_close(detection_act_dcf(d, NULL, &even, true).value, 0.75, 1e-15, "actDCF");
    support_close(detection_act_dcf(d, NULL, &even, false).value, 0.375, 1e-15, "actDCF, not normalised");
    support_close(dcf_bayes_threshold(&dear), log(9), 1e-15, "Bayes threshold");
    /* false acceptances nine times as dear: (3/4, 0) at 3 costs .375 of .5; threshold ln 9 = 2.2 is the same point */
    support_close(detection_min_dcf(d, NULL, &dear, true, &threshold).value, 0.75, 1e-15, "minDCF, dear");
    support_close(threshold, 3, 0, "its threshold");
    support_close(detection_act_dcf(d, NULL, &dear, true).value, 0.75, 1e-15, "actDCF, dear");
    /* at 1: 3 of 4 targets in, 2 of 4 others in */
    support_close(detection_at(d, NULL, 1, DETECTION_ACCURACY).value, 5.0 / 8, 1e-15, "accuracy at 1");
    support_close(detection_at(d, NULL, 1, DETECTION_FRR).value, 0.25, 0, "FRR at 1");
    support_close(detection_at(d, NULL, 1, DETECTION_FAR).value, 0.5, 0, "FAR at 1");
    /* precision at the targets found: 3: 1/1 (1 of 4); 2: 3/4 (2 of 4); 0: 4/7 (1 of 4) */
    support_close(detection_aupr(d, NULL, true).value, 0.25 + 0.5 * 0.75 + 0.25 * 4 / 7, 1e-15, "AUPR of targets");
    /* of the others from below: -1: 1/1; 0: 2/3; 1: 3/4; 2: 4/7, a quarter each */
    support_close(detection_aupr(d, NULL, false).value, (1 + 2.0 / 3 + 0.75 + 4.0 / 7) / 4, 1e-15, "AUPR of others");
    /* pooled: {-1} no target; {0, 1}: 1 target, 2 others; {2}: 2 targets, 1 other; {3} no other */
    double pooled = 0.25 * log(3) + 0.5 * log(1.5) + 0.5 * log(1.5) + 0.25 * log(3);
    support_close(detection_min_cllr(d, NULL).value, pooled / (2 * log(2)), 1e-15, "min Cllr");
    /* fail (1/4 1/4 1/2 1/2 3/4 1), pass (1 3/4 1/2 ...): equal at threshold 1 where fail = 1/2 */
    support_close(detection_eerc(d, NULL, &threshold).value, 0.5, 1e-15, "EERc");
    support_close(threshold, 1, 0, "its threshold");
    /* pairs won by the right ones: 4 + 3.5 + 1.5 = 9 of 16 */
    support_close(detection_oscr(d, NULL).value, 9.0 / 16, 1e-15, "OSCR");
    /* (FPR, CCR): (0, 1/4) (1/4, 1/2) (1/2, 1/2) (3/4, 3/4) (1, 3/4) */
    support_close(detection_ccr_at_fpr(d, NULL, 0).value, 0.25, 1e-15, "CCR at FPR 0");
    support_close(detection_ccr_at_fpr(d, NULL, 0.1).value, 0.25 + 0.4 * 0.25, 1e-15, "CCR at FPR 0.1");
    support_close(detection_ccr_at_fpr(d, NULL, 0.25).value, 0.5, 1e-15, "CCR at a point");
    support_close(detection_ccr_at_fpr(d, NULL, 1).value, 0.75, 1e-15, "CCR at FPR 1");
    support_close(detection_id_accuracy(d, NULL).value, 0.75, 1e-15, "ID accuracy");
    support_close(detection_auroc(d, NULL).value, 12.5 / 16, 0, "AUROC, misclassified or not");
    detection_point curve[9];
    assert_int_equal(detection_curve(d, 9, curve), 6);
    assert_true(curve[2].fpr == 0.25 && curve[2].tpr == 0.75 && curve[2].ccr == 0.5 && curve[5].tpr == 1);
    assert_int_equal(detection_curve(d, 4, curve), 3);
    assert_true(curve[0].fpr == 0 && curve[2].fpr == 1 && curve[2].ccr == 0.75);
    detection_free(d);
    assert_null(dcf_profile_named("none"));
    assert_true(dcf_profile_named("asvspoof5") == dcf_profile_at(2) && dcf_profile_at(3) == NULL);
}

static void forms_of_the_eer_differ(void **state) {
    (void)state;
    /* one target at 1, others 2, 0, 0: points (0,1) (0,1/3) (1,1/3) (1,0). |FRR-FAR| is least, 1/3, at (0,1/3):
     * mean 1/6. The ROC meets FPR = 1 - TPR on its rise at FPR = 1/3. */
    const double s[] = {1, 2, 0, 0};
    const unsigned char t[] = {1, 0, 0, 0};
    detection *d = make(s, t, 4);
    support_close(detection_eer(d, NULL, EER_ASVSPOOF, NULL).value, 1.0 / 6, 1e-15, "EER asvspoof");
    support_close(detection_eer(d, NULL, EER_ROC, NULL).value, 1.0 / 3, 1e-15, "EER roc");
    /* by falling threshold: (1, 0) (1, 1/3) (0, 1/3) (0, 1) differ by 1, 2/3, 1/3, 1 */
    support_close(detection_eer(d, NULL, EER_SKLEARN, NULL).value, 1.0 / 3, 1e-15, "EER sklearn");
    detection_free(d);
    /* targets and others alternate downwards in pairs of equal scores: each step is (1/4, 1/4), so that roc_curve drops
     * all between the first and the last: (3/4, 1/4) and (0, 1) and (1, 0) remain, the first of them nearest: FAR 1/4
     */
    const double steps[] = {4, 4, 3, 3, 2, 2, 1, 1};
    const unsigned char turns[] = {1, 0, 1, 0, 1, 0, 1, 0};
    d = make(steps, turns, 8);
    support_close(detection_eer(d, NULL, EER_ASVSPOOF, NULL).value, 0.5, 0, "EER asvspoof");
    support_close(detection_eer(d, NULL, EER_SKLEARN, NULL).value, 0.25, 0, "EER sklearn");
    detection_free(d);
    assert_string_equal(eer_form_name(EER_SKLEARN), "sklearn");
    assert_string_equal(eer_form_name(EER_ASVSPOOF), "asvspoof");
    assert_string_equal(eer_form_name(EER_ROC), "roc");
}

static void extremes_of_detection(void **state) {
    (void)state;
    const double up[] = {1, 2, 3, 4}, same[] = {5, 5, 5, 5}, far[] = {-INFINITY, 0, 1, INFINITY};
    const unsigned char t[] = {0, 0, 1, 1};
    detection *d = make(up, t, 4);
    support_close(detection_eer(d, NULL, EER_ASVSPOOF, NULL).value, 0, 0, "EER of a perfect score");
    support_close(detection_eer(d, NULL, EER_ROC, NULL).value, 0, 0, "EER of a perfect score");
    support_close(detection_auroc(d, NULL).value, 1, 0, "AUROC of a perfect score");
    support_close(detection_fpr_interpolated(d, NULL, 0.95).value, 0, 0, "FPR95 of a perfect score");
    support_close(detection_fpr_percentile(d, NULL, 0.05, NULL).value, 0, 0, "FPR95 of a perfect score");
    detection_free(d);
    d = make(same, t, 4);
    support_close(detection_eer(d, NULL, EER_ASVSPOOF, NULL).value, 0.5, 0, "EER of a constant");
    support_close(detection_eer(d, NULL, EER_ROC, NULL).value, 0.5, 0, "EER of a constant");
    support_close(detection_auroc(d, NULL).value, 0.5, 0, "AUROC of a constant");
    support_close(detection_fpr_interpolated(d, NULL, 0.95).value, 0.95, 1e-12, "FPR95 of a constant");
    support_close(detection_fpr_percentile(d, NULL, 0.05, NULL).value, 1, 0, "FPR95 of a constant");
    detection_free(d);
    d = make(far, t, 4);
    support_close(detection_auroc(d, NULL).value, 1, 0, "AUROC with infinities");
    assert_true(isfinite(detection_fpr_percentile(d, NULL, 0.05, NULL).value));
    detection_free(d);
    /* LLR 0 says nothing: 1 bit. LLR of ln 3 both ways, always right: log2(4/3). */
    const double none[] = {0, 0}, right[] = {-1.0986122886681098, 1.0986122886681098};
    const unsigned char two[] = {0, 1};
    d = make(none, two, 2);
    support_close(detection_cllr(d, NULL).value, 1, 1e-15, "Cllr of 0");
    detection_free(d);
    d = make(right, two, 2);
    support_close(detection_cllr(d, NULL).value, log2(4.0 / 3), 1e-12, "Cllr of ln 3");
    detection_free(d);
}

static void is_undefined(metric_value v, const char *word) {
    assert_true(isnan(v.value));
    assert_non_null(v.reason);
    if (strstr(v.reason, word) == NULL) {
        fail_msg("reason \"%s\" does not say \"%s\"", v.reason, word);
    }
}

static void all_undefined(const detection *d, const uint32_t *weight, const char *word) {
    double threshold = 7;
    is_undefined(detection_eer(d, weight, EER_ASVSPOOF, &threshold), word);
    assert_true(isnan(threshold));
    is_undefined(detection_eer(d, weight, EER_ROC, NULL), word);
    is_undefined(detection_auroc(d, weight), word);
    is_undefined(detection_fpr_interpolated(d, weight, 0.95), word);
    is_undefined(detection_fpr_percentile(d, weight, 0.05, NULL), word);
    is_undefined(detection_cllr(d, weight), word);
    is_undefined(detection_eer(d, weight, EER_SKLEARN, NULL), word);
    is_undefined(detection_min_cllr(d, weight), word);
    is_undefined(detection_aupr(d, weight, true), word);
    is_undefined(detection_aupr(d, weight, false), word);
    is_undefined(detection_min_dcf(d, weight, dcf_profile_at(0), true, &threshold), word);
    assert_true(isnan(threshold));
    is_undefined(detection_act_dcf(d, weight, dcf_profile_at(0), true), word);
    is_undefined(detection_at(d, weight, 0, DETECTION_FRR), word);
    is_undefined(detection_eerc(d, weight, &threshold), word);
    assert_true(isnan(threshold));
    is_undefined(detection_oscr(d, weight), word);
    is_undefined(detection_ccr_at_fpr(d, weight, 0.05), word);
    assert_int_equal(detection_curve(d, 8, (detection_point[8]){{0}}), weight == NULL ? 0 : 3);
}

static void one_class_and_empty_sets(void **state) {
    (void)state;
    const double s[] = {1, 2, NAN};
    const unsigned char ones[] = {1, 1, 1}, zeros[] = {0, 0, 0}, both[] = {0, 1, 0};
    const uint32_t nothing[] = {0, 0}, first[] = {3, 0};
    detection *d = make(s, ones, 2);
    all_undefined(d, NULL, "non-target");
    support_close(detection_at(d, NULL, 1.5, DETECTION_ACCURACY).value, 0.5, 0, "accuracy of targets alone");
    support_close(detection_id_accuracy(d, NULL).value, 1, 0, "ID accuracy of targets alone");
    detection_free(d);
    d = make(s, zeros, 2);
    all_undefined(d, NULL, "no target");
    detection_free(d);
    d = make(s, ones, 0);
    all_undefined(d, NULL, "empty");
    is_undefined(detection_at(d, NULL, 0, DETECTION_ACCURACY), "empty");
    is_undefined(detection_id_accuracy(d, NULL), "empty");
    detection_free(d);
    d = make(s, both, 2);
    all_undefined(d, nothing, "empty");
    all_undefined(d, first, "no target");
    detection_free(d);
    spoor_error err = {0};
    assert_int_equal(detection_new(ctx, s, both, 3, &d, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "score 3 of 3 is not a number"));
    assert_null(d);
    detection_free(NULL);

    const int32_t truth[] = {-1, -1}, predicted[] = {0, 1}, labels[] = {0, 1};
    uint64_t counts[6];
    metric_confusion(truth, predicted, 2, NULL, 2, counts);
    metric_f1 f = metric_f1_set(counts, 2, labels, 2, F1_ABSENT_ZERO);
    is_undefined(f.macro, "labelled");
    is_undefined(f.weighted, "labelled");
    is_undefined(f.micro, "labelled");
    is_undefined(f.balanced, "labelled");
    is_undefined(metric_f1_set(counts, 2, labels, 0, F1_ABSENT_ZERO).macro, "label set");
    is_undefined(metric_accuracy(truth, predicted, 2, NULL), "labelled");
    is_undefined(metric_top_k(truth, 2, NULL, 5), "labelled");
    const double p[] = {0.5, 0.5, 0.5, 0.5}, high[] = {1.5};
    is_undefined(metric_nll(p, truth, 2, 2, NULL), "labelled");
    is_undefined(metric_brier(p, truth, 2, 2, NULL), "labelled");
    is_undefined(metric_ece(p, ones, 0, NULL, 15), "labelled");
    is_undefined(metric_ece(high, ones, 1, NULL, 15), "outside");
    is_undefined(metric_ece(p, ones, 1, NULL, 0), "bins");
    is_undefined(metric_ece_adaptive(p, ones, NULL, 0, NULL, 15), "labelled");
}

static void classes_by_hand(void **state) {
    (void)state;
    /* truth a a b b c, said a b b none a */
    const int32_t truth[] = {0, 0, 1, 1, 2}, predicted[] = {0, 1, 1, -1, 0}, all[] = {0, 1, 2, 3}, some[] = {0, 1, 2};
    uint64_t m[4 * 5];
    metric_confusion(truth, predicted, 5, NULL, 4, m);
    const uint64_t want[4 * 5] = {1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    assert_memory_equal(m, want, sizeof m);
    metric_class a = metric_one_class(m, 4, 0), c = metric_one_class(m, 4, 2), none = metric_one_class(m, 4, 3);
    support_close(a.precision, 0.5, 0, "precision");
    support_close(a.recall, 0.5, 0, "recall");
    assert_true(c.precision == 0 && c.f1 == 0 && c.support == 1 && none.support == 0 && none.f1 == 0);
    /* F1: a 1/2, b 1/2, c 0, d absent */
    metric_f1 zero = metric_f1_set(m, 4, all, 4, F1_ABSENT_ZERO), skip = metric_f1_set(m, 4, all, 4, F1_ABSENT_SKIP);
    support_close(zero.macro.value, 1.0 / 4, 1e-15, "macro, absent = 0");
    support_close(skip.macro.value, 1.0 / 3, 1e-15, "macro, absent left out");
    assert_true(zero.labels == 4 && skip.labels == 3);
    support_close(metric_f1_set(m, 4, some, 3, F1_ABSENT_ZERO).macro.value, 1.0 / 3, 1e-15, "macro of the label set");
    support_close(zero.weighted.value, 0.4, 1e-15, "weighted");
    support_close(zero.micro.value, 4.0 / 9, 1e-15, "micro");
    support_close(zero.balanced.value, 1.0 / 3, 1e-15, "balanced");
    support_close(metric_accuracy(truth, predicted, 5, NULL).value, 0.4, 1e-15, "accuracy");
    /* predicted without support: out of F1_SUPPORTED, in the others */
    const int32_t t2[] = {0, 0}, p2[] = {0, 1};
    metric_confusion(t2, p2, 2, NULL, 2, m);
    assert_int_equal(metric_f1_set(m, 2, all, 2, F1_SUPPORTED).labels, 1);
    support_close(metric_f1_set(m, 2, all, 2, F1_SUPPORTED).macro.value, 2.0 / 3, 1e-15, "macro over supported");
    support_close(metric_f1_set(m, 2, all, 2, F1_ABSENT_SKIP).macro.value, 1.0 / 3, 1e-15, "macro over present");
}

static void ranks_and_ties(void **state) {
    (void)state;
    const float s[] = {2, 5, 5, NAN, 1}, none[] = {NAN, NAN};
    const int32_t want[] = {2, 0, 1, 4, 3};
    for (int32_t k = 0; k < 5; k++) {
        assert_int_equal(metric_rank(s, 5, k), want[k]);
    }
    assert_int_equal(metric_argmax(s, 5), 1);
    assert_int_equal(metric_argmax(none, 2), -1);
    assert_int_equal(metric_argmax(none, 0), -1);
    assert_int_equal(metric_rank(s, 5, -1), -1);
    assert_int_equal(metric_rank(s, 5, 5), -1);
    support_close(metric_top_k(want, 5, NULL, 2).value, 0.4, 1e-15, "top 2");
}

static void probabilities_by_hand(void **state) {
    (void)state;
    const double conf[] = {0.9, 0.9, 0.8, 0.6}, p[] = {0.5, 0.5, 0, 1};
    const unsigned char right[] = {1, 0, 1, 1};
    /* four bins: (.5,.75] has .6, (.75,1] the rest: (|1 - .6| + |2 - 2.6|) / 4 */
    support_close(metric_ece(conf, right, 4, NULL, 4).value, 0.25, 1e-12, "ECE");
    metric_bin bins[4];
    assert_true(metric_reliability(conf, right, 4, 4, bins));
    assert_true(bins[0].n == 0 && isnan(bins[1].accuracy) && bins[2].n == 1 && bins[3].n == 3);
    support_close(bins[3].confidence, 2.6 / 3, 1e-12, "confidence of a bin");
    support_close(bins[3].accuracy, 2.0 / 3, 1e-12, "accuracy of a bin");
    assert_false(metric_reliability(conf, right, 0, 4, bins) || metric_reliability(conf, right, 4, 0, bins));
    uint32_t order[4];
    metric_order(conf, 4, order);
    assert_true(order[0] == 3 && order[1] == 2 && order[2] == 0 && order[3] == 1);
    /* two bins of two: {.6, .8} and {.9, .9}: (.6 + .8) / 4 */
    support_close(metric_ece_adaptive(conf, right, order, 4, NULL, 2).value, 0.35, 1e-12, "adaptive ECE");
    const int32_t truth[] = {0, 1}, wrong[] = {0, 0};
    support_close(metric_brier(p, truth, 2, 2, NULL).value, 0.25, 1e-15, "Brier");
    support_close(metric_nll(p, truth, 2, 2, NULL).value, log(2) / 2, 1e-15, "NLL");
    assert_true(isinf(metric_nll(p, wrong, 2, 2, NULL).value));
}

/* ---- against scikit-learn and SciPy ------------------------------------------------------------------- */

typedef struct cursor {
    unsigned char *data;
    size_t size, at;
} cursor;

static cursor open_vectors(const char *name) {
    cursor c = {0};
    spoor_error err = {0};
    support_ok(io_read_file(ctx, support_path(name), 4u << 20, &c.data, &c.size, &err), &err);
    return c;
}

static void *take(cursor *c, void *to, size_t bytes) {
    assert_true(c->size - c->at >= bytes);
    memcpy(to, c->data + c->at, bytes);
    c->at += bytes;
    return to;
}

static uint32_t take_u32(cursor *c) {
    uint32_t v;
    take(c, &v, sizeof v);
    return v;
}

enum { MOST = 128, MOST_K = 16 };

enum { WANTED = 25 };

static void check_detection(const double *s, const unsigned char *t, size_t n, const uint32_t *w, const double *want) {
    detection *d = make(s, t, n);
    support_close(detection_eer(d, w, EER_ASVSPOOF, NULL).value, want[0], 1e-9, "EER asvspoof");
    support_close(detection_eer(d, w, EER_ROC, NULL).value, want[1], 1e-9, "EER roc");
    support_close(detection_eer(d, w, EER_SKLEARN, NULL).value, want[2], 1e-9, "EER sklearn");
    support_close(detection_auroc(d, w).value, want[3], 1e-9, "AUROC");
    support_close(detection_fpr_interpolated(d, w, 0.95).value, want[4], 1e-9, "FPR95 interpolated");
    support_close(detection_fpr_percentile(d, w, 0.05, NULL).value, want[5], 1e-9, "FPR95 percentile");
    support_close(detection_cllr(d, w).value, want[6], 1e-9, "Cllr");
    support_close(detection_min_cllr(d, w).value, want[7], 1e-9, "min Cllr");
    support_close(detection_aupr(d, w, true).value, want[8], 1e-9, "AUPR of targets");
    support_close(detection_aupr(d, w, false).value, want[9], 1e-9, "AUPR of others");
    for (size_t k = 0; k < 3; k++) {
        const dcf_profile *p = dcf_profile_at(k);
        support_close(detection_min_dcf(d, w, p, true, NULL).value, want[10 + 2 * k], 1e-9, p->name);
        support_close(detection_act_dcf(d, w, p, true).value, want[11 + 2 * k], 1e-9, p->name);
    }
    support_close(detection_at(d, w, 0.5, DETECTION_ACCURACY).value, want[16], 1e-9, "accuracy at 0.5");
    support_close(detection_at(d, w, 0.5, DETECTION_FRR).value, want[17], 1e-9, "FRR at 0.5");
    support_close(detection_at(d, w, 0.5, DETECTION_FAR).value, want[18], 1e-9, "FAR at 0.5");
    support_close(detection_eerc(d, w, NULL).value, want[19], 1e-9, "EERc");
    support_close(detection_oscr(d, w).value, want[20], 1e-9, "OSCR");
    support_close(detection_ccr_at_fpr(d, w, 0.01).value, want[21], 1e-9, "CCR at FPR 0.01");
    support_close(detection_ccr_at_fpr(d, w, 0.05).value, want[22], 1e-9, "CCR at FPR 0.05");
    support_close(detection_ccr_at_fpr(d, w, 0.10).value, want[23], 1e-9, "CCR at FPR 0.10");
    support_close(detection_id_accuracy(d, w).value, want[24], 1e-9, "ID accuracy");
    detection_free(d);
}

/* Fold equal (score, target) items into one with a multiplicity, and leave an unused item of weight 0 behind. */
static size_t fold_items(const double *s, const unsigned char *t, size_t n, double *fs, unsigned char *ft, uint32_t *fw) {
    size_t m = 0;
    fs[m] = 0.0625; /* between the scores: it would make a point of its own */
    ft[m] = 1;
    fw[m++] = 0;
    for (size_t i = 0; i < n; i++) {
        size_t j = 1;
        while (j < m && !(fs[j] == s[i] && ft[j] == t[i])) {
            j++;
        }
        if (j == m) {
            fs[m] = s[i];
            ft[m] = t[i];
            fw[m++] = 0;
        }
        fw[j]++;
    }
    return m;
}

static void detection_equals_scikit_learn(void **state) {
    (void)state;
    cursor c = open_vectors("tests/eval/detection.bin");
    uint32_t sets = take_u32(&c);
    assert_int_equal(sets, 1000);
    for (uint32_t set = 0; set < sets; set++) {
        uint32_t n = take_u32(&c), fw[MOST + 1];
        int8_t raw[MOST];
        unsigned char t[MOST], ft[MOST + 1];
        double s[MOST], fs[MOST + 1], want[WANTED];
        assert_true(n <= MOST);
        take(&c, raw, n);
        take(&c, t, n);
        take(&c, want, sizeof want);
        for (uint32_t i = 0; i < n; i++) {
            s[i] = raw[i] / 8.0;
        }
        check_detection(s, t, n, NULL, want);
        size_t m = fold_items(s, t, n, fs, ft, fw);
        check_detection(fs, ft, m, fw, want);
    }
    assert_int_equal(c.at, c.size);
    ctx_free(ctx, c.data);
}

typedef struct class_set {
    uint32_t n, k, m;
    float score[MOST * MOST_K];
    double p[MOST * MOST_K], confidence[MOST], want[10], each[MOST_K * 3];
    int32_t truth[MOST], predicted[MOST], labels[MOST_K], rank[MOST];
    unsigned char correct[MOST];
} class_set;

static void widen(cursor *c, size_t n, int32_t *to) {
    unsigned char bytes[MOST];
    take(c, bytes, n);
    for (size_t i = 0; i < n; i++) {
        to[i] = bytes[i];
    }
}

static void take_class_set(cursor *c, class_set *s) {
    s->n = take_u32(c);
    s->k = take_u32(c);
    s->m = take_u32(c);
    assert_true(s->n <= MOST && s->k <= MOST_K && s->m <= s->k);
    for (size_t i = 0; i < (size_t)s->n * s->k; i++) {
        int8_t raw;
        take(c, &raw, 1);
        s->score[i] = (float)raw / 8;
    }
    int32_t confidence[MOST];
    widen(c, s->n, s->truth);
    widen(c, s->n, s->predicted);
    widen(c, s->m, s->labels);
    widen(c, s->n, confidence);
    take(c, s->correct, s->n);
    take(c, s->want, sizeof s->want);
    take(c, s->each, (size_t)s->k * 3 * sizeof *s->each);
    for (size_t i = 0; i < s->n; i++) {
        s->confidence[i] = confidence[i] / 64.0;
        calibrate_softmax(s->score + i * s->k, s->k, 1, s->p + i * s->k);
        s->rank[i] = metric_rank(s->score + i * s->k, s->k, s->truth[i]);
        assert_int_equal(metric_argmax(s->score + i * s->k, s->k), s->predicted[i]);
    }
}

static void check_classes(const class_set *s) {
    uint64_t counts[MOST_K * (MOST_K + 1)];
    uint32_t order[MOST];
    int32_t all[MOST_K];
    metric_confusion(s->truth, s->predicted, s->n, NULL, s->k, counts);
    for (uint32_t k = 0; k < s->k; k++) {
        metric_class c = metric_one_class(counts, s->k, k);
        support_close(c.precision, s->each[k * 3], 1e-9, "precision");
        support_close(c.recall, s->each[k * 3 + 1], 1e-9, "recall");
        support_close(c.f1, s->each[k * 3 + 2], 1e-9, "F1");
        all[k] = (int32_t)k;
    }
    metric_f1 f = metric_f1_set(counts, s->k, s->labels, s->m, F1_ABSENT_ZERO);
    support_close(metric_accuracy(s->truth, s->predicted, s->n, NULL).value, s->want[0], 1e-9, "accuracy");
    support_close(metric_f1_set(counts, s->k, all, s->k, F1_SUPPORTED).balanced.value, s->want[1], 1e-9, "balanced");
    support_close(metric_top_k(s->rank, s->n, NULL, 3).value, s->want[2], 1e-9, "top 3");
    support_close(f.macro.value, s->want[3], 1e-9, "macro F1");
    if (isnan(s->want[4])) {
        assert_true(isnan(f.weighted.value));
    } else {
        support_close(f.weighted.value, s->want[4], 1e-9, "weighted F1");
    }
    support_close(f.micro.value, s->want[5], 1e-9, "micro F1");
    support_close(metric_brier(s->p, s->truth, s->n, s->k, NULL).value, s->want[6], 1e-9, "Brier");
    support_close(metric_nll(s->p, s->truth, s->n, s->k, NULL).value, s->want[7], 1e-9, "NLL");
    support_close(metric_ece(s->confidence, s->correct, s->n, NULL, METRIC_ECE_BINS).value, s->want[8], 1e-9, "ECE");
    metric_order(s->confidence, s->n, order);
    support_close(metric_ece_adaptive(s->confidence, s->correct, order, s->n, NULL, METRIC_ECE_BINS).value, s->want[9],
                  1e-9, "adaptive ECE");
}

static void classes_equal_scikit_learn(void **state) {
    (void)state;
    cursor c = open_vectors("tests/eval/classes.bin");
    uint32_t sets = take_u32(&c);
    assert_int_equal(sets, 1000);
    class_set *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (uint32_t set = 0; set < sets; set++) {
        take_class_set(&c, s);
        check_classes(s);
    }
    assert_int_equal(c.at, c.size);
    free(s);
    ctx_free(ctx, c.data);
}

/* A weighted figure is that of the multiset: the items written out as often as their weight says. */
static void weights_are_multiplicities(void **state) {
    (void)state;
    enum { N = 20, K = 4 };
    rng r = rng_make(5, 0);
    for (int round = 0; round < 200; round++) {
        int32_t truth[N], predicted[N], long_truth[4 * N], long_predicted[4 * N];
        double conf[N], p[N * K], long_conf[4 * N], long_p[4 * N * K];
        unsigned char right[N], long_right[4 * N];
        uint32_t w[N], order[N], long_order[4 * N];
        size_t m = 0;
        for (size_t i = 0; i < N; i++) {
            truth[i] = (int32_t)rng_below(&r, K + 1) - 1;
            predicted[i] = (int32_t)rng_below(&r, K + 1) - 1;
            conf[i] = (double)rng_below(&r, 9) / 8;
            right[i] = (unsigned char)rng_below(&r, 2);
            w[i] = (uint32_t)rng_below(&r, 4);
            for (size_t k = 0; k < K; k++) {
                p[i * K + k] = rng_uniform(&r);
            }
            for (uint32_t j = 0; j < w[i]; j++, m++) {
                long_truth[m] = truth[i];
                long_predicted[m] = predicted[i];
                long_conf[m] = conf[i];
                long_right[m] = right[i];
                memcpy(long_p + m * K, p + i * K, K * sizeof *p);
            }
        }
        metric_order(conf, N, order);
        metric_order(long_conf, m, long_order);
        uint64_t a[K * (K + 1)], b[K * (K + 1)];
        metric_confusion(truth, predicted, N, w, K, a);
        metric_confusion(long_truth, long_predicted, m, NULL, K, b);
        assert_memory_equal(a, b, sizeof a);
        support_close(metric_accuracy(truth, predicted, N, w).value,
                      metric_accuracy(long_truth, long_predicted, m, NULL).value, 0, "accuracy");
        support_close(metric_top_k(truth, N, w, 2).value, metric_top_k(long_truth, m, NULL, 2).value, 0, "top k");
        support_close(metric_ece(conf, right, N, w, 15).value, metric_ece(long_conf, long_right, m, NULL, 15).value,
                      1e-12, "ECE");
        support_close(metric_ece_adaptive(conf, right, order, N, w, 15).value,
                      metric_ece_adaptive(long_conf, long_right, long_order, m, NULL, 15).value, 1e-12, "adaptive ECE");
        support_close(metric_brier(p, truth, N, K, w).value, metric_brier(long_p, long_truth, m, K, NULL).value, 1e-12,
                      "Brier");
        support_close(metric_nll(p, truth, N, K, w).value, metric_nll(long_p, long_truth, m, K, NULL).value, 1e-12,
                      "NLL");
    }
}

/* No order of the input changes a figure, to the bit. */
static void order_does_not_matter(void **state) {
    (void)state;
    enum { N = 60 };
    rng r = rng_make(6, 0);
    double s[N], first[9] = {0};
    unsigned char t[N];
    for (size_t i = 0; i < N; i++) {
        s[i] = (double)rng_below(&r, 7);
        t[i] = i % 3 == 0;
    }
    for (int round = 0; round < 50; round++) {
        for (size_t i = N - 1; i > 0; i--) {
            size_t j = rng_below(&r, i + 1);
            double x = s[i];
            unsigned char y = t[i];
            s[i] = s[j];
            t[i] = t[j];
            s[j] = x;
            t[j] = y;
        }
        detection *d = make(s, t, N);
        double now[9] = {detection_eer(d, NULL, EER_ASVSPOOF, NULL).value,
                         detection_eer(d, NULL, EER_ROC, NULL).value,
                         detection_auroc(d, NULL).value,
                         detection_fpr_interpolated(d, NULL, 0.95).value,
                         detection_fpr_percentile(d, NULL, 0.05, NULL).value,
                         detection_eer(d, NULL, EER_SKLEARN, NULL).value,
                         detection_min_cllr(d, NULL).value,
                         detection_aupr(d, NULL, true).value,
                         detection_eerc(d, NULL, NULL).value};
        if (round == 0) {
            memcpy(first, now, sizeof first);
        }
        assert_memory_equal(first, now, sizeof first);
        detection_free(d);
    }
}

static void out_of_memory(void **state) {
    (void)state;
    const double s[] = {1, 2};
    const unsigned char t[] = {0, 1};
    for (size_t at = 1; at <= 3; at++) {
        support_failing failing = {0};
        spoor_context *weak = support_failing_context(&failing);
        failing.fail_at = at;
        detection *d;
        assert_int_equal(detection_new(weak, s, t, 2, &d, NULL), SPOOR_ERR_LIMIT);
        assert_null(d);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(weak);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(detection_by_hand),          cmocka_unit_test(forms_of_the_eer_differ),
        cmocka_unit_test(costs_and_open_set_by_hand),
        cmocka_unit_test(extremes_of_detection),      cmocka_unit_test(one_class_and_empty_sets),
        cmocka_unit_test(classes_by_hand),            cmocka_unit_test(ranks_and_ties),
        cmocka_unit_test(probabilities_by_hand),      cmocka_unit_test(detection_equals_scikit_learn),
        cmocka_unit_test(classes_equal_scikit_learn), cmocka_unit_test(weights_are_multiplicities),
        cmocka_unit_test(order_does_not_matter),      cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
