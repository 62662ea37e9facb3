/* Training a tiny wav2vec 2.0 together with the network behind it, from a manifest to a model file: what is to be frozen stays
 * as it was, the rest learns, the model traces as it did in training, and neither threads, interruptions, checkpointing nor
 * pieces of a batch change the result. */
#include "train/finetune_runs.h"
#include <math.h>

/* Largest difference of a matrix or bias of the checkpoint and of a model file. */
static double moved(const char *out, const char *name) {
    spoor_context *ctx = support_context();
    spoor_error err;
    safetensors *from, *to;
    char path[600], full[200];
    snprintf(path, sizeof path, "%s/w2v/model.safetensors", folder);
    support_ok(safetensors_open(ctx, path, &from, &err), &err);
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    support_ok(safetensors_open(ctx, path, &to, &err), &err);
    snprintf(full, sizeof full, "wav2vec2.%s", name);
    const safetensors_tensor *a = safetensors_find(from, full);
    snprintf(full, sizeof full, "frontend.%s", name);
    const safetensors_tensor *b = safetensors_find(to, full);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a->count, b->count);
    float *x = malloc(a->count * sizeof *x), *y = malloc(b->count * sizeof *y);
    assert_non_null(x);
    assert_non_null(y);
    safetensors_to_f32(a, x);
    safetensors_to_f32(b, y);
    double most = 0;
    for (size_t i = 0; i < a->count; i++) {
        most = fmax(most, fabs((double)x[i] - (double)y[i]));
    }
    free(x);
    free(y);
    safetensors_free(from);
    safetensors_free(to);
    spoor_context_free(ctx);
    return most;
}

static const char *const CONV = "feature_extractor.conv_layers.1.layer_norm.weight";
static const char *const PROJECTION = "feature_projection.projection.weight";
static const char *const LAYER0 = "encoder.layers.0.attention.v_proj.weight";
static const char *const LAYER1 = "encoder.layers.1.feed_forward.output_dense.weight";
static const char *const NORM = "encoder.layer_norm.weight";

static void it_learns(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0}, other = {0};
    const char *const set[] = {"schedule.epochs=12", "average.kind=none"};
    char *out = run_folder("learn");
    support_ok(train(out, 2, false, &w, set, 2, &err), &err);
    assert_true(w.loss < 1.2 && w.accuracy > 0.7);
    assert_true(moved(out, CONV) == 0);
    assert_true(moved(out, PROJECTION) > 1e-4 && moved(out, LAYER0) > 1e-4 && moved(out, NORM) > 1e-4);
    same_dev_scores(out, false);
    /* the other rates are those that were asked for: after one update of Adam a weight has moved by the rate */
    const char *const one[] = {"schedule.epochs=1", "batch=30", "schedule.warmup=0", "average.kind=none",
                               "optimiser.kind=adam", "optimiser.weight_decay=0", "schedule.kind=constant"};
    out = run_folder("one");
    support_ok(train(out, 2, false, &other, one, 7, &err), &err);
    assert_int_equal(other.batches, 1);
    support_close(moved(out, LAYER1) / 0.002, 1, 1e-2, "rate of a layer");
    support_close(moved(out, LAYER0) / 0.001, 1, 1e-2, "rate of the lowest layer");
}

/* What is frozen and for how long. */
static void freezing(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0};
    const char *const layers[] = {"finetune.freeze_layers=1", "frontend.layers.0=1"}, *const warm[] = {"finetune.warm_epochs=2"};
    const char *const late[] = {"finetune.warm_epochs=1", "finetune.layer_drop=0.2"};
    char *out = run_folder("layers");
    support_ok(train(out, 2, false, &w, layers, 2, &err), &err);
    assert_true(moved(out, CONV) == 0 && moved(out, PROJECTION) == 0 && moved(out, LAYER0) == 0);
    assert_true(moved(out, LAYER1) > 1e-5 && moved(out, NORM) > 1e-5);
    same_dev_scores(out, false);
    out = run_folder("warm");
    support_ok(train(out, 2, false, &w, warm, 1, &err), &err);
    assert_true(moved(out, LAYER0) == 0 && moved(out, LAYER1) == 0 && moved(out, NORM) == 0);
    out = run_folder("late");
    support_ok(train(out, 2, false, &w, late, 2, &err), &err);
    assert_true(moved(out, CONV) == 0 && moved(out, LAYER0) > 1e-5 && moved(out, LAYER1) > 1e-5);
}

static const char *const VARIANTS[][4] = {
    {"finetune.checkpoint=true", "finetune.dropout=0.1", "finetune.layer_drop=0.3", "spec_augment.time_masks=1"},
    {"finetune.warm_epochs=1", "mixup.kind=regmixup", "spec_augment.band_masks=2", "finetune.accumulate=3"},
    {"mixup.kind=mixup", "sampler.pairs=2", "npair.weight=0.1", "average.kind=swa"}};

static void threads_change_nothing(void **state) {
    (void)state;
    for (size_t v = 0; v < 3; v++) {
        char one[65], other[65], name[16];
        const unsigned threads[] = {1, 2, 8};
        for (size_t i = 0; i < 3; i++) {
            spoor_error err;
            watch w = {0};
            snprintf(name, sizeof name, "t%zu-%zu", v, i);
            char *out = run_folder(name);
            support_ok(train(out, threads[i], false, &w, VARIANTS[v], 4, &err), &err);
            hash(out, "model.safetensors", i == 0 ? one : other);
            assert_true(i == 0 || strcmp(one, other) == 0);
        }
    }
}

static void cancelled_and_resumed(void **state) {
    (void)state;
    for (size_t v = 0; v < 3; v++) {
        spoor_error err;
        watch w = {0}, c = {.cancel_at = 4};
        char whole[65], parts[65], a[16], b[16];
        snprintf(a, sizeof a, "whole%zu", v);
        snprintf(b, sizeof b, "parts%zu", v);
        char *one = run_folder(a), *two = run_folder(b);
        support_ok(train(one, 2, false, &w, VARIANTS[v], 4, &err), &err);
        int rounds = 0;
        spoor_status status;
        while ((status = train(two, 1 + (unsigned)rounds % 3, true, &c, VARIANTS[v], 4, &err)) == SPOOR_ERR_CANCELLED) {
            c.batches = 0;
            c.cancel_at = 2 + ++rounds % 2;
            assert_true(rounds < 50);
        }
        support_ok(status, &err);
        assert_true(rounds > 1);
        hash(one, "model.safetensors", whole);
        hash(two, "model.safetensors", parts);
        assert_string_equal(whole, parts);
    }
    /* another front end, or none that is trained, is another recipe */
    spoor_error err;
    watch w = {0};
    const char *const other[] = {"finetune.lr_factor=0.3"};
    assert_int_equal(train(run_folder("whole0"), 1, true, &w, other, 1, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "belongs to another recipe"));
}

static void killed_ten_times(void **state) {
    (void)state;
    const char *const set[] = {"checkpoint.steps=1", "schedule.epochs=6", "dev.every=6", "finetune.layer_drop=0.2"};
    killed_gives_the_same("k", set, 4, 10, 0.25);
}

/* Activation checkpointing changes no bit; pieces of a batch only the order of sums, with pairs across pieces too. */
static void ways_to_compute(void **state) {
    (void)state;
    spoor_error err;
    char hex[2][65], *out;
    double loss[5];
    const char *const set[][4] = {
        {"finetune.checkpoint=false", "finetune.accumulate=1", "npair.weight=0.5", "sampler.pairs=4"},
        {"finetune.checkpoint=true", "finetune.accumulate=1", "npair.weight=0.5", "sampler.pairs=4"},
        {"finetune.checkpoint=false", "finetune.accumulate=3", "npair.weight=0.5", "sampler.pairs=4"},
        {"finetune.checkpoint=true", "finetune.accumulate=8", "npair.weight=0.5", "sampler.pairs=4"},
        {"finetune.checkpoint=true", "finetune.lr_factor=0.3", "npair.weight=0.5", "sampler.pairs=4"}};
    for (size_t v = 0; v < 5; v++) {
        char name[16], path[600];
        watch w = {0};
        snprintf(name, sizeof name, "way%zu", v);
        out = run_folder(name);
        support_ok(train(out, 2, false, &w, set[v], 4, &err), &err);
        loss[v] = w.loss;
        if (v < 2) {
            snprintf(path, sizeof path, "%s", "dev-scores.tsv"); /* the model file names the setting */
            hash(out, path, hex[v]);
        }
    }
    assert_string_equal(hex[0], hex[1]);
    assert_true(loss[0] == loss[1]);
    support_close(loss[2], loss[0], 1e-4, "loss in three pieces");
    support_close(loss[3], loss[0], 1e-4, "loss in eight pieces");
    assert_true(fabs(loss[4] - loss[0]) > 1e-4);
}

static void mistakes(void **state) {
    (void)state;
    static const struct {
        const char *set[2], *says;
    } cases[] = {
        {{"finetune.freeze=encoder.layer", "batch=8"}, "no parameters named encoder.layer;"},
        {{"finetune.freeze=encoder", "finetune.freeze_layers=1"}, "nothing of the front end is trained"},
        {{"finetune.freeze=3", "batch=8"}, "finetune.freeze"},
        {{"finetune.freeze_layers=9", "batch=8"}, "nothing of the front end is trained"},
        {{"finetune.lr_factors.encoder=0.5", "finetune.lr_factors.decoder=0.5"}, "no parameters named decoder"},
        {{"finetune.lr_factors=3", "batch=8"}, "must map names"},
        {{"finetune.lr_factors.encoder=fast", "batch=8"}, "lr_factors"},
        {{"finetune.accumulate=9", "batch=8"}, "cannot be cut into 9 pieces"},
        {{"finetune.layerdrop=0.1", "batch=8"}, "did you mean \"layer_drop\""},
        {{"finetune=yes", "batch=8"}, "finetune must be a mapping"},
        {{"cache.path=x", "augment_p=0"}, "leave out cache or finetune"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spoor_error err;
        watch w = {0};
        char name[16];
        snprintf(name, sizeof name, "bad%zu", i);
        spoor_status status = train(run_folder(name), 1, false, &w, cases[i].set, 2, &err);
        if (status != SPOOR_ERR_USAGE || !strstr(err.message, cases[i].says)) {
            fail_msg("%s says: %s", cases[i].set[0], status == SPOOR_OK ? "nothing" : err.message);
        }
    }
    recipe_file = "r.yaml";
    spoor_error err;
    watch w = {0};
    const char *const spectral[] = {"finetune.lr_factor=0.5"};
    assert_int_equal(train(run_folder("spectral"), 1, false, &w, spectral, 1, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "no encoder to train"));
    recipe_file = "f.yaml";
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_learns), cmocka_unit_test(freezing),
                                       cmocka_unit_test(threads_change_nothing), cmocka_unit_test(cancelled_and_resumed),
                                       cmocka_unit_test(killed_ten_times), cmocka_unit_test(ways_to_compute),
                                       cmocka_unit_test(mistakes)};
    return cmocka_run_group_tests(tests, finetune_setup, folder_remove);
}
