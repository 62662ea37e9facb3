/* test_net_torch.c: the Conformer classifier against PyTorch on committed vectors (tests/torch/make_conformer.py): outputs
 * in both modes, loss, every gradient, running statistics; and the same bits on 1, 2 and 8 threads. */
#include "net/net.h"
#include "tensor/ops.h"
#include "support/vectors.h"

#define TOLERANCE 1e-4

static void open_case(vectors *f, const char *name, unsigned threads) {
    char path[100];
    snprintf(path, sizeof path, "tests/torch/conformer_%s.safetensors", name);
    vectors_open(f, path, threads);
    net_task tasks[4];
    size_t n = json_array_size(json_object_get(f->meta, "tasks"));
    for (size_t i = 0; i < n; i++) {
        json_t *pair = json_array_get(json_object_get(f->meta, "tasks"), i);
        tasks[i] = (net_task){(char *)json_string_value(json_array_get(pair, 0)), json_integer_value(json_array_get(pair, 1))};
    }
    vectors_network(f, tasks, n, NULL);
}

static tensor *loss_of(vectors *f, const net_output *out, int64_t *source, int64_t *bonafide, float *weights) {
    tape *t = f->tape;
    memcpy(source, vectors_need(f, "", "target.source")->data, vectors_need(f, "", "target.source")->bytes);
    memcpy(bonafide, vectors_need(f, "", "target.bonafide")->data, vectors_need(f, "", "target.bonafide")->bytes);
    safetensors_to_f32(vectors_need(f, "", "weights.source"), weights);
    int64_t e = out->embedding->dim[1], half = out->embedding->dim[0] / 2;
    tensor *rows = op_reshape(t, out->embedding, 3, (int64_t[]){1, out->embedding->dim[0], e});
    tensor *first = op_reshape(t, op_slice_frames(t, rows, 0, half), 2, (int64_t[]){half, e});
    tensor *second = op_reshape(t, op_slice_frames(t, rows, half, half), 2, (int64_t[]){half, e});
    tensor *parts[] = {op_cross_entropy(t, out->logits[0], source, weights, 0.1f),
                       op_cross_entropy(t, out->logits[1], bonafide, NULL, 0.0f), op_n_pair(t, first, second, 0.02f)};
    return op_weighted_sum(t, parts, (float[]){1.0f, 0.5f, 0.3f}, 3);
}

/* Some have no true gradient, or one that nearly cancels: a bias before a batch norm or before a softmax over frames, scale and
 * shift of the last norm where the pooled vector is normalised. They are held against 0.01. */
static double floor_of(const vectors *f, const char *name) {
    bool pool_norm = json_is_true(json_object_get(json_object_get(f->meta, "network"), "pool_norm"));
    bool none = strstr(name, "depthwise.bias") != NULL || strstr(name, "score.bias") != NULL ||
                (pool_norm && strncmp(name, "blocks.0.norm.", 14) == 0);
    return none ? 1e-2 : 1e-4;
}

static void train_step(vectors *f) {
    spoor_error err = {0};
    int64_t source[16], bonafide[16];
    float weights[16];
    tape_begin(f->tape, true, true, 7);
    tensor *x = vectors_features(f);
    net_output out;
    net_forward(f->net, f->tape, x, &out);
    support_ok(tape_status(f->tape, &err), &err);
    tensor *loss = loss_of(f, &out, source, bonafide, weights);
    support_ok(tape_status(f->tape, &err), &err);
    vectors_same(f, "train.", "loss", loss->data, 1, TOLERANCE);
    vectors_same(f, "train.", "embedding", out.embedding->data, 0, TOLERANCE);
    vectors_same(f, "train.", "logits.source", out.logits[0]->data, 0, TOLERANCE);
    vectors_same(f, "train.", "logits.bonafide", out.logits[1]->data, 0, TOLERANCE);
    support_ok(tape_backward(f->tape, loss, &err), &err);
    vectors_stepped(f, floor_of, TOLERANCE);
    vectors_same(f, "grad.", "features", x->grad, 0, TOLERANCE);
}

static void check_case(const char *name) {
    vectors f;
    open_case(&f, name, 2);
    train_step(&f);
    tape_begin(f.tape, false, false, 0);
    net_output out;
    net_forward(f.net, f.tape, vectors_features(&f), &out);
    assert_true(tape_ok(f.tape));
    vectors_same(&f, "eval.", "embedding", out.embedding->data, 0, TOLERANCE);
    vectors_same(&f, "eval.", "logits.source", out.logits[0]->data, 0, TOLERANCE);
    vectors_same(&f, "eval.", "logits.bonafide", out.logits[1]->data, 0, TOLERANCE);
    vectors_close(&f);
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

static void correlations_of_neighbours(void **state) {
    (void)state;
    check_case("correlations");
}

static void threads_change_no_bit(void **state) {
    (void)state;
    vectors one, other;
    unsigned counts[] = {2, 8};
    for (size_t k = 0; k < 4; k++) {
        const char *name = k < 2 ? "wide" : "tcm";
        open_case(&one, name, 1);
        open_case(&other, name, counts[k % 2]);
        train_step(&one);
        train_step(&other);
        vectors_same_bits(&one, &other);
        vectors_close(&one);
        vectors_close(&other);
    }
}

static void wrong_settings_are_refused_with_a_sentence(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    const char *bad[] = {"{\"dimm\": 12}", "{\"dim\": 0}", "{\"dim\": 10, \"heads\": 4}", "{\"pooling\": \"max\"}",
                         "{\"stem\": {}}", "{\"stem\": [{\"stride\": [2]}]}", "{\"depth\": 1.5}", "[]",
                         "{\"attention\": \"tcm\", \"pooling\": \"stats\"}", "{\"attention\": \"none\"}", "{\"kind\": \"pooled\", \"neighbours\": 8}",
                         "{\"kind\": \"pooled\", \"neighbours\": 1, \"pooling\": \"mean\"}",
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
        cmocka_unit_test(correlations_of_neighbours),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(wrong_settings_are_refused_with_a_sentence),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
