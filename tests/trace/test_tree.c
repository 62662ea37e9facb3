/* test_tree.c: the tree of a verdict, by hand: attributes, likelihoods of sources with and without a head of their own, of a joint
 * head, of sources that the model does not know and of attributes that are not known. */
#include "model/small_models.h"
#include "trace/tree.h"
#include <math.h>

static const char TAXONOMY[] =
    ",\"taxonomy\":{\"name\":\"four\",\"attributes\":{\"vq\":{\"title\":\"quantiser\",\"values\":[\"real\",{\"name\":\"M\",\"aliases\":[\"multi\"]},\"S\"]},"
    "\"dec\":{\"values\":[\"real\",\"time\",\"freq\"]}},\"sources\":{\"A\":{\"kind\":\"codec\",\"vq\":\"M\",\"dec\":\"time\",\"aliases\":[\"a0\"]},"
    "\"B\":{\"vq\":\"S\",\"dec\":\"time\"},\"C\":{\"kind\":\"system\",\"vq\":\"M\"},\"D\":{\"vq\":\"S\",\"dec\":\"freq\"}}}";
#define VQ "{\"name\":\"vq\",\"classes\":[\"S\",\"real\",\"multi\"]}"
#define DEC "{\"name\":\"dec\",\"classes\":[\"time\",\"freq\"]}"

static char *folder;
static spoor_context *ctx;

static int set_up(void **state) {
    (void)state;
    folder = support_temporary();
    ctx = support_context();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
    return 0;
}

static spoor_model *model(const char *network, const char *tasks, const char *more) {
    char path[600];
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    small_model(ctx, path, NULL, SMALL_FAST, network, tasks, more, 3);
    return small_open(ctx, path);
}

static trace_tree *grow(const spoor_model *m, const double *p, size_t n, double known, double bonafide) {
    float row[32];
    spoor_error err = {0};
    trace_tree *t;
    assert_int_equal(model_row_size(m), n);
    for (size_t i = 0; i < n; i++) {
        row[i] = (float)log(p[i]);
    }
    support_ok(tree_new(m, row, known, bonafide, &t, &err), &err);
    return t;
}

static const tree_source *named(const trace_tree *t, const char *name) {
    for (size_t i = 0; i < t->n_sources; i++) {
        if (strcmp(t->source[i].name, name) == 0) {
            return &t->source[i];
        }
    }
    fail_msg("no source %s", name);
    return NULL;
}

static void likely(const trace_tree *t, const char *name, double want, bool known) {
    support_close(named(t, name)->likelihood, want, 1e-5, name);
    assert_true(named(t, name)->known == known);
}

/* Heads of their own for the attributes, none for sources. */
static void attributes_alone(void **state) {
    (void)state;
    spoor_model *m = model("{" SMALL_POOLED "}", VQ "," DEC, TAXONOMY);
    static const double p[] = {0.1, 0.5, 0.4, 0.75, 0.25}; /* given that it is synthetic: M 0.8, S 0.2 */
    trace_tree *t = grow(m, p, 5, NAN, 0.3);
    assert_int_equal(t->n_attributes, 2);
    assert_string_equal(t->attribute[0].title, "quantiser");
    assert_string_equal(t->attribute[1].title, "dec");
    assert_int_equal(t->attribute[0].n, 2);
    assert_string_equal(t->attribute[0].value[0].name, "M");
    support_close(t->attribute[0].value[0].p, 0.8, 1e-6, "M");
    support_close(t->attribute[1].value[1].p, 0.25, 1e-6, "freq");
    assert_true(isnan(t->known) && isnan(t->other));
    likely(t, "A", 0.8 * 0.75, false);
    likely(t, "B", 0.2 * 0.75, false);
    likely(t, "C", 0.8 * 0.5, false); /* the decoder is not known: the mean of 0.75 and 0.25 */
    likely(t, "D", 0.2 * 0.25, false);
    assert_null(named(t, "C")->value[1]);
    assert_string_equal(t->source[0].name, "A");
    assert_string_equal(t->source[1].name, "C");
    support_close(t->source[0].p, 0.6 / (0.6 + 0.15 + 0.4 + 0.05), 1e-5, "share");
    tree_free(t);
    spoor_model_free(m);
}

/* A head that knows A (by its alias) and B, and a threshold that takes 0.9 of known and 0.3 of unknown sources. */
static void sources_of_a_head(void **state) {
    (void)state;
    spoor_model *m = model("{" SMALL_POOLED "}", "{\"name\":\"source\",\"classes\":[\"a0\",\"B\",\"bonafide\"]}," VQ "," DEC, TAXONOMY);
    static const double p[] = {0.3, 0.2, 0.5, 0.1, 0.5, 0.4, 0.75, 0.25};
    trace_tree *t = grow(m, p, 8, NAN, 0.3);
    likely(t, "A", 0.8 * 0.75 * 0.6, true);
    likely(t, "D", 0.2 * 0.25 / 3, false); /* no known score: the mean over the classes */
    tree_free(t);
    m->accepted = (model_accepted){0.9, 0.3};
    m->openset.threshold = 2;
    t = grow(m, p, 8, 2, 0.3);
    support_close(t->known, 0.75, 1e-9, "P(known)");
    likely(t, "A", 0.8 * 0.75 * 0.75 * 0.6, true);
    likely(t, "B", 0.2 * 0.75 * 0.75 * 0.4, true);
    likely(t, "C", 0.8 * 0.5 * 0.25 / 2, false);
    likely(t, "D", 0.2 * 0.25 * 0.25 / 2, false);
    tree_free(t);
    t = grow(m, p, 8, 1, 0.3);
    support_close(t->known, 0.1 / (0.1 + 0.7), 1e-9, "P(known) below the threshold");
    tree_free(t);
    /* with a temperature for unknown sources: 1/8 of 0.8 and 7/8 of what the root of the odds says, 2 to 1 */
    m->tasks[1].unseen = 2;
    t = grow(m, p, 8, 1, 0.3);
    support_close(t->attribute[0].value[0].p, 0.8 / 8 + 7.0 / 8 * 2 / 3, 1e-5, "mixture");
    support_close(t->attribute[1].value[0].p, 0.75, 1e-5, "no temperature");
    tree_free(t);
    /* the evidence with the weight 1/2 and its root, 2 to 1, beside the shares S 0.3 and M 0.7; the known score says 3 to 1 */
    m->tasks[1].unseen = 0;
    m->tasks[1].evidence = ctx_alloc(m->ctx, 1, sizeof *m->tasks[1].evidence); /* the model's own */
    *m->tasks[1].evidence = (calibrate_evidence){.scale = 0.5, .weight = 0.5, .share = {0.3, 0.7}, .values = 2};
    m->has_odds = true;
    m->odds = (calibrate_logistic){.scale = log(3), .offset = log(3), .prior = 0.5};
    t = grow(m, p, 8, 0, 0.3);
    support_close(t->known, 0.75, 1e-9, "P(known) by its odds");
    assert_true(t->measured);
    support_close(t->attribute[0].unseen[1], 0.5 * 2 / 3 + 0.35, 1e-5, "P(M) if unknown");
    support_close(t->attribute[0].value[0].p, 0.75 * 0.8 + 0.25 * (0.5 * 2 / 3 + 0.35), 1e-5, "mixture with the evidence");
    tree_free(t);
    spoor_model_free(m);
}

/* A joint head over A, a vocoder, and a codec E that the taxonomy lacks; its attributes are in its probabilities already. */
static void sources_of_a_joint_head(void **state) {
    (void)state;
    spoor_model *m = model("{" SMALL_POOLED ",\"task_heads\":{\"source\":{\"kind\":\"joint\",\"human\":0,\"parents\":{\"vq\":[1,2,0,-2]}}}}",
                           "{\"name\":\"source\",\"classes\":[\"bonafide\",\"A\",\"E\",\"vocoder\"]}," VQ "," DEC, TAXONOMY);
    m->accepted = (model_accepted){0.9, 0.3};
    m->openset.threshold = 0;
    m->tasks[1].unseen = 1;
    /* A 0.5, E 0.3, vocoder 0.2 of synthetic speech; vq as summed: M 5, S 3, of 8; evidence: M 0.4, S 0.6 */
    static const double p[] = {0.5, 0.25, 0.15, 0.1, 0.15, 0.5, 0.25, 0.75, 0.25, 0.6, 1, 0.4};
    trace_tree *t = grow(m, p, 12, 5, 0.3);
    support_close(t->attribute[0].p[1], 0.75 * 5 / 8 + 0.25 * 0.4, 1e-5, "P(M)");
    support_close(t->attribute[0].unseen[1], 0.4, 1e-5, "P(M) if unknown");
    support_close(t->other, 0.75 * 0.2, 1e-5, "no codec");
    likely(t, "A", 0.75 * 0.5, true);
    likely(t, "E", 0.75 * 0.3, true);
    double b = 0.6 * 0.75, c = 0.4 * 0.5, d = 0.6 * 0.25;
    likely(t, "B", 0.25 * b / (b + c + d), false);
    likely(t, "C", 0.25 * c / (b + c + d), false);
    assert_string_equal(named(t, "E")->value[0], "S");
    assert_null(named(t, "E")->value[1]);
    assert_int_equal(t->n_sources, 5); /* the vocoder is none */
    tree_free(t);
    spoor_model_free(m);
}

static void no_tree_without_attributes(void **state) {
    (void)state;
    spoor_model *m = model("{" SMALL_POOLED "}", SMALL_SOURCE, TAXONOMY);
    static const double p[] = {0.5, 0.25, 0.25};
    assert_null(grow(m, p, 3, NAN, NAN));
    spoor_model_free(m);
    m = model("{" SMALL_POOLED "}", SMALL_SOURCE, "");
    assert_null(m->taxonomy); /* the one that is built in does not fit */
    assert_null(grow(m, p, 3, NAN, NAN));
    spoor_model_free(m);
    m = model("{" SMALL_POOLED "}", "{\"name\":\"dec\",\"classes\":[\"TIME\",\"FREQ\",\"x\"]}", ""); /* but here it does */
    assert_string_equal(taxonomy_name(m->taxonomy), "codecfake_plus");
    trace_tree *t = grow(m, p, 3, NAN, NAN);
    support_close(t->attribute[0].value[0].p, 2.0 / 3, 1e-6, "of the values that it has");
    assert_true(t->n_sources > 40);
    tree_free(t);
    spoor_model_free(m);
}

/* What was learned of unseen sources, read from a file and refused where it does not fit. */
static void unseen_sources_in_a_file(void **state) {
    (void)state;
    static const char good[] = "{\"name\":\"vq\",\"classes\":[\"S\",\"real\",\"multi\"],\"calibration_unseen\":{\"scale\":0.5,\"weight\":0.25,"
                               "\"shares\":[0.375,0.625]}}",
                      bad[] = "{\"name\":\"vq\",\"classes\":[\"S\",\"real\",\"multi\"],\"calibration_unseen\":{\"scale\":0.5,\"weight\":0.25,"
                              "\"shares\":[0.25,0.25,0.5]}}";
    static const char known[] = ",\"known\":{\"task\":\"source\",\"openset\":{\"scorer\":\"energy\",\"temperature\":1,\"threshold\":0,\"acceptance\":0.5},\"odds\":{\"scale\":%s,"
                                "\"offset\":-1,\"prior\":0.5,\"informative\":true}}";
    char path[600], tasks[600], more[600];
    spoor_error err = {0};
    snprintf(tasks, sizeof tasks, SMALL_SOURCE ",%s", good);
    snprintf(more, sizeof more, known, "2");
    spoor_model *m = model("{" SMALL_POOLED "}", tasks, more);
    const model_task *vq = &m->tasks[model_find_task(m, "vq")];
    assert_true(vq->unseen == 0 && vq->evidence->scale == 0.5 && vq->evidence->weight == 0.25 && vq->evidence->share[1] == 0.625);
    support_close(model_known_probability(m, 1), 1 / (1 + exp(-1)), 1e-12, "odds");
    spoor_model_free(m);
    snprintf(path, sizeof path, "%s/bad.safetensors", folder);
    snprintf(more, sizeof more, known, "-2");
    small_model(ctx, path, NULL, SMALL_FAST, "{" SMALL_POOLED "}", tasks, more, 3);
    assert_int_equal(spoor_model_open(ctx, path, &m, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "scale"));
    snprintf(tasks, sizeof tasks, SMALL_SOURCE ",%s", bad); /* three shares of two values */
    small_model(ctx, path, NULL, SMALL_FAST, "{" SMALL_POOLED "}", tasks, "", 3);
    assert_int_equal(spoor_model_open(ctx, path, &m, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "shares"));
}

static void a_bad_taxonomy_is_refused(void **state) {
    (void)state;
    spoor_error err = {0};
    spoor_model *m;
    char path[600];
    snprintf(path, sizeof path, "%s/bad.safetensors", folder);
    small_model(ctx, path, NULL, SMALL_FAST, "{" SMALL_POOLED "}", VQ, ",\"taxonomy\":{\"attributes\":{}}", 3);
    assert_int_equal(spoor_model_open(ctx, path, &m, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "its taxonomy"));
    small_model(ctx, path, NULL, SMALL_FAST, "{" SMALL_POOLED "}", SMALL_SOURCE,
                ",\"known\":{\"task\":\"source\",\"openset\":{\"scorer\":\"energy\",\"temperature\":1,\"threshold\":0,\"acceptance\":0.5},\"accepted\":{\"known\":2,\"unknown\":0}}", 3);
    assert_int_equal(spoor_model_open(ctx, path, &m, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "the shares that its threshold accepts"));
}

/* The n-th allocation fails: an error or a tree, and nothing is lost. */
static void failing_memory(void **state) {
    (void)state;
    spoor_model *m = model("{" SMALL_POOLED "}", "{\"name\":\"source\",\"classes\":[\"A\",\"B\"]}," VQ "," DEC, TAXONOMY);
    float row[7] = {0};
    size_t before = 0;
    for (size_t n = 1; n < 40; n++) {
        support_failing f = {0};
        spoor_context *own = support_failing_context(&f);
        f.fail_at = f.count + n;
        spoor_error err = {0};
        trace_tree *t;
        spoor_model copy = *m;
        copy.ctx = own;
        spoor_status status = tree_new(&copy, row, NAN, 0.5, &t, &err);
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        assert_true((status == SPOOR_OK) == (t != NULL));
        before += status != SPOOR_OK;
        tree_free(t);
        assert_int_equal(f.live, 0);
        f.fail_at = 0;
        spoor_context_free(own);
    }
    assert_true(before > 5);
    spoor_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_alone),           cmocka_unit_test(sources_of_a_head),        cmocka_unit_test(sources_of_a_joint_head),
        cmocka_unit_test(no_tree_without_attributes), cmocka_unit_test(unseen_sources_in_a_file), cmocka_unit_test(a_bad_taxonomy_is_refused),
        cmocka_unit_test(failing_memory)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
