/* test_fuse.c: the fit of a fusion against scikit-learn (tests/torch/make_fuse.py), weights of averages against all of
 * them by hand, and both on combined models. */
#include "train/fuse.h"
#include "model/combine.h"
#include "model/small_models.h"
#include "weights/safetensors.h"
#include <math.h>

static spoor_context *ctx;
static spoor_error err;
static char *folder;
static safetensors *file;

enum { TRAIN = 90, DEV = 50, DIM = 10, CLASSES = 4, STRENGTHS = 3 };

static const safetensors_tensor *vector(const char *name) {
    const safetensors_tensor *t = safetensors_find(file, name);
    if (t == NULL) {
        fail_msg("vector %s is missing", name);
    }
    return t;
}

static void labels(const char *name, int32_t *out) {
    double v[TRAIN];
    const safetensors_tensor *t = vector(name);
    assert_true(t->count <= TRAIN);
    safetensors_to_f64(t, v);
    for (size_t i = 0; i < t->count; i++) {
        out[i] = (int32_t)v[i];
    }
}

typedef struct problem {
    float x[TRAIN * DIM], dev_x[DEV * DIM];
    int32_t label[TRAIN], dev_label[DEV];
    fuse_rows train, dev;
    fuse_options o;
} problem;

static void load(problem *p) {
    double l2[STRENGTHS];
    safetensors_to_f32(vector("x"), p->x);
    safetensors_to_f32(vector("dev_x"), p->dev_x);
    labels("label", p->label);
    labels("dev_label", p->dev_label);
    safetensors_to_f64(vector("l2"), l2);
    p->train = (fuse_rows){p->x, p->label, TRAIN};
    p->dev = (fuse_rows){p->dev_x, p->dev_label, DEV};
    fuse_options_init(&p->o);
    p->o.n_l2 = STRENGTHS;
    memcpy(p->o.l2, l2, sizeof l2);
}

/* Each strength's optimum, what dev says of it, and the choice. */
static void the_optimum_is_that_of_scikit_learn(void **state) {
    (void)state;
    problem p;
    load(&p);
    double best = INFINITY;
    float w[CLASSES * DIM], b[CLASSES];
    fuse_fit all;
    support_ok(fuse_fit_task(ctx, "t", &p.train, &p.dev, DIM, CLASSES, &p.o, w, b, &all, &err), &err);
    assert_int_equal(all.n_tries, STRENGTHS);
    assert_int_equal(all.n_dev, DEV - 2);
    for (size_t i = 0; i < STRENGTHS; i++) {
        char name[4][20];
        double want[CLASSES * DIM], bias[CLASSES], nll, accuracy, mean = 0;
        static const char *const keys[4] = {"w", "b", "nll", "accuracy"};
        for (int k = 0; k < 4; k++) {
            snprintf(name[k], sizeof name[k], "%s%zu", keys[k], i);
        }
        safetensors_to_f64(vector(name[0]), want);
        safetensors_to_f64(vector(name[1]), bias);
        safetensors_to_f64(vector(name[2]), &nll);
        safetensors_to_f64(vector(name[3]), &accuracy);
        support_close(all.tries[i].nll, nll, 2e-4, name[2]);
        support_close(all.tries[i].accuracy, accuracy, 1e-6, name[3]);
        best = nll < best ? nll : best;
        fuse_options one = p.o;
        fuse_fit alone;
        one.n_l2 = 1;
        one.l2[0] = p.o.l2[i];
        support_ok(fuse_fit_task(ctx, "t", &p.train, &p.dev, DIM, CLASSES, &one, w, b, &alone, &err), &err);
        for (size_t c = 0; c < CLASSES; c++) {
            mean += (double)b[c] / CLASSES; /* the biases are free but for a constant */
        }
        for (size_t c = 0; c < CLASSES; c++) {
            support_close((double)b[c] - mean, bias[c], 4e-3, name[1]);
        }
        for (size_t k = 0; k < CLASSES * DIM; k++) {
            support_close((double)w[k], want[k], 4e-3, name[0]);
        }
    }
    support_close(all.tries[all.best].nll, best, 2e-4, "the best");
}

static void threads_change_nothing(void **state) {
    (void)state;
    problem p;
    load(&p);
    float w[2][CLASSES * DIM], b[2][CLASSES];
    fuse_fit fit[2];
    for (int i = 0; i < 2; i++) {
        p.o.threads = i == 0 ? 1 : 8;
        support_ok(fuse_fit_task(ctx, "t", &p.train, &p.dev, DIM, CLASSES, &p.o, w[i], b[i], &fit[i], &err), &err);
    }
    assert_memory_equal(w[0], w[1], sizeof w[0]);
    assert_memory_equal(b[0], b[1], sizeof b[0]);
    assert_int_equal(fit[0].best, fit[1].best);
}

static void what_is_not_labelled_is_said(void **state) {
    (void)state;
    problem p;
    load(&p);
    float w[CLASSES * DIM], b[CLASSES];
    fuse_fit fit;
    p.dev.n = 0;
    support_ok(fuse_fit_task(ctx, "t", &p.train, &p.dev, DIM, CLASSES, &p.o, w, b, &fit, &err), &err);
    assert_int_equal(fit.best, 1);
    assert_true(isnan(fit.tries[0].nll));
    for (size_t i = 0; i < TRAIN; i++) {
        p.label[i] = -1;
    }
    assert_int_equal(fuse_fit_task(ctx, "colour", &p.train, &p.dev, DIM, CLASSES, &p.o, w, b, &fit, &err),
                     SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "colour"));
}

static void failing_memory_leaves_nothing(void **state) {
    (void)state;
    problem p;
    load(&p);
    float w[CLASSES * DIM], b[CLASSES];
    fuse_fit fit;
    bool done = false;
    for (size_t n = 1; n < 200 && !done; n++) {
        support_failing failing = {.fail_at = n};
        spoor_context *c = support_failing_context(&failing);
        spoor_status status = fuse_fit_task(c, "t", &p.train, &p.dev, DIM, CLASSES, &p.o, w, b, &fit, &err);
        done = status == SPOOR_OK;
        assert_true(done || status == SPOOR_ERR_LIMIT);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(c);
    }
    assert_true(done);
}

/* ---- averages ---- */

enum { ROWS = 30, MODELS = 3 };

static double naive_nll(const float *x, const int32_t *label, bool probabilities, const double *w) {
    double sum = 0;
    for (size_t i = 0; i < ROWS; i++) {
        double out[CLASSES], all = 0;
        for (size_t c = 0; c < CLASSES; c++) {
            out[c] = 0;
            for (size_t m = 0; m < MODELS; m++) {
                double v = (double)x[i * MODELS * CLASSES + m * CLASSES + c];
                out[c] += w[m] * (probabilities ? exp(v) : v);
            }
            out[c] = probabilities ? out[c] : exp(out[c]);
            all += out[c];
        }
        sum -= log(out[label[i]] / all) / ROWS;
    }
    return sum;
}

static void the_best_weights_are_found(void **state) {
    (void)state;
    float x[ROWS * MODELS * CLASSES];
    int32_t label[ROWS];
    rng r = rng_make(2, 2);
    for (size_t i = 0; i < ROWS; i++) {
        label[i] = (int32_t)(i % CLASSES);
        for (size_t m = 0; m < MODELS; m++) {
            float *row = x + (i * MODELS + m) * CLASSES;
            double sum = 0;
            for (size_t c = 0; c < CLASSES; c++) {
                row[c] = (float)(rng_normal(&r) + ((int32_t)c == label[i] ? 0.6 * (double)m : 0));
                sum += exp((double)row[c]);
            }
            for (size_t c = 0; c < CLASSES; c++) {
                row[c] -= (float)log(sum);
            }
        }
    }
    fuse_scores task = {
        .classes = CLASSES, .n_models = MODELS, .model = {0, 1, 2}, .first = {0, CLASSES, 2 * CLASSES}, .label = label};
    for (int k = 0; k < 2; k++) {
        fuse_averaging a = {.x = x, .n = ROWS, .d = MODELS * CLASSES, .task = &task, .n_tasks = 1, .n_models = MODELS,
                            .probabilities = k == 0};
        fuse_weights got;
        double best = INFINITY;
        size_t tried = 0;
        support_ok(fuse_choose_weights(ctx, &a, &got, &err), &err);
        for (int i = 0; i <= 20; i++) {
            for (int j = 0; i + j <= 20; j++) {
                double w[3] = {i / 20.0, j / 20.0, (20 - i - j) / 20.0}, nll = naive_nll(x, label, k == 0, w);
                best = nll < best ? nll : best;
                tried++;
            }
        }
        assert_int_equal(got.tried, tried);
        support_close(got.nll, best, 1e-9, "the least cross-entropy");
        support_close(naive_nll(x, label, k == 0, got.weight), best, 1e-9, "its weights");
        support_close(got.weight[0] + got.weight[1] + got.weight[2], 1, 1e-12, "sum of the weights");
        support_close(got.equal_nll, naive_nll(x, label, k == 0, (double[]){1 / 3.0, 1 / 3.0, 1 / 3.0}), 1e-9,
                      "equal weights");
        assert_true(got.weight[2] > got.weight[0]);
    }
    for (size_t i = 0; i < ROWS; i++) {
        label[i] = -1;
    }
    fuse_averaging none = {.x = x, .n = ROWS, .d = MODELS * CLASSES, .task = &task, .n_tasks = 1, .n_models = MODELS};
    fuse_weights got;
    assert_int_equal(fuse_choose_weights(ctx, &none, &got, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "--weights"));
}

/* ---- models ---- */

static const char *at(const char *name) {
    static char paths[4][300];
    static size_t next;
    char *p = paths[next++ % 4];
    snprintf(p, 300, "%s/%s", folder, name);
    return p;
}

static spoor_model *open_fusion(const char *text) {
    json_t *fusion = json_loads(text, 0, NULL);
    combine_options o = {.fusion = fusion};
    small_model(ctx, at("a"), NULL, SMALL_SLOW, "{" SMALL_CONFORMER "}", SMALL_SOURCE "," SMALL_BONAFIDE, "", 1);
    small_model(ctx, at("b"), NULL, SMALL_FAST, "{" SMALL_POOLED "}",
                "{\"name\":\"source\",\"classes\":[\"b\",\"c\",\"a\"]}", "", 2);
    support_ok(model_combine(ctx, (combine_input[]){{.path = at("a")}, {.path = at("b")}}, 2, &o, at("f"), &err), &err);
    json_decref(fusion);
    return small_open(ctx, at("f"));
}

enum { CLIPS = 24 };

typedef struct clips {
    score_label clip[CLIPS];
    int32_t numbers[CLIPS][2];
    score_labels labels;
    spoor_error failed[CLIPS];
    float *embedding;
} clips;

/* Windows of noise through the model, with labels that have nothing to do with them. */
static void make_clips(spoor_model *m, clips *c) {
    size_t e = (size_t)net_embedding_size(m->net);
    *c = (clips){.embedding = calloc(CLIPS * e, sizeof(float))};
    assert_non_null(c->embedding);
    for (size_t i = 0; i < CLIPS; i++) {
        small_answer a;
        small_ask(m, i, &a);
        memcpy(c->embedding + i * e, a.embedding, e * sizeof(float));
        c->numbers[i][0] = (int32_t)(i % 3);
        c->numbers[i][1] = (int32_t)(i % 2);
        c->clip[i] = (score_label){.id = "",
                                   .split = "",
                                   .page = "",
                                   .setting = "",
                                   .source = "",
                                   .is_bonafide = -1,
                                   .is_known = -1,
                                   .truth = c->numbers[i],
                                   .label = c->numbers[i]};
    }
    c->failed[5].status = SPOOR_ERR_INPUT;
    c->labels = (score_labels){.ctx = ctx, .clip = c->clip, .n = CLIPS};
}

static void the_network_answers_as_the_fit(void **state) {
    (void)state;
    spoor_model *m = open_fusion("{\"method\":\"logistic\",\"scores\":\"log-probabilities\"}");
    clips c;
    make_clips(m, &c);
    fuse_clips all = {&c.labels, c.embedding, c.failed};
    fuse_fit fit[2];
    fuse_options o;
    float logits[CLIPS * 5];
    fuse_options_init(&o);
    support_ok(fuse_fit_model(m, &all, &all, &o, fit, &err), &err);
    assert_int_equal(fit[0].n_train, CLIPS - 1);
    support_ok(fuse_logits(m, CLIPS, c.embedding, logits, &err), &err);
    double away = 0;
    for (size_t i = 0; i < CLIPS; i++) {
        small_answer a;
        small_ask(m, i, &a);
        assert_int_equal(a.n_logits, 5);
        for (size_t k = 0; k < 5; k++) {
            support_close((double)a.logits[k], (double)logits[i * 5 + k], 1e-4, "fused logits");
            away += fabs((double)a.logits[k]);
        }
    }
    assert_true(away > 1); /* the heads are not 0 */
    free(c.embedding);
    spoor_model_free(m);
}

static void the_network_answers_as_the_average(void **state) {
    (void)state;
    static const double given[2] = {0.25, 0.75};
    for (int k = 0; k < 2; k++) {
        spoor_model *m = open_fusion("{\"method\":\"logistic\",\"scores\":\"log-probabilities\"}");
        clips c;
        make_clips(m, &c);
        fuse_clips all = {&c.labels, c.embedding, c.failed};
        fuse_weights w;
        float logits[CLIPS * 5], again[CLIPS * 5];
        support_ok(fuse_average_model(m, &all, k == 0, NULL, &w, again, &err), &err);
        assert_int_equal(w.tried, 21);
        support_ok(fuse_average_model(m, &all, k == 0, given, &w, logits, &err), &err);
        spoor_model_free(m);
        m = open_fusion(k == 0 ? "{\"method\":\"average\",\"weights\":[0.25,0.75]}"
                               : "{\"method\":\"average\",\"scores\":\"log-probabilities\",\"weights\":[1,3]}");
        for (size_t i = 0; i < CLIPS; i++) {
            small_answer a;
            small_ask(m, i, &a);
            for (size_t n = 0; n < 3; n++) {
                support_close((double)a.logits[n], (double)logits[i * 5 + n], 1e-4, "averaged scores");
            }
            support_close((double)a.logits[3], (double)logits[i * 5 + 3], 1e-4, "a task that one model answers");
        }
        free(c.embedding);
        spoor_model_free(m);
    }
}

static void classes_that_one_lacks_cannot_be_averaged(void **state) {
    (void)state;
    json_t *fusion = json_loads("{\"method\":\"logistic\",\"scores\":\"log-probabilities\"}", 0, NULL);
    combine_options o = {.fusion = fusion};
    fuse_scores where[NET_MAX_TASKS];
    small_model(ctx, at("a"), NULL, SMALL_SLOW, "{" SMALL_CONFORMER "}", SMALL_SOURCE, "", 1);
    small_model(ctx, at("b"), NULL, SMALL_FAST, "{" SMALL_POOLED "}", "{\"name\":\"source\",\"classes\":[\"b\",\"d\"]}",
                "", 2);
    support_ok(model_combine(ctx, (combine_input[]){{.path = at("a")}, {.path = at("b")}}, 2, &o, at("f"), &err), &err);
    json_decref(fusion);
    spoor_model *m = small_open(ctx, at("f"));
    assert_int_equal(fuse_find_scores(m, where, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "cannot be averaged"));
    spoor_model_free(m);
    m = open_fusion("{\"method\":\"logistic\",\"scores\":\"none\"}");
    assert_int_equal(fuse_find_scores(m, where, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "no scores"));
    spoor_model_free(m);
}

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    folder = support_temporary();
    support_ok(safetensors_open(ctx, support_path("tests/torch/fuse.safetensors"), &file, &err), &err);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    safetensors_free(file);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_optimum_is_that_of_scikit_learn),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(what_is_not_labelled_is_said),
        cmocka_unit_test(failing_memory_leaves_nothing),
        cmocka_unit_test(the_best_weights_are_found),
        cmocka_unit_test(the_network_answers_as_the_fit),
        cmocka_unit_test(the_network_answers_as_the_average),
        cmocka_unit_test(classes_that_one_lacks_cannot_be_averaged),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
