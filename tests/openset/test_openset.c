/* test_openset.c: open-set scores, the threshold, and the calibration of logits and scores; fits against SciPy
 * (tests/torch/make_eval.py). */
#include "base/io.h"
#include "base/rng.h"
#include "openset/calibrate.h"
#include "openset/openset.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static spoor_context *ctx;
static spoor_error err;

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

static void refused(spoor_status got, spoor_status want, const char *words) {
    assert_int_equal(got, want);
    if (strstr(err.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    }
}

static double score_of(openset_kind kind, double temperature, const float *logits, size_t classes) {
    openset o;
    openset_init(&o);
    o.kind = kind;
    o.temperature = temperature;
    double score;
    support_ok(openset_score(&o, logits, classes, NULL, 0, &score, &err), &err);
    return score;
}

static void scores_by_hand(void **state) {
    (void)state;
    const float z[] = {0, 1.0986123f, 0}, huge[] = {1e6f, 1e6f}; /* 0, ln 3, 0 */
    support_close(score_of(OPENSET_ENERGY, 1, z, 3), log(5), 1e-7, "energy");
    support_close(score_of(OPENSET_MAX_LOGIT, 1, z, 3), log(3), 1e-7, "max logit");
    support_close(score_of(OPENSET_MSP, 1, z, 3), 0.6, 1e-7, "MSP");
    support_close(score_of(OPENSET_ENERGY, 2, z, 3), 2 * log(2 + sqrt(3)), 1e-7, "energy at T = 2");
    support_close(score_of(OPENSET_MSP, 0.5, z, 3), 9.0 / 11, 1e-7, "MSP at T = 1/2");
    support_close(score_of(OPENSET_ENERGY, 1, huge, 2), 1e6 + log(2), 1e-12, "energy of large logits");
    support_close(score_of(OPENSET_MSP, 1, z, 1), 1, 0, "MSP of one class");
    const float bad[] = {0, NAN}, endless[] = {INFINITY, 0};
    openset o;
    openset_init(&o);
    double s;
    refused(openset_score(&o, bad, 2, NULL, 0, &s, &err), SPOOR_ERR_INPUT, "logit 2 of 2");
    refused(openset_score(&o, endless, 2, NULL, 0, &s, &err), SPOOR_ERR_INPUT, "logit 1 of 2");
    refused(openset_score(&o, bad, 0, NULL, 0, &s, &err), SPOOR_ERR_INPUT, "at least one class");
    for (unsigned k = 0; k < OPENSET_KINDS; k++) {
        openset_kind back;
        support_ok(openset_kind_parse(openset_kind_name((openset_kind)k), &back, &err), &err);
        assert_int_equal(back, k);
    }
    refused(openset_kind_parse("nsd?", &o.kind, &err), SPOOR_ERR_USAGE, "nsd?");
}

static void threshold_accepts_the_share(void **state) {
    (void)state;
    rng r = rng_make(4, 0);
    double s[400];
    for (size_t n = 1; n <= 400; n++) {
        for (size_t i = 0; i < n; i++) {
            s[i] = rng_normal(&r);
        }
        openset o;
        openset_init(&o);
        support_ok(openset_fix_threshold(ctx, &o, s, n, 0.95, &err), &err);
        size_t accepted = 0;
        for (size_t i = 0; i < n; i++) {
            accepted += s[i] >= o.threshold;
        }
        assert_int_equal(accepted, (95 * n + 99) / 100); /* ceil(0.95 n), in whole numbers */
        assert_true(o.acceptance == 0.95);
    }
    const double ties[] = {1, 1, 1, 2}, bad[] = {1, NAN};
    openset o;
    openset_init(&o);
    support_ok(openset_fix_threshold(ctx, &o, ties, 4, 0.5, &err), &err);
    assert_true(o.threshold == 1);
    support_ok(openset_fix_threshold(ctx, &o, ties, 4, 0.25, &err), &err);
    assert_true(o.threshold == 2);
    refused(openset_fix_threshold(ctx, &o, bad, 2, 0.95, &err), SPOOR_ERR_INPUT, "known score 2 of 2");
    refused(openset_fix_threshold(ctx, &o, bad, 0, 0.95, &err), SPOOR_ERR_INPUT, "no recording of a known source");
    refused(openset_fix_threshold(ctx, &o, ties, 4, 0, &err), SPOOR_ERR_USAGE, "above 0");
    refused(openset_fix_threshold(ctx, &o, ties, 4, NAN, &err), SPOOR_ERR_USAGE, "above 0");
    support_failing failing = {0};
    spoor_context *weak = support_failing_context(&failing);
    failing.fail_at = 1;
    refused(openset_fix_threshold(weak, &o, ties, 4, 0.5, &err), SPOOR_ERR_LIMIT, "out of memory");
    spoor_context_free(weak);
    assert_true(o.threshold == 2); /* untouched by failures */
}

static void windows_and_softmax(void **state) {
    (void)state;
    const float z[] = {1, 2, 3, 5, 4, 0}, big[] = {1e30f, -1e30f};
    float mean[3];
    double p[3];
    calibrate_mean_logits(z, 2, 3, mean);
    assert_true(mean[0] == 3 && mean[1] == 3 && mean[2] == 1.5f);
    calibrate_softmax(mean, 3, 1.5, p);
    support_close(p[0], 1 / (2 + exp(-1)), 1e-15, "softmax");
    support_close(p[0] + p[1] + p[2], 1, 1e-15, "sum");
    calibrate_softmax(big, 2, 0.01, p);
    assert_true(p[0] == 1 && p[1] == 0);
}

/* Labels drawn from softmax(z): logits z * k are too sharp by k, so that T = k is the truth. */
static void temperature_is_recovered(void **state) {
    (void)state;
    enum { N = 20000, K = 5 };
    float *z = malloc(sizeof *z * N * K);
    int32_t *truth = malloc(sizeof *truth * N);
    assert_true(z != NULL && truth != NULL);
    const double known[] = {0.25, 1, 3};
    for (size_t t = 0; t < 3; t++) {
        rng r = rng_make(8, t);
        for (size_t i = 0; i < N; i++) {
            double p[K], u = rng_uniform(&r);
            for (size_t k = 0; k < K; k++) {
                z[i * K + k] = (float)(2 * rng_normal(&r));
            }
            calibrate_softmax(z + i * K, K, 1, p);
            for (truth[i] = 0; truth[i] < K - 1 && u >= p[truth[i]]; truth[i]++) {
                u -= p[truth[i]];
            }
            for (size_t k = 0; k < K; k++) {
                z[i * K + k] *= (float)known[t];
            }
            truth[i] = i % 10 == 9 ? -1 : truth[i]; /* some without a label */
        }
        calibrate_temperature c;
        support_ok(calibrate_temperature_fit(z, truth, N, K, &c, &err), &err);
        assert_true(fabs(c.temperature - known[t]) < 0.04 * known[t]);
        assert_true(c.n == N - N / 10 && !c.at_limit && c.nll <= c.nll_before);
    }
    free(z);
    free(truth);
}

static void temperature_at_its_limits(void **state) {
    (void)state;
    const float right[] = {1, 0, 0, 1}, bad[] = {0, INFINITY};
    const int32_t truth[] = {0, 1}, wrong[] = {1, 0}, none[] = {-1, -1}, high[] = {0, 2};
    calibrate_temperature c;
    support_ok(calibrate_temperature_fit(right, truth, 2, 2, &c, &err), &err);
    assert_true(c.at_limit && fabs(c.temperature - 0.01) < 1e-12); /* never wrong: the sharper the better */
    support_ok(calibrate_temperature_fit(right, wrong, 2, 2, &c, &err), &err);
    assert_true(c.at_limit && fabs(c.temperature - 100) < 1e-9); /* always wrong: the flatter the better */
    refused(calibrate_temperature_fit(right, none, 2, 2, &c, &err), SPOOR_ERR_INPUT, "no item of a known class");
    refused(calibrate_temperature_fit(right, truth, 0, 2, &c, &err), SPOOR_ERR_INPUT, "no item of a known class");
    refused(calibrate_temperature_fit(right, high, 2, 2, &c, &err), SPOOR_ERR_INPUT, "item 2 has label 2");
    refused(calibrate_temperature_fit(bad, truth, 1, 2, &c, &err), SPOOR_ERR_INPUT, "logit 2 of item 1");
    refused(calibrate_temperature_fit(right, truth, 2, 1, &c, &err), SPOOR_ERR_INPUT, "two classes");
}

static void logistic_refuses_and_gives_up(void **state) {
    (void)state;
    const double s[] = {0, 1, 2, 3}, same[] = {5, 5, 5, 5}, bad[] = {0, NAN, 1, 2};
    const unsigned char up[] = {0, 0, 1, 1}, down[] = {1, 1, 0, 0}, ones[] = {1, 1, 1, 1};
    calibrate_logistic c;
    refused(calibrate_logistic_fit(s, ones, 4, 0.5, &c, &err), SPOOR_ERR_INPUT, "4 targets and 0 others");
    refused(calibrate_logistic_fit(s, up, 0, 0.5, &c, &err), SPOOR_ERR_INPUT, "0 targets and 0 others");
    refused(calibrate_logistic_fit(bad, up, 4, 0.5, &c, &err), SPOOR_ERR_INPUT, "score 2 of 4");
    refused(calibrate_logistic_fit(s, up, 4, 1, &c, &err), SPOOR_ERR_INPUT, "prior");
    refused(calibrate_logistic_fit(s, up, 4, NAN, &c, &err), SPOOR_ERR_INPUT, "prior");
    support_ok(calibrate_logistic_fit(s, up, 4, 0.5, &c, &err), &err); /* separable: finite all the same */
    assert_true(c.informative && c.scale > 0 && isfinite(c.scale) && c.targets == 2 && c.others == 2);
    support_close(calibrate_logistic_llr(&c, 1.5), 0, 1e-9, "llr in the middle");
    /* both of a class on one side, softened to 3/4: half of the score's range apart */
    assert_true(calibrate_logistic_p(&c, 3) > 0.75 && calibrate_logistic_p(&c, 2) < 0.75);
    support_ok(calibrate_logistic_fit(s, down, 4, 0.2, &c, &err), &err);
    assert_true(!c.informative && c.scale == 0 && c.offset == 0);
    support_close(calibrate_logistic_p(&c, 3), 0.2, 1e-12, "no evidence: the prior");
    support_ok(calibrate_logistic_fit(same, up, 4, 0.5, &c, &err), &err);
    assert_true(!c.informative);
}

/* Scores that are LLRs of two Gaussians come out unchanged, at any prior. */
static void logistic_recovers_an_llr(void **state) {
    (void)state;
    enum { N = 40000 };
    double *s = malloc(sizeof *s * N);
    unsigned char *t = malloc(N);
    assert_true(s != NULL && t != NULL);
    rng r = rng_make(9, 0);
    for (size_t i = 0; i < N; i++) { /* N(+2, 4) against N(-2, 4): llr = x; then 3 x + 1 */
        t[i] = i % 4 == 0;
        s[i] = 3 * (2 * rng_normal(&r) + (t[i] ? 2 : -2)) + 1;
    }
    const double priors[] = {0.5, 0.01};
    for (size_t k = 0; k < 2; k++) {
        calibrate_logistic c;
        support_ok(calibrate_logistic_fit(s, t, N, priors[k], &c, &err), &err);
        support_close(calibrate_logistic_llr(&c, 1), 0, 0.15, "llr where the densities meet");
        support_close(calibrate_logistic_llr(&c, 7), 2, 0.15, "llr of 2");
        double llr = calibrate_logistic_llr(&c, 7), odds = priors[k] / (1 - priors[k]) * exp(llr);
        support_close(calibrate_logistic_p(&c, 7), odds / (1 + odds), 1e-12, "Bayes");
    }
    free(s);
    free(t);
}

typedef struct cursor {
    unsigned char *data;
    size_t size, at;
} cursor;

static void take(cursor *c, void *to, size_t bytes) {
    assert_true(c->size - c->at >= bytes);
    memcpy(to, c->data + c->at, bytes);
    c->at += bytes;
}

static void fits_equal_scipy(void **state) {
    (void)state;
    enum { MOST = 100, MOST_K = 8 };
    cursor c = {0};
    support_ok(io_read_file(ctx, support_path("tests/openset/calibration.bin"), 1 << 20, &c.data, &c.size, &err), &err);
    uint32_t sets;
    take(&c, &sets, 4);
    assert_int_equal(sets, 60);
    for (uint32_t set = 0; set < sets; set++) {
        uint32_t size[2];
        int8_t raw[MOST * MOST_K];
        unsigned char bytes[MOST];
        float z[MOST * MOST_K];
        int32_t truth[MOST];
        double want[2], logistic[3], score[MOST];
        take(&c, size, sizeof size);
        uint32_t n = size[0], k = size[1];
        assert_true(n <= MOST && k <= MOST_K);
        take(&c, raw, (size_t)n * k);
        take(&c, bytes, n);
        take(&c, want, sizeof want);
        for (uint32_t i = 0; i < n * k; i++) {
            z[i] = (float)raw[i] / 8;
        }
        for (uint32_t i = 0; i < n; i++) {
            truth[i] = bytes[i];
        }
        calibrate_temperature t;
        support_ok(calibrate_temperature_fit(z, truth, n, k, &t, &err), &err);
        support_close(t.temperature, want[0], 1e-5, "T");
        support_close(t.nll, want[1], 1e-9, "NLL");
        take(&c, bytes, n);
        take(&c, raw, n);
        take(&c, logistic, sizeof logistic);
        for (uint32_t i = 0; i < n; i++) {
            score[i] = raw[i] / 8.0;
        }
        calibrate_logistic l;
        support_ok(calibrate_logistic_fit(score, bytes, n, logistic[0], &l, &err), &err);
        support_close(l.scale, logistic[1], 1e-6, "scale");
        support_close(l.offset, logistic[2], 1e-6, "offset");
        assert_true(l.informative == (logistic[1] > 0));
    }
    assert_int_equal(c.at, c.size);
    ctx_free(ctx, c.data);
}

static void folds_keep_groups_whole(void **state) {
    (void)state;
    enum { N = 100 };
    int32_t group[N];
    uint32_t fold[N], again[N], load[5] = {0};
    for (int32_t i = 0; i < N; i++) {
        group[i] = i * 7 % 13 - 5;
    }
    support_ok(calibrate_folds(ctx, group, N, 5, 1, fold, &err), &err);
    support_ok(calibrate_folds(ctx, group, N, 5, 1, again, &err), &err);
    assert_memory_equal(fold, again, sizeof fold);
    for (size_t i = 0; i < N; i++) {
        assert_true(fold[i] < 5);
        load[fold[i]]++;
        for (size_t j = 0; j < i; j++) {
            assert_true(group[i] != group[j] || fold[i] == fold[j]);
        }
    }
    for (size_t f = 0; f < 5; f++) {
        assert_true(load[f] >= 10 && load[f] <= 30); /* groups of 7 or 8 */
    }
    memset(load, 0, sizeof load);
    support_ok(calibrate_folds(ctx, NULL, N, 5, 2, fold, &err), &err);
    for (size_t i = 0; i < N; i++) {
        load[fold[i]]++;
    }
    for (size_t f = 0; f < 5; f++) {
        assert_int_equal(load[f], N / 5);
    }
    support_ok(calibrate_folds(ctx, NULL, N, 5, 3, again, &err), &err);
    assert_memory_not_equal(fold, again, sizeof fold);
    memset(group, 0, sizeof group);
    refused(calibrate_folds(ctx, group, N, 5, 1, fold, &err), SPOOR_ERR_INPUT, "one group");
    refused(calibrate_folds(ctx, NULL, N, 1, 1, fold, &err), SPOOR_ERR_INPUT, "2 to 1000 folds");
    refused(calibrate_folds(ctx, NULL, 1, 2, 1, fold, &err), SPOOR_ERR_INPUT, "two items");
}

/* Each item's figure must come from the other folds alone: changing an item's own label changes nothing for it. */
static void crossed_figures_are_honest(void **state) {
    (void)state;
    enum { N = 40, K = 3, FOLDS = 4 };
    float z[N * K];
    double s[N], p[N * K], q[N * K], llr[N], other[N];
    int32_t truth[N];
    unsigned char target[N];
    uint32_t fold[N];
    rng r = rng_make(11, 0);
    for (size_t i = 0; i < N; i++) {
        truth[i] = (int32_t)(i % K);
        target[i] = i % 2 == 0;
        s[i] = rng_normal(&r) + target[i];
        for (size_t k = 0; k < K; k++) {
            z[i * K + k] = (float)(3 * rng_normal(&r) + (k == i % K ? 2 : 0));
        }
    }
    support_ok(calibrate_folds(ctx, NULL, N, FOLDS, 5, fold, &err), &err);
    support_ok(calibrate_temperature_cross(ctx, z, truth, NULL, N, K, FOLDS, 5, p, &err), &err);
    support_ok(calibrate_logistic_cross(ctx, s, target, NULL, N, 0.5, FOLDS, 5, llr, &err), &err);
    truth[0] = (truth[0] + 1) % K;
    target[0] = !target[0];
    support_ok(calibrate_temperature_cross(ctx, z, truth, NULL, N, K, FOLDS, 5, q, &err), &err);
    support_ok(calibrate_logistic_cross(ctx, s, target, NULL, N, 0.5, FOLDS, 5, other, &err), &err);
    for (size_t i = 0; i < N; i++) {
        bool same_fold = fold[i] == fold[0];
        assert_true(same_fold == (memcmp(p + i * K, q + i * K, K * sizeof *p) == 0));
        assert_true(same_fold == (llr[i] == other[i]));
    }
    memset(target, 0, sizeof target);
    target[0] = 1; /* the fold that holds it leaves no target */
    refused(calibrate_logistic_cross(ctx, s, target, NULL, N, 0.5, FOLDS, 5, llr, &err), SPOOR_ERR_INPUT, "both classes");
    for (size_t i = 1; i < N; i++) {
        truth[i] = -1;
    }
    refused(calibrate_temperature_cross(ctx, z, truth, NULL, N, K, FOLDS, 5, p, &err), SPOOR_ERR_INPUT, "no labelled item");
    for (size_t at = 1; at <= 4; at++) {
        support_failing failing = {0};
        spoor_context *weak = support_failing_context(&failing);
        failing.fail_at = at;
        refused(calibrate_temperature_cross(weak, z, truth, NULL, N, K, FOLDS, 5, p, &err), SPOOR_ERR_LIMIT, "memory");
        assert_int_equal(failing.live, 0);
        failing.count = 0;
        refused(calibrate_logistic_cross(weak, s, target, NULL, N, 0.5, FOLDS, 5, llr, &err), SPOOR_ERR_LIMIT, "memory");
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(weak);
    }
}

/* Through text, as in a model file. */
static json_t *through_text(json_t *json) {
    assert_non_null(json);
    char *text = json_dumps(json, 0);
    json_decref(json);
    assert_non_null(text);
    json = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(json);
    return json;
}

static void json_there_and_back(void **state) {
    (void)state;
    openset o = {.kind = OPENSET_MSP, .temperature = 1.0 / 3, .threshold = 0.1234567890123456789, .acceptance = 0.95}, o2;
    json_t *json = through_text(openset_to_json(&o));
    support_ok(openset_from_json(json, &o2, &err), &err);
    assert_true(o2.kind == o.kind && o2.temperature == o.temperature && o2.threshold == o.threshold);
    assert_true(o2.acceptance == o.acceptance);
    json_decref(json);
    openset_init(&o);
    json = through_text(openset_to_json(&o));
    support_ok(openset_from_json(json, &o2, &err), &err);
    assert_true(isinf(o2.threshold) && o2.threshold < 0);
    json_decref(json);
    calibrate_temperature t = {1.0 / 7, true, 456, 2.5, 1.25}, t2;
    json = through_text(calibrate_temperature_to_json(&t));
    support_ok(calibrate_temperature_from_json(json, &t2, &err), &err);
    assert_true(t2.temperature == t.temperature && t2.at_limit && t2.n == 456 && t2.nll == 1.25 && t2.nll_before == 2.5);
    json_decref(json);
    calibrate_logistic l = {0.7, -1.0 / 3, 0.5, true, 10, 20}, l2;
    json = through_text(calibrate_logistic_to_json(&l));
    support_ok(calibrate_logistic_from_json(json, &l2, &err), &err);
    assert_true(l2.scale == l.scale && l2.offset == l.offset && l2.prior == l.prior && l2.informative);
    assert_true(l2.targets == 10 && l2.others == 20);
    json_decref(json);
}

static void json_that_is_wrong(void **state) {
    (void)state;
    static const char *const open[][2] = {
        {"{}", "scorer"},
        {"[]", "scorer"},
        {"{\"scorer\": \"nope\"}", "scorer"},
        {"{\"scorer\": \"energy\"}", "temperature"},
        {"{\"scorer\": \"energy\", \"temperature\": -1}", "temperature"},
        {"{\"scorer\": \"energy\", \"temperature\": \"1\"}", "temperature"},
        {"{\"scorer\": \"energy\", \"temperature\": 1}", "threshold"},
        {"{\"scorer\": \"energy\", \"temperature\": 1, \"threshold\": null}", "acceptance"},
        {"{\"scorer\": \"energy\", \"temperature\": 1, \"threshold\": 1, \"acceptance\": 2}", "acceptance"},
    };
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        json_t *json = json_loads(open[i][0], 0, NULL);
        openset o;
        refused(openset_from_json(json, &o, &err), SPOOR_ERR_MODEL, open[i][1]);
        json_decref(json);
    }
    static const char *const logistic[][2] = {
        {"{}", "scale"},
        {"{\"scale\": -1}", "scale"},
        {"{\"scale\": 1, \"offset\": \"0\"}", "offset"},
        {"{\"scale\": 1, \"offset\": 0}", "prior"},
        {"{\"scale\": 1, \"offset\": 0, \"prior\": 1}", "prior"},
    };
    for (size_t i = 0; i < sizeof logistic / sizeof *logistic; i++) {
        json_t *json = json_loads(logistic[i][0], 0, NULL);
        calibrate_logistic l;
        refused(calibrate_logistic_from_json(json, &l, &err), SPOOR_ERR_MODEL, logistic[i][1]);
        json_decref(json);
    }
    json_t *json = json_pack("{s:i}", "temperature", 0);
    calibrate_temperature t;
    refused(calibrate_temperature_from_json(json, &t, &err), SPOOR_ERR_MODEL, "temperature");
    json_decref(json);
    refused(calibrate_temperature_from_json(NULL, &t, &err), SPOOR_ERR_MODEL, "temperature");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_by_hand),
        cmocka_unit_test(threshold_accepts_the_share),
        cmocka_unit_test(windows_and_softmax),
        cmocka_unit_test(temperature_is_recovered),
        cmocka_unit_test(temperature_at_its_limits),
        cmocka_unit_test(logistic_refuses_and_gives_up),
        cmocka_unit_test(logistic_recovers_an_llr),
        cmocka_unit_test(fits_equal_scipy),
        cmocka_unit_test(folds_keep_groups_whole),
        cmocka_unit_test(crossed_figures_are_honest),
        cmocka_unit_test(json_there_and_back),
        cmocka_unit_test(json_that_is_wrong),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
