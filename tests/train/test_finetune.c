/* Ten updates of a tiny wav2vec 2.0 and a linear classifier against PyTorch (tests/torch/make_finetune.py): the loss of every
 * step and the weights after the last, with activation checkpointing and without, on any number of threads. */
#include "frontend/encoder.h"
#include "nn/layers.h"
#include "support/support.h"
#include "train/optimiser.h"
#include "weights/safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 10, CLIPS = 4, SAMPLES = 400, CLASSES = 3, LAYERS = 3 };

static const char *const CONFIG =
    "{\"model_type\":\"wav2vec2\",\"hidden_size\":16,\"num_hidden_layers\":3,\"num_attention_heads\":4,"
    "\"intermediate_size\":24,\"conv_dim\":[8,8,8],\"conv_kernel\":[10,3,2],\"conv_stride\":[5,2,2],\"conv_bias\":true,"
    "\"feat_extract_norm\":\"layer\",\"do_stable_layer_norm\":true,\"num_conv_pos_embeddings\":6,"
    "\"num_conv_pos_embedding_groups\":4}";

typedef struct fixture {
    spoor_context *ctx;
    safetensors *file;
    encoder *encoder;
    params *head_params, *all;
    nn_linear head;
    compute *compute;
    tape *tape;
} fixture;

static const safetensors_tensor *find(const fixture *f, const char *kind, const char *name) {
    char full[256];
    snprintf(full, sizeof full, "%s.%s", kind, name);
    return safetensors_find(f->file, full);
}

/* Values as Spoor has them: kernels [O,K,C], of PyTorch's [O,C,K]. */
static float *values(const safetensors_tensor *t) {
    float *raw = malloc(t->count * sizeof *raw), *out = malloc(t->count * sizeof *out);
    assert_non_null(raw);
    assert_non_null(out);
    safetensors_to_f32(t, raw);
    int64_t c = t->rank == 3 ? t->shape[1] : 1, k = t->rank == 3 ? t->shape[2] : 1;
    for (int64_t i = 0; i < (int64_t)t->count; i++) {
        int64_t o = i / (c * k), in = i / k % c, tap = i % k;
        out[(o * k + tap) * c + in] = raw[i];
    }
    free(raw);
    return out;
}

static spoor_status read_value(void *user, const char *name, int ndim, const int64_t *dim, float *out, spoor_error *err) {
    (void)err;
    const safetensors_tensor *t = find(user, "w", name + strlen("frontend."));
    if (t == NULL) {
        fail_msg("no vector for %s", name);
        return SPOOR_ERR_MODEL;
    }
    assert_int_equal(t->rank, ndim);
    assert_int_equal(t->shape[0], dim[0]);
    float *v = values(t);
    memcpy(out, v, t->count * sizeof *out);
    free(v);
    return SPOOR_OK;
}

static void open_fixture(fixture *f, unsigned threads, bool convs) {
    spoor_error err;
    encoder_sizes sizes;
    memset(f, 0, sizeof *f);
    f->ctx = support_context();
    support_ok(safetensors_open(f->ctx, support_path("tests/torch/finetune.safetensors"), &f->file, &err), &err);
    json_t *config = json_loads(CONFIG, 0, NULL);
    support_ok(encoder_sizes_from_json(config, &sizes, &err), &err);
    json_decref(config);
    support_ok(encoder_new(f->ctx, &sizes, LAYERS, "frontend.", true, 1, &f->encoder, &err), &err);
    support_ok(encoder_load_from(f->encoder, read_value, f, COMPUTE_F32, &err), &err);
    params *p = encoder_params(f->encoder);
    for (size_t i = 0; i < params_count(p); i++) {
        if (!convs && params_under(params_at(p, i)->name, "frontend.feature_extractor")) {
            params_fix(params_at(p, i));
        }
    }
    support_ok(params_new(f->ctx, 1, &f->head_params, &err), &err);
    support_ok(nn_linear_init(&f->head, f->head_params, "head", sizes.width, CLASSES, true, &err), &err);
    safetensors_to_f32(find(f, "w", "head.weight"), f->head.w->data);
    safetensors_to_f32(find(f, "w", "head.bias"), f->head.b->data);
    support_ok(params_new(f->ctx, 1, &f->all, &err), &err);
    support_ok(params_adopt(f->all, f->head_params, &err), &err);
    support_ok(params_adopt(f->all, p, &err), &err);
    support_ok(compute_new(f->ctx, threads, &f->compute, &err), &err);
    support_ok(tape_new(f->ctx, f->compute, &f->tape, &err), &err);
}

static void close_fixture(fixture *f) {
    tape_free(f->tape);
    compute_free(f->compute);
    params_free(f->all);
    params_free(f->head_params);
    encoder_free(f->encoder);
    safetensors_free(f->file);
    spoor_context_free(f->ctx);
}

static void run_steps(fixture *f, const char *kind, const encoder_training *training, real *losses) {
    static const optimiser_group group[] = {
        {"frontend", 0.2, 0},          {"frontend.feature_extractor", 0.05, 0}, {"frontend.feature_projection", 0.05, 0},
        {"frontend.encoder.layers.0", 0.2 * 0.49, 0}, {"frontend.encoder.layers.1", 0.2 * 0.7, 0}};
    bool decay = strcmp(kind, "adamw") == 0;
    optimiser_options options = {decay, 0.9, 0.98, 1e-6, decay ? 0.05 : 0, decay ? 1 : 0, group, 5};
    optimiser *o;
    spoor_error err;
    support_ok(optimiser_new(f->ctx, f->all, &options, &o, &err), &err);
    real *wave = malloc(2 * CLIPS * SAMPLES * sizeof *wave);
    assert_non_null(wave);
    safetensors_to_f32(safetensors_find(f->file, "wave"), wave);
    int64_t target[2][CLIPS];
    memcpy(target, safetensors_find(f->file, "target")->data, sizeof target);
    for (int i = 0; i < STEPS; i++) {
        tensor *hidden[LAYERS + 1];
        tape_begin(f->tape, true, true, (uint64_t)i);
        tensor *x = tape_view(f->tape, 2, (int64_t[]){CLIPS, SAMPLES}, wave + i % 2 * CLIPS * SAMPLES);
        encoder_forward(f->encoder, f->tape, x, LAYERS, training, hidden);
        x = nn_linear_forward(&f->head, f->tape, op_mean_pool(f->tape, hidden[LAYERS]), OP_ACT_NONE);
        tensor *loss = op_cross_entropy(f->tape, x, target[i % 2], NULL, 0);
        params_zero_grad(f->all);
        support_ok(tape_backward(f->tape, loss, &err), &err);
        losses[i] = loss->data[0];
        double norm;
        support_ok(optimiser_step(o, f->compute, 0.02, &norm, &err), &err);
    }
    free(wave);
    optimiser_free(o);
}

static void same_as_torch(fixture *f, const char *kind, const real *losses) {
    double want[STEPS];
    safetensors_to_f64(find(f, kind, "losses"), want);
    for (int i = 0; i < STEPS; i++) {
        if (!(support_relative_error(&losses[i], &want[i], 1) < 1e-5)) {
            fail_msg("%s: loss of step %d is %.8g, not %.8g", kind, i + 1, (double)losses[i], want[i]);
        }
    }
    static const char *const names[] = {"encoder.layers.0.attention.q_proj.weight", "encoder.pos_conv_embed.conv.weight",
                                        "encoder.layers.2.final_layer_norm.weight", "feature_extractor.conv_layers.0.conv.weight",
                                        "head.weight"};
    for (size_t k = 0; k < 5; k++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", k < 4 ? "frontend." : "", names[k]);
        const safetensors_tensor *t = find(f, kind, names[k]);
        const param *p = params_find(f->all, name);
        assert_non_null(t);
        assert_non_null(p);
        float *v = values(t);
        double *wide = malloc(t->count * sizeof *wide);
        assert_non_null(wide);
        for (size_t i = 0; i < t->count; i++) {
            wide[i] = (double)v[i];
        }
        double error = support_relative_error(p->value.data, wide, t->count);
        if (!(error < 1e-4)) {
            fail_msg("%s: %s is off by %g after %d steps", kind, names[k], error, STEPS);
        }
        free(v);
        free(wide);
    }
}

static void ten_updates_as_torch(void **state) {
    (void)state;
    static const char *const kinds[] = {"adam", "adamw", "full"};
    static const encoder_training plain = {0}, again = {.checkpoint = true};
    for (size_t k = 0; k < 3; k++) {
        real first[STEPS], losses[STEPS];
        fixture one, other;
        open_fixture(&one, 1, k == 2);
        run_steps(&one, kinds[k], &plain, first);
        same_as_torch(&one, kinds[k], first);
        for (unsigned threads = 1; threads <= 8; threads += threads == 1 ? 1 : 6) {
            open_fixture(&other, threads, k == 2);
            run_steps(&other, kinds[k], &again, losses);
            assert_memory_equal(first, losses, sizeof losses);
            for (size_t i = 0; i < params_count(one.all); i++) {
                const tensor *a = &params_at(one.all, i)->value, *b = &params_at(other.all, i)->value;
                assert_memory_equal(a->data, b->data, (size_t)tensor_count(a) * sizeof *a->data);
            }
            close_fixture(&other);
        }
        close_fixture(&one);
    }
}

/* Dropout and layer drop change the loss, from step to step, and checkpointing no bit of it. */
static void regularised(void **state) {
    (void)state;
    static const encoder_training plain = {.layer_drop = 0.4, .dropout = 0.1};
    static const encoder_training again = {.layer_drop = 0.4, .dropout = 0.1, .checkpoint = true};
    static const encoder_training none = {0}, drop = {.layer_drop = 0.4};
    real losses[4][STEPS];
    const encoder_training *const training[4] = {&plain, &again, &none, &drop};
    for (size_t k = 0; k < 4; k++) {
        fixture f;
        open_fixture(&f, 2, false);
        run_steps(&f, "adam", training[k], losses[k]);
        close_fixture(&f);
    }
    assert_memory_equal(losses[0], losses[1], sizeof losses[0]);
    assert_memory_not_equal(losses[0], losses[2], sizeof losses[0]);
    assert_memory_not_equal(losses[0], losses[3], sizeof losses[0]);
    assert_memory_not_equal(losses[2], losses[3], sizeof losses[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ten_updates_as_torch), cmocka_unit_test(regularised)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
