/* test_aasist.c: AASIST and W2VAASIST against PyTorch on committed vectors (tests/torch/make_aasist.py): outputs in
 * both modes, loss, every gradient, running statistics; any number of frames; the same bits on 1, 2 and 8 threads. */
#include "net/aasist.h"
#include "net/net.h"
#include "support/support.h"
#include "tensor/ops.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOLERANCE 1e-4

typedef struct fixture {
    spoor_context *ctx;
    safetensors *file;
    json_t *meta;
    compute *compute;
    tape *tape;
    net *net;
    float *features;
} fixture;

static const safetensors_tensor *need(const fixture *f, const char *prefix, const char *name) {
    char key[300];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    const safetensors_tensor *t = safetensors_find(f->file, key);
    if (t == NULL) {
        fail_msg("vector %s is missing", key);
    }
    return t;
}

/* Largest error over the largest value, at least `floor`. */
static void compare(const fixture *f, const char *prefix, const char *name, const float *got, double floor) {
    const safetensors_tensor *t = need(f, prefix, name);
    double *want = malloc((t->count + 1) * sizeof *want), worst = 0, top = floor;
    safetensors_to_f64(t, want);
    for (size_t i = 0; i < t->count; i++) {
        top = fabs(want[i]) > top ? fabs(want[i]) : top;
    }
    for (size_t i = 0; i < t->count; i++) {
        double d = fabs((double)got[i] - want[i]) / top;
        worst = d <= worst ? worst : d;
    }
    free(want);
    if (!(worst <= TOLERANCE)) {
        fail_msg("%s%s: relative error %.3g", prefix, name, worst);
    }
}

static void open_case(fixture *f, const char *name, unsigned threads) {
    spoor_error err = {0};
    char path[100];
    snprintf(path, sizeof path, "tests/torch/aasist_%s.safetensors", name);
    f->ctx = support_context();
    support_ok(safetensors_open(f->ctx, support_path(path), &f->file, &err), &err);
    f->meta = json_loads(safetensors_meta(f->file, "test"), 0, NULL);
    net_task task = {(char *)"source", 3};
    const safetensors_tensor *x = need(f, "", "features");
    support_ok(net_new(f->ctx, json_object_get(f->meta, "network"), x->shape[2], &task, 1, 1, &f->net, &err), &err);
    params *p = net_params(f->net);
    for (size_t i = 0; i < params_count(p); i++) {
        const safetensors_tensor *t = need(f, "param.", params_at(p, i)->name);
        const tensor *value = &params_at(p, i)->value;
        assert_int_equal(t->rank, value->ndim);
        assert_memory_equal(t->shape, value->dim, (size_t)t->rank * sizeof *t->shape);
        if (strcmp(params_at(p, i)->name, "sinc.filters") == 0) { /* made by the network itself */
            compare(f, "param.", "sinc.filters", value->data, 0);
            continue;
        }
        safetensors_to_f32(t, value->data);
    }
    support_ok(compute_new(f->ctx, threads, &f->compute, &err), &err);
    support_ok(tape_new(f->ctx, f->compute, &f->tape, &err), &err);
    f->features = malloc(x->bytes);
    safetensors_to_f32(x, f->features);
}

static void close_case(fixture *f) {
    free(f->features);
    tape_free(f->tape);
    compute_free(f->compute);
    net_free(f->net);
    json_decref(f->meta);
    safetensors_free(f->file);
    spoor_context_free(f->ctx);
}

static tensor *features_of(fixture *f) {
    tensor *x = tape_view(f->tape, 3, need(f, "", "features")->shape, f->features);
    assert_non_null(x);
    x->needs_grad = true;
    return x;
}

/* A bias before a batch norm, or before a softmax over frames, has no true gradient: only rounding is left of it. */
static bool no_gradient(const char *name) {
    bool before_norm = strstr(name, "aggregate.bias") != NULL || strstr(name, "self.bias") != NULL;
    return (before_norm && strstr(name, "master") == NULL) || strstr(name, "conv1.bias") != NULL ||
           strcmp(name, "project.bias") == 0 || strcmp(name, "map_attention.out.bias") == 0;
}

static void train_step(fixture *f) {
    spoor_error err = {0};
    int64_t source[16];
    float toward[2048];
    tape_begin(f->tape, true, true, 7);
    tensor *x = features_of(f);
    net_output out;
    net_forward(f->net, f->tape, x, &out);
    support_ok(tape_status(f->tape, &err), &err);
    assert_true(need(f, "", "toward")->count <= 2048 && need(f, "", "target.source")->count <= 16);
    memcpy(source, need(f, "", "target.source")->data, need(f, "", "target.source")->bytes);
    safetensors_to_f32(need(f, "", "toward"), toward);
    tensor *pull = op_mul(f->tape, out.embedding, tape_view(f->tape, 2, out.embedding->dim, toward));
    tensor *parts[] = {op_cross_entropy(f->tape, out.logits[0], source, NULL, 0), op_sum(f->tape, pull, 1)};
    tensor *loss = op_weighted_sum(f->tape, parts, (float[]){1, 0.1f}, 2);
    support_ok(tape_status(f->tape, &err), &err);
    compare(f, "train.", "loss", loss->data, 1);
    compare(f, "train.", "embedding", out.embedding->data, 0);
    compare(f, "train.", "logits", out.logits[0]->data, 0);
    support_ok(tape_backward(f->tape, loss, &err), &err);
    params *p = net_params(f->net);
    for (size_t i = 0; i < params_count(p); i++) {
        param *item = params_at(p, i);
        if (item->trainable) {
            compare(f, "grad.", item->name, item->value.grad, no_gradient(item->name) ? 0.1 : 1e-2);
        } else {
            compare(f, "after.", item->name, item->value.data, 0);
        }
    }
    compare(f, "grad.", "features", x->grad, 0);
}

static void check_case(const char *name) {
    fixture f;
    open_case(&f, name, 2);
    train_step(&f);
    tape_begin(f.tape, false, false, 0);
    net_output out;
    net_forward(f.net, f.tape, features_of(&f), &out);
    assert_true(tape_ok(f.tape));
    compare(&f, "eval.", "embedding", out.embedding->data, 0);
    compare(&f, "eval.", "logits", out.logits[0]->data, 0);
    close_case(&f);
}

static void features(void **state) {
    (void)state;
    check_case("features");
}

static void preactivation_and_pooling_in_the_blocks(void **state) {
    (void)state;
    check_case("preactivation");
}

static void fewer_frames_and_bands_than_a_pooling_window(void **state) {
    (void)state;
    check_case("short");
}

static void waveform(void **state) {
    (void)state;
    check_case("waveform");
}

static void threads_change_no_bit(void **state) {
    (void)state;
    fixture one, other;
    unsigned counts[] = {2, 8};
    for (size_t k = 0; k < 2; k++) {
        open_case(&one, "features", 1);
        open_case(&other, "features", counts[k]);
        train_step(&one);
        train_step(&other);
        params *a = net_params(one.net), *b = net_params(other.net);
        for (size_t i = 0; i < params_count(a); i++) {
            const tensor *x = &params_at(a, i)->value, *y = &params_at(b, i)->value;
            assert_memory_equal(x->data, y->data, (size_t)tensor_count(x) * sizeof(float));
            if (x->grad != NULL) {
                assert_memory_equal(x->grad, y->grad, (size_t)tensor_count(x) * sizeof(float));
            }
        }
        close_case(&one);
        close_case(&other);
    }
}

/* The published sizes on any number of frames; a clip says the same alone and in a batch. */
static void any_length_and_any_batch(void **state) {
    (void)state;
    spoor_error err = {0};
    spoor_context *ctx = support_context();
    compute *c;
    tape *t;
    net *n;
    net_task task = {(char *)"source", 4};
    json_t *config = json_pack("{s:s}", "kind", "aasist");
    support_ok(compute_new(ctx, 2, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    support_ok(net_new(ctx, config, 20, &task, 1, 3, &n, &err), &err);
    assert_int_equal(net_embedding_size(n), 160);
    static const int64_t lengths[] = {1, 2, 3, 4, 10, 50};
    float *x = malloc(3 * 50 * 20 * sizeof *x), alone[160];
    for (int64_t i = 0; i < 3 * 50 * 20; i++) {
        x[i] = (float)(i * 7919 % 613) / 300 - 1;
    }
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        net_output out;
        int64_t dim[3] = {1, lengths[i], 20};
        tape_begin(t, false, false, 0);
        net_forward(n, t, tape_view(t, 3, dim, x + lengths[i] * 20), &out);
        support_ok(tape_status(t, &err), &err);
        memcpy(alone, out.embedding->data, sizeof alone);
        dim[0] = 3;
        tape_begin(t, false, false, 0);
        net_forward(n, t, tape_view(t, 3, dim, x), &out);
        support_ok(tape_status(t, &err), &err);
        for (int k = 0; k < 160; k++) {
            assert_true(fabsf(alone[k] - out.embedding->data[160 + k]) <= 1e-5f * (1 + fabsf(alone[k])));
        }
    }
    free(x);
    json_decref(config);
    net_free(n);
    tape_free(t);
    compute_free(c);
    spoor_context_free(ctx);
}

static void what_it_says_of_itself_makes_it_again(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    net_task task = {(char *)"source", 2};
    static const char *const given[] = {
        "{\"kind\": \"aasist\"}",
        "{\"kind\": \"aasist\", \"input\": \"waveform\", \"channels\": [8, 4], \"pool_ratios\": [0.4, 0.5, 0.7]}"};
    for (size_t i = 0; i < 2; i++) {
        spoor_error err = {0};
        net *a, *b;
        json_t *config = json_loads(given[i], 0, NULL);
        support_ok(net_new(ctx, config, 16, &task, 1, 0, &a, &err), &err);
        json_t *first = net_config(a);
        support_ok(net_new(ctx, first, 16, &task, 1, 0, &b, &err), &err);
        json_t *second = net_config(b);
        assert_true(json_equal(first, second));
        assert_string_equal(json_string_value(json_object_get(first, "kind")), "aasist");
        assert_int_equal(params_numel(net_params(a)), params_numel(net_params(b)));
        json_decref(config);
        json_decref(first);
        json_decref(second);
        net_free(a);
        net_free(b);
    }
    spoor_context_free(ctx);
}

static void wrong_settings_are_refused_with_a_sentence(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    net_task task = {(char *)"source", 3};
    static const char *const bad[][2] = {
        {"\"channels\": []", "network.channels must be a list of 1 to 16 whole numbers"},
        {"\"channels\": [32, 1.5]", "network.channels"},
        {"\"graph\": [64]", "network.graph must be a list of 2"},
        {"\"pool_ratios\": [0.5, 0.5, 0.5, 0.5]", "network.pool_ratios must be a list of 3"},
        {"\"temperatures\": [0, 1, 1]", "network.temperatures"},
        {"\"input\": \"sound\"", "network.input"},
        {"\"sinc\": 70", "with input: waveform"},
        {"\"input\": \"waveform\", \"project\": 4", "with input: waveform"},
        {"\"input\": \"waveform\", \"sinc_kernel\": 128", "an odd"},
        {"\"dropout\": 1", "network.dropout"},
        {"\"depth\": 4", "no setting \"depth\""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"kind\": \"aasist\", %s}", bad[i][0]);
        json_t *config = json_loads(text, 0, NULL);
        assert_non_null(config);
        net *n = NULL;
        spoor_error err = {0};
        assert_int_equal(net_new(ctx, config, 8, &task, 1, 0, &n, &err), SPOOR_ERR_USAGE);
        assert_null(n);
        if (strstr(err.message, bad[i][1]) == NULL) {
            fail_msg("%s: %s", bad[i][0], err.message);
        }
        json_decref(config);
    }
    spoor_context_free(ctx);
}

static tensor *run_config(tape *t, net **n, const char *text, int64_t frames, int64_t width, const float *x) {
    spoor_error err = {0};
    net_task task = {(char *)"source", 3};
    json_t *config = json_loads(text, 0, NULL);
    spoor_context *ctx = support_context();
    support_ok(net_new(ctx, config, width, &task, 1, 0, n, &err), &err);
    json_decref(config);
    net_output out;
    tape_begin(t, false, false, 0);
    net_forward(*n, t, tape_view(t, 3, (int64_t[]){1, frames, width}, (float *)(uintptr_t)x), &out);
    net_free(*n);
    spoor_context_free(ctx);
    return out.embedding;
}

static void inputs_beyond_the_limits_are_refused(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    compute *c;
    tape *t;
    net *n;
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    float *x = calloc(5000, sizeof *x);
    assert_null(run_config(t, &n, "{\"kind\": \"aasist\", \"input\": \"waveform\"}", 8, 16, x));
    assert_int_equal(tape_status(t, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "shorter than the network's sinc filters"));
    assert_null(
        run_config(t, &n, "{\"kind\": \"aasist\", \"first_pool\": 1, \"project\": 1, \"channels\": [1]}", 5000, 1, x));
    assert_int_equal(tape_status(t, &err), SPOOR_ERR_LIMIT);
    assert_non_null(strstr(err.message, "5000 nodes"));
    assert_null(run_config(t, &n, "{\"kind\": \"aasist\", \"first_pool\": 1, \"project\": 512, \"channels\": [64]}",
                           5000, 1, x));
    assert_int_equal(tape_status(t, &err), SPOOR_ERR_LIMIT);
    assert_non_null(strstr(err.message, "5000 frames x 512 bands x 64 channels"));
    assert_null(run_config(t, &n, "{\"kind\": \"aasist\"}", 0, 8, x));
    assert_int_equal(tape_status(t, &err), SPOOR_ERR_USAGE);
    free(x);
    tape_free(t);
    compute_free(c);
    spoor_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features),
        cmocka_unit_test(preactivation_and_pooling_in_the_blocks),
        cmocka_unit_test(fewer_frames_and_bands_than_a_pooling_window),
        cmocka_unit_test(waveform),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(any_length_and_any_batch),
        cmocka_unit_test(what_it_says_of_itself_makes_it_again),
        cmocka_unit_test(wrong_settings_are_refused_with_a_sentence),
        cmocka_unit_test(inputs_beyond_the_limits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
