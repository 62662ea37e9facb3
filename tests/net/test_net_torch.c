/* test_net_torch.c: the Conformer classifier against PyTorch on committed vectors (tests/torch/make_conformer.py): outputs
 * in both modes, loss, every gradient, running statistics; and the same bits on 1, 2 and 8 threads. */
#include "net/net.h"
#include "tensor/ops.h"
#include "support/support.h"
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
} fixture;

static double *as_double(const safetensors_tensor *t) {
    double *v = malloc((t->count + 1) * sizeof *v);
    safetensors_to_f64(t, v);
    return v;
}

static const safetensors_tensor *need(const fixture *f, const char *prefix, const char *name) {
    char key[300];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    const safetensors_tensor *t = safetensors_find(f->file, key);
    if (t == NULL) {
        fail_msg("vector %s is missing", key);
    }
    return t;
}

static void compare(const fixture *f, const char *prefix, const char *name, const float *got, double scale) {
    const safetensors_tensor *t = need(f, prefix, name);
    double *want = as_double(t), worst = 0, top = scale;
    for (size_t i = 0; i < t->count; i++) {
        top = fabs(want[i]) > top ? fabs(want[i]) : top;
    }
    for (size_t i = 0; i < t->count; i++) {
        double d = fabs((double)got[i] - want[i]) / top;
        if (!(d <= worst)) {
            worst = d;
        }
    }
    free(want);
    if (!(worst <= TOLERANCE)) {
        fail_msg("%s%s: relative error %.3g", prefix, name, worst);
    }
}

static void open_case(fixture *f, const char *name, unsigned threads) {
    spoor_error err = {0};
    char path[100];
    snprintf(path, sizeof path, "tests/torch/conformer_%s.safetensors", name);
    f->ctx = support_context();
    support_ok(safetensors_open(f->ctx, support_path(path), &f->file, &err), &err);
    f->meta = json_loads(safetensors_meta(f->file, "test"), 0, NULL);
    net_task tasks[4];
    size_t n = json_array_size(json_object_get(f->meta, "tasks"));
    for (size_t i = 0; i < n; i++) {
        json_t *pair = json_array_get(json_object_get(f->meta, "tasks"), i);
        tasks[i] = (net_task){(char *)json_string_value(json_array_get(pair, 0)), json_integer_value(json_array_get(pair, 1))};
    }
    int64_t bands = need(f, "", "features")->shape[2];
    support_ok(net_new(f->ctx, json_object_get(f->meta, "network"), bands, tasks, n, 1, &f->net, &err), &err);
    params *p = net_params(f->net);
    for (size_t i = 0; i < params_count(p); i++) {
        const safetensors_tensor *t = need(f, "param.", params_at(p, i)->name);
        assert_int_equal(t->count, tensor_count(&params_at(p, i)->value));
        safetensors_to_f32(t, params_at(p, i)->value.data);
    }
    support_ok(compute_new(f->ctx, threads, &f->compute, &err), &err);
    support_ok(tape_new(f->ctx, f->compute, &f->tape, &err), &err);
}

static void close_case(fixture *f) {
    tape_free(f->tape);
    compute_free(f->compute);
    net_free(f->net);
    json_decref(f->meta);
    safetensors_free(f->file);
    spoor_context_free(f->ctx);
}

static tensor *features_of(fixture *f, float **data) {
    const safetensors_tensor *t = need(f, "", "features");
    *data = malloc(t->bytes);
    safetensors_to_f32(t, *data);
    tensor *x = tape_view(f->tape, 3, t->shape, *data);
    assert_non_null(x);
    x->needs_grad = true;
    return x;
}

static tensor *loss_of(fixture *f, const net_output *out, int64_t *source, int64_t *bonafide, float *weights) {
    tape *t = f->tape;
    memcpy(source, need(f, "", "target.source")->data, need(f, "", "target.source")->bytes);
    memcpy(bonafide, need(f, "", "target.bonafide")->data, need(f, "", "target.bonafide")->bytes);
    safetensors_to_f32(need(f, "", "weights.source"), weights);
    int64_t e = out->embedding->dim[1], half = out->embedding->dim[0] / 2;
    tensor *rows = op_reshape(t, out->embedding, 3, (int64_t[]){1, out->embedding->dim[0], e});
    tensor *first = op_reshape(t, op_slice_frames(t, rows, 0, half), 2, (int64_t[]){half, e});
    tensor *second = op_reshape(t, op_slice_frames(t, rows, half, half), 2, (int64_t[]){half, e});
    tensor *parts[] = {op_cross_entropy(t, out->logits[0], source, weights, 0.1f),
                       op_cross_entropy(t, out->logits[1], bonafide, NULL, 0.0f), op_n_pair(t, first, second, 0.02f)};
    return op_weighted_sum(t, parts, (float[]){1.0f, 0.5f, 0.3f}, 3);
}

static void train_step(fixture *f, const char *name) {
    spoor_error err = {0};
    (void)name;
    int64_t source[16], bonafide[16];
    float weights[16], *data;
    tape_begin(f->tape, true, true, 7);
    tensor *x = features_of(f, &data);
    net_output out;
    net_forward(f->net, f->tape, x, &out);
    support_ok(tape_status(f->tape, &err), &err);
    tensor *loss = loss_of(f, &out, source, bonafide, weights);
    support_ok(tape_status(f->tape, &err), &err);
    compare(f, "train.", "loss", loss->data, 1);
    compare(f, "train.", "embedding", out.embedding->data, 0);
    compare(f, "train.", "logits.source", out.logits[0]->data, 0);
    compare(f, "train.", "logits.bonafide", out.logits[1]->data, 0);
    support_ok(tape_backward(f->tape, loss, &err), &err);
    params *p = net_params(f->net);
    for (size_t i = 0; i < params_count(p); i++) {
        param *item = params_at(p, i);
        if (item->trainable) {
            /* These have no true gradient, or one that nearly cancels: a bias before a batch norm or before a softmax over
             * frames, scale and shift of the last norm where the pooled vector is normalised. They are held against 0.01. */
            bool pool_norm = json_is_true(json_object_get(json_object_get(f->meta, "network"), "pool_norm"));
            bool none = strstr(item->name, "depthwise.bias") != NULL || strstr(item->name, "score.bias") != NULL ||
                        (pool_norm && strncmp(item->name, "blocks.0.norm.", 14) == 0);
            compare(f, "grad.", item->name, item->value.grad, none ? 1e-2 : 1e-4);
        } else {
            compare(f, "after.", item->name, item->value.data, 0);
        }
    }
    compare(f, "grad.", "features", x->grad, 0);
    free(data);
}

static void check_case(const char *name) {
    fixture f;
    open_case(&f, name, 2);
    train_step(&f, name);
    float *data;
    tape_begin(f.tape, false, false, 0);
    net_output out;
    net_forward(f.net, f.tape, features_of(&f, &data), &out);
    assert_true(tape_ok(f.tape));
    compare(&f, "eval.", "embedding", out.embedding->data, 0);
    compare(&f, "eval.", "logits.source", out.logits[0]->data, 0);
    compare(&f, "eval.", "logits.bonafide", out.logits[1]->data, 0);
    free(data);
    close_case(&f);
}

static void class_token(void **state) {
    (void)state;
    check_case("token");
}

static void statistics_pooling_with_an_embedding(void **state) {
    (void)state;
    check_case("stats");
}

static void stem_and_attentive_pooling(void **state) {
    (void)state;
    check_case("stem");
}

static void long_kernel_and_wide(void **state) {
    (void)state;
    check_case("wide");
}

static void attention_over_time_and_channels(void **state) {
    (void)state;
    check_case("tcm");
}

static void threads_change_no_bit(void **state) {
    (void)state;
    fixture one, other;
    unsigned counts[] = {2, 8};
    for (size_t k = 0; k < 4; k++) {
        const char *name = k < 2 ? "wide" : "tcm";
        open_case(&one, name, 1);
        open_case(&other, name, counts[k % 2]);
        train_step(&one, name);
        train_step(&other, name);
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

static void wrong_settings_are_refused_with_a_sentence(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    const char *bad[] = {"{\"dimm\": 12}", "{\"dim\": 0}", "{\"dim\": 10, \"heads\": 4}", "{\"pooling\": \"max\"}",
                         "{\"stem\": {}}", "{\"stem\": [{\"stride\": [2]}]}", "{\"depth\": 1.5}", "[]",
                         "{\"attention\": \"tcm\", \"pooling\": \"stats\"}", "{\"attention\": \"none\"}",
                         "{\"stem\": [{\"kernel\": [3,31], \"stride\": [1,16]},{\"kernel\":[1,3],\"stride\":[16,16]}], \"dropout\": 2}"};
    net_task task = {(char *)"source", 3};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *config = json_loads(bad[i], 0, NULL);
        assert_non_null(config);
        net *n = NULL;
        spoor_error err = {0};
        assert_int_equal(net_new(ctx, config, 8, &task, 1, 0, &n, &err), SPOOR_ERR_USAGE);
        assert_null(n);
        assert_non_null(strstr(err.message, "network"));
        json_decref(config);
    }
    net *n = NULL;
    spoor_error err = {0};
    json_t *config = json_loads("{\"dim\": 4096, \"depth\": 64, \"ff_mult\": 16}", 0, NULL);
    assert_int_equal(net_new_for_weights(ctx, config, 8, &task, 1, 100000, &n, &err), SPOOR_ERR_USAGE);
    json_decref(config);
    spoor_context_free(ctx);
}

static void failed_allocations_leave_nothing(void **state) {
    (void)state;
    json_t *config = json_loads("{\"dim\": 8, \"depth\": 1, \"heads\": 2}", 0, NULL);
    net_task task = {(char *)"source", 3};
    bool done = false;
    for (size_t n = 1; n < 60 && !done; n++) {
        support_failing failing = {.fail_at = n};
        spoor_context *ctx = support_failing_context(&failing);
        net *made = NULL;
        spoor_error err = {0};
        spoor_status status = net_new(ctx, config, 8, &task, 1, 0, &made, &err);
        done = status == SPOOR_OK;
        assert_true(done == (made != NULL));
        net_free(made);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(ctx);
    }
    assert_true(done);
    json_decref(config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_token),
        cmocka_unit_test(statistics_pooling_with_an_embedding),
        cmocka_unit_test(stem_and_attentive_pooling),
        cmocka_unit_test(long_kernel_and_wide),
        cmocka_unit_test(attention_over_time_and_channels),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(wrong_settings_are_refused_with_a_sentence),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
