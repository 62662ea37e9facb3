/* test_mixup.c: what is mixed at each level: waveforms and features by the loader, embeddings in the network (against PyTorch:
 * tests/torch/make_mixup.py); and trainings with each, which interruptions and threads do not change. */
#include "train/runs.h"
#include "train/batch.h"
#include "train/losses.h"
#include "weights/safetensors.h"

/* ---- the loader ---- */

typedef struct made {
    spoor_context *ctx;
    compute *compute;
    recipe *r;
    dataset *d;
    frontend *fe;
    augment *chain;
    loader *l;
    const batch *b;
} made;

static void open_loader(made *m, const char *const *set, size_t n, bool waves) {
    char path[512];
    spoor_error err;
    *m = (made){.ctx = support_context()};
    snprintf(path, sizeof path, "%s/r.yaml", folder);
    support_ok(compute_new(m->ctx, 2, &m->compute, &err), &err);
    support_ok(recipe_open(m->ctx, path, set, n, &m->r, &err), &err);
    m->r->finetune.on = waves; /* a loader gives waveforms then, whatever the front end */
    m->r->finetune.accumulate = 1;
    support_ok(dataset_new(m->ctx, m->r, &m->d, &err), &err);
    support_ok(frontend_new(m->ctx, m->r->frontend, &m->fe, &err), &err);
    support_ok(augment_new(m->ctx, m->r->augment, &m->chain, &err), &err);
    support_ok(loader_new(m->ctx, m->r, m->d, m->fe, m->chain, NULL, 2, &m->l, &err), &err);
    support_ok(loader_batch(m->l, m->compute, 3, 1, &m->b, &err), &err);
}

static void close_loader(made *m) {
    loader_free(m->l);
    augment_free(m->chain);
    frontend_free(m->fe);
    dataset_free(m->d);
    recipe_free(m->ctx, m->r);
    compute_free(m->compute);
    spoor_context_free(m->ctx);
}

static void same_floats(const float *got, const float *want, int64_t n, const char *what) {
    if (memcmp(got, want, (size_t)n * sizeof *got) != 0) {
        fail_msg("%s differ", what);
    }
}

/* row of `got` = lambda * clean a + (1 - lambda) * clean b, to the bit; plain rows are the clean ones. */
static void check_rows(const batch *mixed, const float *got, const float *clean, int64_t size) {
    assert_true(mixed->rows == mixed->plain + mixed->mixed && mixed->mixed > 0);
    same_floats(got, clean, mixed->plain * size, "plain rows");
    for (int64_t i = 0; i < mixed->mixed; i++) {
        const float *a = clean + mixed->mix.one[i] * size, *b = clean + mixed->mix.other[i] * size;
        const float *row = got + (mixed->plain + i) * size, l = mixed->lambda[i];
        assert_true(l >= 0 && l <= 1);
        for (int64_t k = 0; k < size; k++) {
            assert_true(row[k] == l * a[k] + (1 - l) * b[k]);
        }
    }
}

static void waveforms(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        const char *const set[] = {"mixup.level=input", kind ? "mixup.kind=mixup" : "mixup.kind=regmixup",
                                   "spec_augment.time_masks=0"};
        made clean, waves, features;
        open_loader(&clean, &set[2], 1, true);
        open_loader(&waves, set, 3, true);
        open_loader(&features, set, 3, false);
        assert_int_equal(waves.b->inputs, kind ? 8 : 16);
        check_rows(waves.b, waves.b->waves, clean.b->waves, waves.b->samples);
        /* and features are of these waveforms */
        int64_t size = features.b->frames * features.b->dim;
        float *one = calloc((size_t)size, sizeof *one);
        frontend_scratch *s;
        spoor_error err;
        support_ok(frontend_scratch_new(features.fe, &s, &err), &err);
        for (int64_t i = 0; i < features.b->inputs; i++) {
            support_ok(frontend_compute(features.fe, s, waves.b->waves + i * waves.b->samples, (size_t)waves.b->samples, one, &err),
                       &err);
            same_floats(features.b->features + i * size, one, size, "features");
        }
        frontend_scratch_free(s);
        free(one);
        close_loader(&clean);
        close_loader(&waves);
        close_loader(&features);
    }
}

static void features_and_embeddings(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        const char *const set[] = {kind ? "mixup.kind=mixup" : "mixup.kind=regmixup", "mixup.level=embedding"};
        made clean, features, later, waves;
        open_loader(&clean, NULL, 0, false);
        open_loader(&features, set, 1, false);
        open_loader(&later, set, 2, false);
        open_loader(&waves, set, 1, true);
        int64_t size = clean.b->frames * clean.b->dim;
        assert_int_equal(features.b->inputs, kind ? 8 : 16);
        check_rows(features.b, features.b->features, clean.b->features, size);
        assert_int_equal(later.b->inputs, 8); /* the batch as it is; what is to be mixed is the same */
        same_floats(later.b->features, clean.b->features, 8 * size, "clips");
        assert_int_equal(waves.b->inputs, 8); /* features of a front end that is trained are mixed over the tape */
        for (int64_t i = 0; i < features.b->mixed; i++) {
            assert_true(later.b->mix.one[i] == features.b->mix.one[i] && later.b->mix.other[i] == features.b->mix.other[i]);
            assert_true(later.b->lambda[i] == features.b->lambda[i]);
            assert_true(later.b->target[0][later.b->plain + i] == features.b->target[0][features.b->plain + i]);
        }
        close_loader(&clean);
        close_loader(&features);
        close_loader(&later);
        close_loader(&waves);
    }
}

/* ---- the network ---- */

static const safetensors_tensor *vector(const safetensors *f, const char *name) {
    const safetensors_tensor *t = safetensors_find(f, name);
    if (t == NULL) {
        fail_msg("vector %s is missing", name);
    }
    return t;
}

static void same(const safetensors *f, const char *name, const float *got) {
    const safetensors_tensor *t = vector(f, name);
    double *want = malloc(t->count * sizeof *want);
    safetensors_to_f64(t, want);
    double error = support_relative_error(got, want, t->count);
    free(want);
    if (!(error <= 1e-5)) {
        fail_msg("%s: relative error %.3g", name, error);
    }
}

static void embeddings_as_in_torch(void **state) {
    (void)state;
    enum { CLIPS = 6, FRAMES = 7, DIM = 4, CLASSES = 3 };
    spoor_error err = {0};
    spoor_context *ctx = support_context();
    safetensors *f;
    compute *c;
    tape *t;
    net *n;
    support_ok(safetensors_open(ctx, support_path("tests/torch/mixup.safetensors"), &f, &err), &err);
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    json_t *config = json_pack("{s:s,s:i}", "kind", "pooled", "embedding", 5);
    const net_task task = {(char *)(uintptr_t) "a", CLASSES};
    support_ok(net_new(ctx, config, DIM, &task, 1, 1, &n, &err), &err);
    json_decref(config);
    assert_int_equal(params_count(net_params(n)), 4);
    for (size_t i = 0; i < 4; i++) {
        param *p = params_at(net_params(n), i);
        safetensors_to_f32(vector(f, p->name), p->value.data);
    }
    float x[CLIPS * FRAMES * DIM], lambda[CLIPS];
    int64_t target[2 * CLIPS], partner[CLIPS], one[CLIPS], other[CLIPS];
    safetensors_to_f32(vector(f, "x"), x);
    safetensors_to_f32(vector(f, "lambda"), lambda);
    memcpy(target, vector(f, "target")->data, CLIPS * sizeof *target);
    memcpy(other, vector(f, "other")->data, sizeof other);
    for (int64_t i = 0; i < CLIPS; i++) {
        one[i] = i;
        target[CLIPS + i] = target[i];
        partner[i] = target[other[i]];
    }
    const int64_t *partners[] = {partner};
    const losses_task losses = {.weight = 1, .target = target};
    losses_options o = {.plain = CLIPS, .mixed = CLIPS, .task = &losses, .partner = partners, .lambda = lambda, .plain_weight = 1,
                        .mixed_weight = 0.5f};
    const op_row_mix mix = {CLIPS, CLIPS, one, other, lambda};
    net_output out;
    losses_parts parts;
    params_zero_grad(net_params(n));
    tape_begin(t, true, true, 1);
    net_forward_step(n, t, tape_view(t, 3, (int64_t[]){CLIPS, FRAMES, DIM}, x), &(net_step){NULL, &mix}, &out);
    tensor *loss = losses_build(t, n, &out, &o, &parts);
    support_ok(tape_status(t, &err), &err);
    support_ok(tape_backward(t, loss, &err), &err);
    same(f, "embedding", out.embedding->data); /* of the clips, for losses on embeddings */
    same(f, "rows", out.logits[0]->data);
    same(f, "loss", loss->data);
    for (size_t i = 0; i < 4; i++) {
        char name[64];
        param *p = params_at(net_params(n), i);
        snprintf(name, sizeof name, "grad.%s", p->name);
        same(f, name, p->value.grad);
    }
    net_free(n);
    tape_free(t);
    compute_free(c);
    safetensors_free(f);
    spoor_context_free(ctx);
}

/* ---- trainings ---- */

static void interrupted(void **state) {
    (void)state;
    static const char *const levels[] = {"mixup.level=input", "mixup.level=features", "mixup.level=embedding"};
    char models[3][65];
    for (size_t v = 0; v < 3; v++) {
        const char *const set[] = {levels[v], "mixup.kind=regmixup", "schedule.epochs=4", "mixup.p=0.7"};
        spoor_error err;
        watch w = {0}, c = {.cancel_at = 5};
        char parts[65], a[16], b[16];
        snprintf(a, sizeof a, "whole%zu", v);
        snprintf(b, sizeof b, "parts%zu", v);
        char *one = run_folder(a), *two = run_folder(b);
        support_ok(train(one, 1, false, &w, set, 4, &err), &err);
        assert_int_equal(train(two, 3, true, &c, set, 4, &err), SPOOR_ERR_CANCELLED);
        c = (watch){0};
        support_ok(train(two, 2, true, &c, set, 4, &err), &err);
        hash(one, "model.safetensors", models[v]);
        hash(two, "model.safetensors", parts);
        assert_string_equal(models[v], parts);
    }
    assert_string_not_equal(models[0], models[1]);
    assert_string_not_equal(models[1], models[2]);
}

static void refused(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0};
    const char *const set[] = {"mixup.level=input", "mixup.kind=regmixup", "cache.path=x", "augment_p=0"};
    assert_int_equal(train(run_folder("cached"), 1, false, &w, set, 4, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "mixup.level"));
    const char *const other = "mixup.level=logits";
    assert_int_equal(train(run_folder("level"), 1, false, &w, &other, 1, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "features, input, embedding"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(waveforms), cmocka_unit_test(features_and_embeddings),
                                       cmocka_unit_test(embeddings_as_in_torch), cmocka_unit_test(interrupted),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, runs_setup, folder_remove);
}
