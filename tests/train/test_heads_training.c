/* Trainings whose heads are not all linear: One-Class Softmax alone and beside cross-entropy, GE2E. Model files hold the centre
 * or centroids and answer with them; interruptions change no bit. */
#include "train/runs.h"

static const char GE2E[] =
    "name: ge2e\nseed: 5\nbatch: 8\n"
    "data: {manifests: [{path: m.csv}], crop: 3200, tasks: {source: {}, bonafide: {column: label}}}\n"
    "frontend: {kind: log-mel, n_mels: 16, n_fft: 1024, win_length: 800, hop_length: 800}\n"
    "network: {kind: pooled, pooling: mean, layers: [12, 6]}\n"
    "ge2e: {weight: 1}\nsampler: {pairs: 4}\n"
    "optimiser: {lr: 0.02}\nschedule: {epochs: 12, warmup: 1}\naverage: {kind: ema, decay: 0.9}\n"
    "dev: {every: 4, metrics: [{name: acc, task: source}]}\n";

static int setup(void **state) {
    runs_setup(state);
    folder_write("g.yaml", GE2E);
    return 0;
}

static spoor_model *open_model(spoor_context *ctx, const char *out) {
    char path[600];
    spoor_error err;
    spoor_model *m;
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    return m;
}

static double dev_figure(const spoor_model *m, const char *name) {
    const json_t *dev = json_object_get(json_object_get(m->meta, "provenance"), "dev");
    return json_number_value(json_object_get(dev, name));
}

/* With oc.linear the model has both; the answer is the centre's, or the linear layer's where the recipe says so. */
static void one_class(void **state) {
    (void)state;
    static const struct {
        const char *set[4];
        bool linear;
    } cases[] = {{{"oc.weight=1", "oc.linear=false", "schedule.epochs=40", "npair.weight=0"}, false},
                 {{"oc.weight=1", "mixup.kind=regmixup", "schedule.epochs=30", "npair.weight=0"}, true},
                 {{"oc.weight=0.5", "oc.judge=linear", "schedule.epochs=30", "npair.weight=0"}, true}};
    for (size_t i = 0; i < 3; i++) {
        spoor_error err;
        watch w = {0};
        char name[16];
        snprintf(name, sizeof name, "oc%zu", i);
        char *out = run_folder(name);
        support_ok(train(out, 2, false, &w, cases[i].set, 4, &err), &err);
        same_dev_scores(out, true);
        spoor_context *ctx = support_context();
        spoor_model *m = open_model(ctx, out);
        assert_non_null(params_find(net_params(m->net), "heads.bonafide.centre"));
        assert_true((params_find(net_params(m->net), "heads.bonafide.weight") != NULL) == cases[i].linear);
        assert_true(dev_figure(m, "auroc") > 0.9);
        spoor_model_free(m);
        spoor_context_free(ctx);
        /* the synthetic class has logit 0 where the centre judges */
        dev_model d;
        open_dev(&d, out);
        support_ok(score_all(d.ctx, d.model, 1, d.n, open_row, d.list, 0, d.logits, NULL, d.errors, &err), &err);
        size_t task = model_find_task(d.model, "bonafide"), width = trace_logits_size(d.model);
        for (size_t k = 0; k < d.n; k++) {
            const float *x = d.logits + k * width + model_offset(d.model, task);
            assert_true((x[1] == 0) == (i != 2));
            assert_true(i == 2 || (x[0] <= 20 * (1 - 0.55f) + 1e-3f && x[0] >= 20 * (-1 - 0.55f) - 1e-3f));
        }
        close_dev(&d);
    }
}

static void interrupted(void **state) {
    (void)state;
    static const char *const set[] = {"oc.weight=1", "mixup.kind=mixup", "data.tasks.bonafide.class_weights=balanced"};
    spoor_error err;
    watch w = {0}, c = {.cancel_at = 5};
    char whole[65], parts[65], *one = run_folder("whole"), *two = run_folder("parts");
    support_ok(train(one, 2, false, &w, set, 3, &err), &err);
    assert_int_equal(train(two, 1, true, &c, set, 3, &err), SPOOR_ERR_CANCELLED);
    c = (watch){0};
    support_ok(train(two, 3, true, &c, set, 3, &err), &err);
    hash(one, "model.safetensors", whole);
    hash(two, "model.safetensors", parts);
    assert_string_equal(whole, parts);
}

/* GE2E: clips are told apart by centroids, which the model file holds: the means of the training clips' embeddings. */
static void ge2e(void **state) {
    (void)state;
    static const char *const set[] = {"ge2e.weight=1", "npair.weight=0", "sampler.pairs=4", "sampler.per_class=2", "batch=8",
                                      "network.kind=pooled", "schedule.epochs=30", "optimiser.lr=0.01", "ge2e.kind=softmax"};
    spoor_error err;
    char hashes[2][65];
    recipe_file = "g.yaml";
    for (int i = 0; i < 2; i++) {
        watch w = {0};
        const char *sets[9];
        memcpy(sets, set, sizeof sets);
        sets[8] = i == 0 ? set[8] : "ge2e.kind=contrast";
        char *out = run_folder(i == 0 ? "ge2e0" : "ge2e1");
        support_ok(train(out, 2, false, &w, sets, 9, &err), &err);
        same_dev_scores(out, true);
        spoor_context *ctx = support_context();
        spoor_model *m = open_model(ctx, out);
        assert_true(dev_figure(m, "acc") > 0.9);
        const param *c = params_find(net_params(m->net), "heads.source.centroids");
        const param *scale = params_find(net_params(m->net), "heads.source.scale");
        assert_true(c != NULL && c->value.dim[0] == 4 && c->value.dim[1] == 6);
        assert_true(scale->value.data[0] != 10); /* it was learned */
        assert_null(params_find(net_params(m->net), "heads.source.weight"));
        assert_non_null(params_find(net_params(m->net), "layers.1.weight"));
        spoor_model_free(m);
        spoor_context_free(ctx);
        hash(out, "model.safetensors", hashes[0]);
        watch cut = {.cancel_at = 7};
        char *two = run_folder(i == 0 ? "ge2e2" : "ge2e3");
        assert_int_equal(train(two, 1, true, &cut, sets, 9, &err), SPOOR_ERR_CANCELLED);
        cut = (watch){0};
        support_ok(train(two, 3, true, &cut, sets, 9, &err), &err);
        hash(two, "model.safetensors", hashes[1]);
        assert_string_equal(hashes[0], hashes[1]);
    }
    recipe_file = "r.yaml";
}

static void ge2e_refused(void **state) {
    (void)state;
    static const struct {
        const char *set[2], *says;
    } cases[] = {{{"sampler.pairs=0", "npair.weight=0"}, "sampler.pairs of 2"},
                 {{"npair.weight=1", "sampler.per_class=3"}, "pairs are of two clips"},
                 {{"sampler.per_class=5", "npair.weight=0"}, "do not fit"},
                 {{"ge2e.task=x", "npair.weight=0"}, "no task named x"},
                 {{"sampler.task=bonafide", "sampler.pairs=2"}, "set sampler.task to source"},
                 {{"network.layers=x", "npair.weight=0"}, "network.layers"}};
    recipe_file = "g.yaml";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(refused_with(cases[i].set, cases[i].says), SPOOR_ERR_USAGE);
    }
    recipe_file = "r.yaml";
}

static void refused(void **state) {
    (void)state;
    static const struct {
        const char *set[2], *says;
    } cases[] = {{{"oc.weight=1", "oc.task=x"}, "no task named x"},
                 {{"oc.weight=1", "oc.task=source"}, "two classes"},
                 {{"oc.linear=false", "oc.judge=linear"}, "oc.judge"},
                 {{"network.task_heads.x.kind=linear", "oc.weight=0"}, "task_heads"},
                 {{"network.task_heads.bonafide.kind=round", "oc.weight=0"}, "one-class"},
                 {{"network.task_heads.source.kind=one-class", "oc.weight=0"}, "two classes"},
                 {{"network.task_heads.bonafide=one-class", "oc.weight=0"}, "mapping"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(refused_with(cases[i].set, cases[i].says), SPOOR_ERR_USAGE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_class), cmocka_unit_test(interrupted), cmocka_unit_test(refused),
                                       cmocka_unit_test(ge2e), cmocka_unit_test(ge2e_refused)};
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
