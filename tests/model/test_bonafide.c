/* test_bonafide.c: the four ways in which heads judge together whether speech is human, by hand: the mean of log odds, one head,
 * and both published forms of the product; that each rises with the published score, also where probabilities are 0 or 1 to
 * the last digit; what model files say of it. */
#include "model/model.h"
#include "model/small_models.h"
#include <math.h>

/* VQ, AUX and DEC as in CodecFake+, with the human class in different places, and a task without one. */
static const char *const VQ[] = {"MVQ", "SQ", "SVQ", "real"}, *const AUX[] = {"bonafide", "none", "semantic"},
                  *const DEC[] = {"freq", "human", "time"}, *const SOURCE[] = {"a", "b"}, *const BIN[] = {"bonafide", "spoof"};

static spoor_model make(spoor_context *ctx, model_task tasks[5], bool with_bin) {
    spoor_error err;
    size_t n = 0;
    support_ok(model_task_init(ctx, &tasks[n++], "vq", VQ, 4, &err), &err);
    support_ok(model_task_init(ctx, &tasks[n++], "source", SOURCE, 2, &err), &err);
    support_ok(model_task_init(ctx, &tasks[n++], "aux", AUX, 3, &err), &err);
    support_ok(model_task_init(ctx, &tasks[n++], "dec", DEC, 3, &err), &err);
    if (with_bin) {
        support_ok(model_task_init(ctx, &tasks[n++], "bonafide", BIN, 2, &err), &err);
    }
    spoor_model m = {.ctx = ctx, .tasks = tasks, .n_tasks = n};
    m.bonafide_task = model_bonafide_task(tasks, n);
    return m;
}

static void clear(spoor_context *ctx, spoor_model *m) {
    for (size_t i = 0; i < m->n_tasks; i++) {
        model_task_clear(ctx, &m->tasks[i]);
    }
    spoor_context_free(ctx);
}

static double score(spoor_model *m, model_bonafide_kind kind, const float *logits) {
    m->bonafide_kind = kind;
    return model_bonafide_score(m, logits);
}

static double odds(double p) { return log(p / (1 - p)); }

/* p = 1/4 of the four equal classes; e^2 / (e^2 + 2); 3 / 4 */
static void by_hand(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    model_task tasks[5];
    spoor_model m = make(ctx, tasks, false);
    const float logits[] = {1, 1, 1, 1, 9, -9, 2, 0, 0, 0, logf(6), 0};
    double vq = 0.25, aux = exp(2) / (exp(2) + 2), dec = 0.75;
    support_close(score(&m, MODEL_BONAFIDE_MEAN, logits), (odds(vq) + odds(aux) + odds(dec)) / 3, 1e-6, "mean of log odds");
    support_close(score(&m, MODEL_BONAFIDE_TASK, logits), odds(vq), 1e-6, "the first head that can say it");
    support_close(score(&m, MODEL_BONAFIDE_PRODUCT, logits), odds(cbrt(vq * aux * dec)), 1e-6, "equation 2");
    support_close(score(&m, MODEL_BONAFIDE_SPOOF_PRODUCT, logits), odds(1 - cbrt((1 - vq) * (1 - aux) * (1 - dec))), 1e-6,
                  "one minus the product of spoof probabilities");
    clear(ctx, &m);
}

static void the_bonafide_task_goes_first(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    model_task tasks[5];
    spoor_model m = make(ctx, tasks, true);
    const float logits[] = {1, 1, 1, 1, 9, -9, 2, 0, 0, 0, 1, 0, 3, 1};
    assert_int_equal(m.bonafide_task, 4);
    support_close(score(&m, MODEL_BONAFIDE_TASK, logits), 2, 1e-6, "its own head alone");
    double p[4] = {0.25, exp(2) / (exp(2) + 2), exp(1) / (exp(1) + 2), 1 / (1 + exp(-2))};
    support_close(score(&m, MODEL_BONAFIDE_PRODUCT, logits), odds(pow(p[0] * p[1] * p[2] * p[3], 0.25)), 1e-6, "all four");
    clear(ctx, &m);
}

/* The forms differ: one head that is sure of spoof holds the product down, one that is sure of human the other up. */
static void a_head_that_is_sure(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    model_task tasks[5];
    spoor_model m = make(ctx, tasks, false);
    const float spoof[] = {0, 0, 0, -30, 0, 0, 0, 0, 0, 0, 0, 0}, human[] = {0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0};
    assert_true(score(&m, MODEL_BONAFIDE_PRODUCT, spoof) < -9);
    assert_true(score(&m, MODEL_BONAFIDE_SPOOF_PRODUCT, spoof) > -2);
    assert_true(score(&m, MODEL_BONAFIDE_PRODUCT, human) < 1);
    assert_true(score(&m, MODEL_BONAFIDE_SPOOF_PRODUCT, human) > 9);
    clear(ctx, &m);
}

/* Finite and in order where softmax is 0 or 1. */
static void extremes(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    model_task tasks[5];
    spoor_model m = make(ctx, tasks, false);
    for (int kind = MODEL_BONAFIDE_MEAN; kind <= MODEL_BONAFIDE_SPOOF_PRODUCT; kind++) {
        double before = -INFINITY;
        for (int step = -40; step <= 40; step++) {
            float z = (float)(step * abs(step)) * 2; /* to 3200 */
            const float logits[] = {0, 0, 0, z, 0, 0, z, 0, 0, 0, z, 0};
            double s = score(&m, (model_bonafide_kind)kind, logits);
            assert_true(isfinite(s) && s >= before);
            assert_true(s > before || abs(step) > 18); /* beyond 650 a double may not tell them apart */
            before = s;
        }
    }
    clear(ctx, &m);
}

static void without_a_human_class_there_is_none(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    model_task task;
    spoor_error err;
    support_ok(model_task_init(ctx, &task, "source", SOURCE, 2, &err), &err);
    spoor_model m = {.ctx = ctx, .tasks = &task, .n_tasks = 1, .bonafide_task = SIZE_MAX};
    for (int kind = MODEL_BONAFIDE_MEAN; kind <= MODEL_BONAFIDE_SPOOF_PRODUCT; kind++) {
        assert_true(isnan(score(&m, (model_bonafide_kind)kind, (float[]){1, 2})));
    }
    clear(ctx, &m);
}

static void model_files(void **state) {
    (void)state;
    char *folder = support_temporary(), path[400];
    spoor_context *ctx = support_context();
    snprintf(path, sizeof path, "%s/m", folder);
    static const struct {
        const char *more;
        int kind; /* -1: refused */
    } cases[] = {{"", MODEL_BONAFIDE_MEAN},
                 {",\"bonafide_score\":\"mean\"", MODEL_BONAFIDE_MEAN},
                 {",\"bonafide_score\":\"task\"", MODEL_BONAFIDE_TASK},
                 {",\"bonafide_score\":\"product\"", MODEL_BONAFIDE_PRODUCT},
                 {",\"bonafide_score\":\"spoof-product\"", MODEL_BONAFIDE_SPOOF_PRODUCT},
                 {",\"bonafide_score\":\"produkt\"", -1},
                 {",\"bonafide_score\":2", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spoor_model *m = NULL;
        spoor_error err = {0};
        small_model(ctx, path, NULL, SMALL_SLOW, "{" SMALL_POOLED "}", SMALL_BONAFIDE "," SMALL_SOURCE, cases[i].more, 1);
        spoor_status status = spoor_model_open(ctx, path, &m, &err);
        if (cases[i].kind < 0) {
            assert_int_equal(status, SPOOR_ERR_MODEL);
            assert_non_null(strstr(err.message, "its bona fide score is none of mean, task, product, spoof-product"));
        } else {
            support_ok(status, &err);
            assert_int_equal(m->bonafide_kind, cases[i].kind);
        }
        spoor_model_free(m);
    }
    spoor_context_free(ctx);
    support_remove(folder);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_hand), cmocka_unit_test(the_bonafide_task_goes_first),
                                       cmocka_unit_test(a_head_that_is_sure), cmocka_unit_test(extremes),
                                       cmocka_unit_test(without_a_human_class_there_is_none), cmocka_unit_test(model_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
