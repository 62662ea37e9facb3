/* test_aasist.c: AASIST and W2VAASIST against PyTorch on committed vectors (tests/torch/make_aasist.py): outputs in
 * both modes, loss, every gradient, running statistics; any number of frames; the same bits on 1, 2 and 8 threads. */
#include "net/aasist.h"
#include "net/net.h"
#include "support/vectors.h"
#include "tensor/ops.h"

#define TOLERANCE 1e-4

static void open_case(vectors *f, const char *name, unsigned threads) {
    char path[100];
    snprintf(path, sizeof path, "tests/torch/aasist_%s.safetensors", name);
    vectors_open(f, path, threads);
    vectors_network(f, &(net_task){(char *)"source", 3}, 1, "sinc.filters");
}

/* A bias before a batch norm, or before a softmax over frames, has no true gradient: only rounding is left of it. */
static double floor_of(const vectors *f, const char *name) {
    (void)f;
    bool before_norm = strstr(name, "aggregate.bias") != NULL || strstr(name, "self.bias") != NULL;
    bool none = (before_norm && strstr(name, "master") == NULL) || strstr(name, "conv1.bias") != NULL ||
                strcmp(name, "project.bias") == 0 || strcmp(name, "map_attention.out.bias") == 0;
    return none ? 0.1 : 1e-2;
}

static void train_step(vectors *f) {
    spoor_error err = {0};
    int64_t source[16];
    float toward[2048];
    tape_begin(f->tape, true, true, 7);
    tensor *x = vectors_features(f);
    net_output out;
    net_forward(f->net, f->tape, x, &out);
    support_ok(tape_status(f->tape, &err), &err);
    assert_true(vectors_need(f, "", "toward")->count <= 2048 && vectors_need(f, "", "target.source")->count <= 16);
    memcpy(source, vectors_need(f, "", "target.source")->data, vectors_need(f, "", "target.source")->bytes);
    safetensors_to_f32(vectors_need(f, "", "toward"), toward);
    tensor *pull = op_mul(f->tape, out.embedding, tape_view(f->tape, 2, out.embedding->dim, toward));
    tensor *parts[] = {op_cross_entropy(f->tape, out.logits[0], source, NULL, 0), op_sum(f->tape, pull, 1)};
    tensor *loss = op_weighted_sum(f->tape, parts, (float[]){1, 0.1f}, 2);
    support_ok(tape_status(f->tape, &err), &err);
    vectors_same(f, "train.", "loss", loss->data, 1, TOLERANCE);
    vectors_same(f, "train.", "embedding", out.embedding->data, 0, TOLERANCE);
    vectors_same(f, "train.", "logits", out.logits[0]->data, 0, TOLERANCE);
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
    vectors_same(&f, "eval.", "logits", out.logits[0]->data, 0, TOLERANCE);
    vectors_close(&f);
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
    vectors one, other;
    unsigned counts[] = {2, 8};
    for (size_t k = 0; k < 2; k++) {
        open_case(&one, "features", 1);
        open_case(&other, "features", counts[k]);
        train_step(&one);
        train_step(&other);
        vectors_same_bits(&one, &other);
        vectors_close(&one);
        vectors_close(&other);
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
