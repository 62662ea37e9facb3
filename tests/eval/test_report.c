/* test_report.c: the whole evaluation of an in-memory set: figures by hand, intervals, groups, text, and hostile names. */
#include "base/rng.h"
#include "eval/report_tables.h"
#include "support/support.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static spoor_error err;

static json_t *make(spoor_context *ctx, const eval_set *set, const eval_options *options) {
    json_t *report;
    support_ok(eval_report(ctx, set, options, &report, &err), &err);
    return report;
}

/* The group of a part by kind and name. */
static json_t *group_of(json_t *part, const char *kind, const char *name) {
    size_t i;
    json_t *g;
    json_array_foreach(json_object_get(part, "groups"), i, g) {
        if (strcmp(json_string_value(json_object_get(g, "group")), kind) == 0 &&
            strcmp(json_string_value(json_object_get(g, "name")), name) == 0) {
            return g;
        }
    }
    return NULL;
}

static double value_of(json_t *group, const char *figure) {
    json_t *v = json_object_get(json_object_get(group, figure), "value");
    if (!json_is_number(v)) {
        fail_msg("no value of %s", figure);
    }
    return json_number_value(v);
}

static json_int_t count_of(json_t *group, const char *key) { return json_integer_value(json_object_get(group, key)); }

/* ---- by hand ------------------------------------------------------------------------------------------ */

static const char *const three[] = {"human", "a", "b"};
static const eval_task hand_task = {"source", 3, three};
/* truth human a a b, answers human a b a; one clip of an unknown source, one that could not be evaluated */
static const int32_t hand_truth[] = {0, 1, 1, 2, -1, 1};
static const float hand_scores[] = {0.8f, 0.1f, 0.1f, 0.2f, 0.5f, 0.3f, 0.2f, 0.3f, 0.5f, 0.3f, 0.4f, 0.3f, 0.2f, 0.4f, 0.4f};

static void fill_hand(eval_clip clips[6]) {
    static const char *const settings[] = {"same", "same", "cross", "cross", "unknown", "same"};
    static const char *const pages[] = {"P", "P", "Q", "Q", "", "P"};
    static const char *const sources[] = {"human", "a", "a", "b", "new", "a"};
    static const double bonafide[] = {1, -1, 2, -2, -3, NAN}, known[] = {9, 3, 2, 1, 2, NAN};
    for (size_t i = 0; i < 6; i++) {
        clips[i] = (eval_clip){.id = "x", .split = "dev", .page = pages[i], .setting = settings[i], .source = sources[i],
                               .truth = &hand_truth[i], .scores = i < 5 ? hand_scores + 3 * i : NULL,
                               .bonafide = bonafide[i], .known = known[i], .is_bonafide = i == 0,
                               .is_known = i == 0 ? -1 : i == 4 ? 0 : 1};
    }
}

/* known: a 3, a 2, b 1 against new 2; of the three the first alone is named rightly */
static void check_open_set(json_t *known, json_t *all) {
    assert_string_equal(json_string_value(json_object_get(known, "task")), "source");
    support_close(value_of(all, "id_accuracy"), 1.0 / 3, 1e-12, "ID accuracy");
    support_close(value_of(all, "oscr"), 1.0 / 3, 1e-12, "OSCR");
    support_close(value_of(all, "ccr_fpr1"), 1.0 / 3, 1e-12, "CCR at FPR 1 %");
    /* 1 - CCR is 2/3 up to the threshold 3, FPR 1 up to 2, then 0: |2/3 - 1| is least, the mean 5/6 */
    support_close(value_of(all, "eerc"), 5.0 / 6, 1e-12, "EERc");
    support_close(value_of(all, "aupr"), (1.0 + 2.0 / 3 + 3.0 / 4) / 3, 1e-12, "AUPR");
    /* (FRR, FAR) = (0, 1) costs .5, (2/3, 0) .63, none accepted .95; saying always the same: .5 */
    support_close(value_of(all, "min_dcf"), 1, 1e-12, "minDCF");
    support_close(value_of(all, "min_dcf_raw"), 0.5, 1e-12, "minDCF, not normalised");
    assert_string_equal(json_string_value(json_object_get(json_object_get(known, "dcf"), "profile")), "asvspoof5");
    assert_true(json_object_get(all, "act_dcf") == NULL && json_object_get(all, "accuracy") == NULL);
}

static void figures_by_hand(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    eval_clip clips[6];
    fill_hand(clips);
    eval_set set = {.tasks = &hand_task, .task_count = 1, .clips = clips, .n = 6, .probabilities = true};
    json_t *report = make(ctx, &set, NULL);
    assert_int_equal(count_of(report, "clips"), 6);
    assert_int_equal(count_of(report, "not_evaluated"), 1);
    json_t *task = json_array_get(json_object_get(report, "tasks"), 0), *all = group_of(task, "all", "all");
    assert_int_equal(count_of(all, "n"), 4);
    assert_int_equal(count_of(all, "labels"), 3);
    support_close(value_of(all, "accuracy"), 0.5, 1e-12, "accuracy");
    support_close(value_of(all, "top5"), 1, 1e-12, "top 5 of three classes");
    support_close(value_of(all, "balanced_accuracy"), (1 + 0.5 + 0) / 3, 1e-12, "balanced accuracy");
    support_close(value_of(all, "macro_f1"), (1 + 0.5 + 0) / 3, 1e-12, "macro F1");
    support_close(value_of(all, "weighted_f1"), (1 + 2 * 0.5 + 0) / 4, 1e-12, "weighted F1");
    support_close(value_of(all, "micro_f1"), 0.5, 1e-12, "micro F1");
    assert_int_equal(json_array_size(json_object_get(task, "label_set")), 3);
    json_t *cross = group_of(task, "setting", "cross"); /* truth a b, said b a: human is absent */
    support_close(value_of(group_of(task, "setting", "same"), "macro_f1"), 1, 1e-12, "macro F1 of the labels");
    support_close(value_of(group_of(task, "setting", "same"), "macro_f1_all"), 2.0 / 3, 1e-12,
                  "macro F1 of all classes");
    support_close(value_of(cross, "micro_f1_all"), 0, 0, "micro F1 of all classes");
    json_t *bin = json_array_get(json_object_get(task, "reliability"), 7); /* (7/15, 8/15]: two of .5, one right */
    assert_int_equal(count_of(bin, "n"), 2);
    support_close(json_number_value(json_object_get(bin, "accuracy")), 0.5, 1e-12, "reliability");
    support_close(value_of(all, "nll"), -(log(0.8) + log(0.5) + log(0.3) + log(0.3)) / 4, 1e-6, "NLL");
    support_close(value_of(group_of(task, "setting", "cross"), "accuracy"), 0, 0, "accuracy on cross");
    assert_int_equal(count_of(group_of(task, "setting", "cross"), "labels"), 2);
    assert_null(group_of(task, "setting", "unknown")); /* no labelled clip there */
    support_close(value_of(group_of(task, "page", "P"), "accuracy"), 1, 0, "accuracy on P");
    json_t *a = json_array_get(json_object_get(task, "per_class"), 1);
    assert_string_equal(json_string_value(json_object_get(a, "class")), "a");
    support_close(value_of(a, "recall"), 0.5, 0, "recall of a");
    support_close(value_of(a, "precision"), 0.5, 0, "precision of a");
    json_t *row = json_array_get(json_object_get(json_object_get(task, "confusion"), "counts"), 1);
    assert_true(json_integer_value(json_array_get(row, 1)) == 1 && json_integer_value(json_array_get(row, 2)) == 1);
    /* bona fide: 1 against -1 2 -2 -3 */
    json_t *bonafide = json_object_get(report, "bonafide");
    all = group_of(bonafide, "all", "all");
    support_close(value_of(all, "auroc"), 0.75, 1e-12, "AUROC of bona fide");
    assert_true(count_of(all, "targets") == 1 && count_of(all, "others") == 4);
    assert_null(json_object_get(all, "cllr")); /* not said to be an LLR */
    /* by source: a (-1, 2) 1/2, b 1, new 1 */
    support_close(value_of(group_of(bonafide, "class_balanced", "mean over sources"), "auroc"), 2.5 / 3, 1e-12, "balanced");
    support_close(value_of(group_of(bonafide, "source", "a"), "auroc"), 0.5, 1e-12, "AUROC against a");
    assert_string_equal(json_string_value(json_object_get(group_of(bonafide, "setting", "cross"), "against")), "all targets");
    assert_string_equal(json_string_value(json_object_get(group_of(bonafide, "setting", "same"), "against")), "own");
    /* known 3 2 1 against 2: 1 + 1/2 + 0 */
    json_t *known = json_object_get(report, "known");
    support_close(value_of(group_of(known, "all", "all"), "auroc"), 0.5, 1e-12, "AUROC of known");
    support_close(value_of(group_of(known, "setting", "cross"), "auroc"), 0.25, 1e-12, "AUROC of known on cross");
    all = group_of(known, "all", "all");
    assert_int_equal(count_of(all, "targets"), 3); /* the human clip is neither */
    check_open_set(known, all);
    assert_int_equal(json_array_size(json_object_get(report, "warnings")), 0);
    json_decref(report);
    set.bonafide_is_llr = true;
    clips[0].bonafide = -9; /* below all others */
    report = make(ctx, &set, NULL);
    all = group_of(json_object_get(report, "bonafide"), "all", "all");
    assert_true(value_of(all, "cllr") > 1 && value_of(all, "min_cllr") <= 1);
    /* from ln(10 * .05 / .95) = -.64 on, the one target is out and 1 of 4 others in */
    support_close(value_of(all, "act_dcf_raw"), 0.95 + 0.5 * 0.25, 1e-12, "actDCF");
    support_close(value_of(all, "act_dcf"), 2 * (0.95 + 0.5 * 0.25), 1e-12, "actDCF, normalised");
    assert_non_null(strstr(json_string_value(json_array_get(json_object_get(report, "warnings"), 0)), "polarity"));
    json_decref(report);
    spoor_context_free(ctx);
}

/* ---- a set like the corpus ---------------------------------------------------------------------------- */

enum { CLASSES = 65, FAMILIES = 11, N = 819, WIDTH = CLASSES + FAMILIES };

typedef struct corpus {
    char class_text[CLASSES][16], family_text[FAMILIES][16], page_text[40][32], unknown_text[46][24];
    const char *class_names[CLASSES], *family_names[FAMILIES];
    eval_task tasks[2];
    eval_clip clips[N];
    int32_t truth[N * 2];
    float scores[N * WIDTH];
    eval_set set;
} corpus;

static void softmax(float *x, size_t n) {
    double sum = 0;
    for (size_t k = 0; k < n; k++) {
        sum += exp((double)x[k]);
    }
    for (size_t k = 0; k < n; k++) {
        x[k] = (float)(exp((double)x[k]) / sum);
    }
}

static corpus *make_corpus(void) {
    corpus *c = calloc(1, sizeof *c);
    assert_non_null(c);
    rng r = rng_make(51, 0);
    for (size_t k = 0; k < CLASSES; k++) {
        snprintf(c->class_text[k], sizeof c->class_text[k], "system-%02zu", k);
        c->class_names[k] = c->class_text[k];
    }
    for (size_t k = 0; k < FAMILIES; k++) {
        snprintf(c->family_text[k], sizeof c->family_text[k], "family-%zu", k);
        c->family_names[k] = c->family_text[k];
    }
    for (size_t k = 0; k < 40; k++) {
        snprintf(c->page_text[k], sizeof c->page_text[k], "someone/demo-page-%zu", k);
    }
    for (size_t k = 0; k < 46; k++) {
        snprintf(c->unknown_text[k], sizeof c->unknown_text[k], "unknown-%zu", k);
    }
    c->tasks[0] = (eval_task){"source", CLASSES, c->class_names};
    c->tasks[1] = (eval_task){"family", FAMILIES, c->family_names};
    for (size_t i = 0; i < N; i++) {
        bool known = i < 456, human = i % 5 == 0 && known;
        int32_t source = (int32_t)rng_below(&r, CLASSES), page = (int32_t)rng_below(&r, 40);
        float *s = c->scores + i * WIDTH;
        double shift = page % 5 == 0 ? 3 : 0; /* clips of a page fare alike */
        for (size_t k = 0; k < WIDTH; k++) {
            s[k] = (float)rng_normal(&r);
        }
        s[source] += known ? (float)shift + 1.5f : 0;
        s[CLASSES + source % FAMILIES] += 2;
        softmax(s, CLASSES);
        softmax(s + CLASSES, FAMILIES);
        c->truth[2 * i] = known ? source : -1;
        c->truth[2 * i + 1] = source % FAMILIES;
        c->clips[i] = (eval_clip){.id = "clip", .split = "dev", .page = c->page_text[page],
                                  .setting = !known ? "unknown" : i % 3 ? "same" : "cross",
                                  .source = human ? "bonafide" : known ? c->class_text[source] : c->unknown_text[i % 46],
                                  .truth = c->truth + 2 * i, .scores = s, .bonafide = rng_normal(&r) + 2 * human,
                                  .known = rng_normal(&r) + known, .is_bonafide = human,
                                  .is_known = human ? -1 : known};
    }
    c->set = (eval_set){.tasks = c->tasks, .task_count = 2, .clips = c->clips, .n = N, .probabilities = true,
                        .bonafide_is_llr = true};
    return c;
}

/* Every figure of the report lies in its interval (wide slack: percentile intervals of biased figures need not). */
static void check_figures(const json_t *json, size_t *figures, size_t *outside) {
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_array(json)) {
        json_array_foreach(json, i, value) { check_figures(value, figures, outside); }
        return;
    }
    const json_t *low = json_object_get(json, "low"), *v = json_object_get(json, "value");
    if (json_is_number(low)) {
        double high = json_number_value(json_object_get(json, "high"));
        assert_true(json_number_value(low) <= high);
        *figures += 1;
        *outside += json_number_value(v) < json_number_value(low) || json_number_value(v) > high;
    } else if (json_is_null(v)) {
        assert_true(json_is_string(json_object_get(json, "reason")));
    }
    json_object_foreach((json_t *)(uintptr_t)json, key, value) { check_figures(value, figures, outside); }
}

static void check_text(spoor_context *ctx, const json_t *report, const char *must_have) {
    char *text;
    support_ok(eval_report_text(ctx, report, &text, &err), &err);
    size_t line = 0;
    for (const char *p = text; *p != '\0'; p++) {
        line = *p == '\n' ? 0 : line + (((unsigned char)*p & 0xc0) != 0x80);
        assert_true(line <= 100);
        assert_true(*p == '\n' || (unsigned char)*p >= 0x20);
    }
    if (strstr(text, must_have) == NULL) {
        fail_msg("the text does not have \"%s\":\n%.3000s", must_have, text);
    }
    if (getenv("SPOOR_SHOW") != NULL) {
        printf("%s", text);
    }
    ctx_free(ctx, text);
}

static void a_set_like_the_corpus(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    corpus *c = make_corpus();
    eval_options o;
    eval_options_init(&o);
    o.system = "a system";
    o.replicates = 200;
    json_t *report = make(ctx, &c->set, &o);
    size_t figures = 0, outside = 0;
    check_figures(report, &figures, &outside);
    assert_true(figures > 500 && outside < figures / 10);
    json_t *source = json_array_get(json_object_get(report, "tasks"), 0), *all = group_of(source, "all", "all");
    assert_int_equal(count_of(all, "n"), 456);
    double accuracy = value_of(all, "accuracy"), se = sqrt(accuracy * (1 - accuracy) / 456);
    json_t *figure = json_object_get(all, "accuracy");
    support_close(json_number_value(json_object_get(figure, "low")), accuracy - 1.96 * se, 0.02, "lower end");
    support_close(json_number_value(json_object_get(figure, "high")), accuracy + 1.96 * se, 0.02, "upper end");
    double by_file = json_number_value(json_object_get(figure, "high")) - json_number_value(json_object_get(figure, "low"));
    check_text(ctx, report, "Known or unknown source");
    check_text(ctx, report, "someone/demo-page-39");
    check_text(ctx, report, "most frequent mistakes (the whole 65 x 65 matrix");
    check_text(ctx, report, "family-10");
    json_t *again = make(ctx, &c->set, &o);
    assert_true(json_equal(report, again));
    json_decref(again);
    json_decref(report);
    o.by = EVAL_BY_PAGE;
    report = make(ctx, &c->set, &o);
    all = group_of(json_array_get(json_object_get(report, "tasks"), 0), "all", "all");
    figure = json_object_get(all, "accuracy");
    double by_page = json_number_value(json_object_get(figure, "high")) - json_number_value(json_object_get(figure, "low"));
    assert_true(by_page > 1.3 * by_file); /* clips of a page fare alike */
    support_close(value_of(all, "accuracy"), accuracy, 0, "accuracy");
    figure = json_object_get(group_of(json_array_get(json_object_get(report, "tasks"), 0), "page", "someone/demo-page-1"),
                             "accuracy");
    assert_true(json_is_number(json_object_get(figure, "value")) && json_is_null(json_object_get(figure, "low")));
    json_decref(report);
    o.replicates = 0;
    o.confusion = false;
    report = make(ctx, &c->set, &o);
    check_text(ctx, report, "no intervals");
    assert_null(json_object_get(json_array_get(json_object_get(report, "tasks"), 0), "confusion"));
    json_decref(report);
    free(c);
    spoor_context_free(ctx);
}

/* ---- options ------------------------------------------------------------------------------------------ */

static void thresholds_and_profiles(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    eval_clip clips[6];
    fill_hand(clips);
    eval_set set = {.tasks = &hand_task, .task_count = 1, .clips = clips, .n = 6};
    double t;
    support_ok(eval_fix_threshold(ctx, &set, true, 0, &t, &err), &err); /* known 3 2 1 against 2 */
    support_close(t, 2, 0, "threshold of the EER"); /* (1/3, 1) there, (2/3, 0) at 3: the lower of equals */
    support_ok(eval_fix_threshold(ctx, &set, true, 0.5, &t, &err), &err);
    support_close(t, 2, 0, "threshold that accepts half");
    support_ok(eval_fix_threshold(ctx, &set, false, 1, &t, &err), &err);
    support_close(t, 1, 0, "threshold that accepts all");
    eval_options o;
    eval_options_init(&o);
    o.known = (eval_threshold){2, "dev"};
    o.dcf = (dcf_profile){"half", 0.5, 1, 1};
    o.by = EVAL_BY_CLASS;
    json_t *report = make(ctx, &set, &o), *known = json_object_get(report, "known"),
           *all = group_of(known, "all", "all");
    support_close(value_of(all, "accuracy"), 0.5, 1e-12, "OOD accuracy"); /* 3 and 2 in, 1 out; the other in */
    support_close(value_of(all, "frr"), 1.0 / 3, 1e-12, "FRR");
    support_close(value_of(all, "far"), 1, 1e-12, "FAR");
    assert_string_equal(json_string_value(json_object_get(json_object_get(known, "threshold"), "from")), "dev");
    assert_string_equal(json_string_value(json_object_get(json_object_get(report, "bootstrap"), "by")), "class");
    assert_null(json_object_get(json_object_get(report, "bonafide"), "threshold"));
    check_text(ctx, report, "accepted from the score 2 on (dev)");
    check_text(ctx, report, "profile half: prior of a target 0.5, c_miss 1, c_fa 1");
    check_text(ctx, report, "accepted and named rightly, by task source");
    json_decref(report);
    o.dcf.prior = 1;
    assert_int_equal(eval_report(ctx, &set, &o, &report, &err), SPOOR_ERR_USAGE);
    eval_options_init(&o);
    o.open_task = "vocoder";
    assert_int_equal(eval_report(ctx, &set, &o, &report, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "no task called \"vocoder\""));
    static const int32_t none = -1;
    clips[1].truth = &none; /* a known recording without a label: no open set, and it is said */
    report = make(ctx, &set, NULL);
    known = json_object_get(report, "known");
    assert_true(json_object_get(known, "task") == NULL &&
                json_object_get(group_of(known, "all", "all"), "oscr") == NULL);
    assert_non_null(strstr(json_string_value(json_array_get(json_object_get(report, "warnings"), 0)), "1 of 3 known"));
    json_decref(report);
    for (size_t i = 0; i < 6; i++) {
        clips[i].is_known = clips[i].is_known == 1 ? 0 : clips[i].is_known;
    }
    assert_int_equal(eval_fix_threshold(ctx, &set, true, 0, &t, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "known score: there is no target"));
    assert_int_equal(eval_fix_threshold(ctx, &set, true, 0.9, &t, &err), SPOOR_ERR_INPUT);
    spoor_context_free(ctx);
}

/* Sources fare alike: drawn whole, the interval is wider. */
static void whole_sources_are_drawn(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    enum { SOURCES = 10, EACH = 20 };
    static eval_clip clips[SOURCES * EACH];
    static char names[SOURCES][8];
    for (size_t i = 0; i < SOURCES * EACH; i++) {
        size_t source = i / EACH;
        snprintf(names[source], sizeof names[source], "s%zu", source);
        clips[i] = (eval_clip){.id = "x", .split = "", .page = "", .setting = "", .source = names[source],
                               .bonafide = (double)(source * source % 11) + 0.01 * (double)(i % EACH), .known = NAN,
                               .is_bonafide = source % 2, .is_known = -1};
    }
    eval_set set = {.clips = clips, .n = SOURCES * EACH};
    eval_options o;
    eval_options_init(&o);
    double width[2];
    for (int by = 0; by < 2; by++) {
        o.by = by == 0 ? EVAL_BY_FILE : EVAL_BY_CLASS;
        json_t *report = make(ctx, &set, &o);
        json_t *v = json_object_get(group_of(json_object_get(report, "bonafide"), "all", "all"), "auroc");
        width[by] = json_number_value(json_object_get(v, "high")) - json_number_value(json_object_get(v, "low"));
        json_decref(report);
    }
    assert_true(width[0] > 0 && width[1] > 2 * width[0]);
    spoor_context_free(ctx);
}

/* ---- odd sets ----------------------------------------------------------------------------------------- */

static void sets_with_little_in_them(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    eval_set empty = {0};
    json_t *report = make(ctx, &empty, NULL);
    assert_int_equal(json_array_size(json_object_get(report, "tasks")), 0);
    assert_null(json_object_get(report, "bonafide"));
    check_text(ctx, report, "0 recordings");
    json_decref(report);
    eval_clip clips[6];
    fill_hand(clips);
    eval_set one = {.tasks = &hand_task, .task_count = 1, .clips = clips, .n = 1};
    report = make(ctx, &one, NULL);
    json_t *all = group_of(json_object_get(report, "bonafide"), "all", "all");
    assert_true(json_is_null(json_object_get(json_object_get(all, "eer"), "value")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(all, "eer"), "reason")),
                        "there is no non-target in the set");
    check_text(ctx, report, " -");
    json_decref(report);
    /* names that want to break the page: control characters, no UTF-8, long, wide */
    clips[0].page = "\x1b[2J\n\t";
    clips[1].page = "\xff\xfe";
    clips[2].page = "h\xc3\xb6ren/sehr-sehr-sehr-sehr-sehr-sehr-sehr-sehr-sehr-sehr-sehr-sehr-sehr-sehr-sehr-sehr-lang";
    clips[3].setting = "";
    one.n = 6;
    eval_options o;
    eval_options_init(&o);
    o.system = "\x1b]0;x\x07";
    o.by = EVAL_BY_PAGE;
    report = make(ctx, &one, &o);
    check_text(ctx, report, "h\xc3\xb6ren/sehr");
    check_text(ctx, report, "?[2J??");
    json_decref(report);
    one.decisions = true;
    report = make(ctx, &one, &o);
    all = group_of(json_array_get(json_object_get(report, "tasks"), 0), "all", "all");
    assert_true(json_is_null(json_object_get(json_object_get(all, "top5"), "value")));
    json_decref(report);
    for (size_t i = 0; i < 6; i++) {
        clips[i].source = ""; /* no class-balanced row without sources */
    }
    report = make(ctx, &one, &o);
    assert_null(group_of(json_object_get(report, "known"), "class_balanced", "mean over sources"));
    assert_non_null(group_of(json_object_get(report, "known"), "all", "all"));
    json_decref(report);
    int32_t wrong = 3;
    clips[0].truth = &wrong;
    assert_int_equal(eval_report(ctx, &one, NULL, &report, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "label 3 of task source"));
    assert_null(report);
    spoor_context_free(ctx);
}

static void report_without_memory(void **state) {
    (void)state;
    eval_clip clips[6];
    fill_hand(clips);
    eval_set set = {.tasks = &hand_task, .task_count = 1, .clips = clips, .n = 6, .probabilities = true};
    eval_options o;
    eval_options_init(&o);
    o.replicates = 2;
    o.by = EVAL_BY_PAGE;
    spoor_status status = SPOOR_ERR_LIMIT;
    size_t at = 1;
    for (; status != SPOOR_OK && at < 5000; at++) {
        support_failing failing = {0};
        spoor_context *weak = support_failing_context(&failing);
        failing.fail_at = at;
        json_t *report;
        char *text = NULL;
        status = eval_report(weak, &set, &o, &report, &err);
        assert_true(status == SPOOR_OK || (status == SPOOR_ERR_LIMIT && report == NULL));
        if (status == SPOOR_OK) {
            status = eval_report_text(weak, report, &text, &err);
            assert_true(status == SPOOR_OK || (status == SPOOR_ERR_LIMIT && text == NULL));
            json_decref(report);
        }
        ctx_free(weak, text);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(weak);
    }
    assert_int_equal(status, SPOOR_OK);
    assert_true(at > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_by_hand),
        cmocka_unit_test(a_set_like_the_corpus),
        cmocka_unit_test(thresholds_and_profiles),
        cmocka_unit_test(whole_sources_are_drawn),
        cmocka_unit_test(sets_with_little_in_them),
        cmocka_unit_test(report_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
