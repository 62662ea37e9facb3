/* wav2vec2_cases.h: the wav2vec 2.0 family against PyTorch on committed vectors (tests/torch/make_wav2vec2.py): every hidden
 * state and every gradient. Included by test_wav2vec2.c (float) and test_wav2vec2_f64.c (the double build, which also holds
 * the gradients against finite differences). */
#include "frontend/wav2vec2.h"
#include "support/support.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const CASES[] = {"base", "large", "hubert", "hubert_large", "wavlm", "wavlm_large"};
enum { CASE_COUNT = 6 };

typedef struct fixture {
    spoor_context *ctx;
    safetensors *file;
    encoder_sizes sizes;
    params *params;
    wav2vec2 *model;
    compute *compute;
    tape *tape;
    real *input;
    int64_t clips, samples;
} fixture;

static const safetensors_tensor *need(const fixture *f, const char *prefix, const char *name) {
    char key[200];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    const safetensors_tensor *t = safetensors_find(f->file, key);
    if (t == NULL) {
        fail_msg("vector %s is missing", key);
    }
    return t;
}

static double *doubles(const safetensors_tensor *t) {
    double *v = malloc((t->count + 1) * sizeof *v);
    safetensors_to_f64(t, v);
    return v;
}

static void fill(const safetensors_tensor *t, real *out) {
    double *v = doubles(t);
    for (size_t i = 0; i < t->count; i++) {
        out[i] = (real)v[i];
    }
    free(v);
}

/* Relative to the largest value wanted, which counts as `least` at least. */
static void compare(const fixture *f, const char *prefix, const char *name, const real *got, double tolerance,
                    double least) {
    const safetensors_tensor *t = need(f, prefix, name);
    double *want = doubles(t), worst = 0, top = least;
    for (size_t i = 0; i < t->count; i++) {
        top = fabs(want[i]) > top ? fabs(want[i]) : top;
    }
    for (size_t i = 0; i < t->count; i++) {
        double error = fabs((double)got[i] - want[i]) / top;
        worst = error <= worst || isnan(worst) ? worst : error;
    }
    free(want);
    if (!(worst <= tolerance)) {
        fail_msg("%s%s: relative error %.3g", prefix, name, worst);
    }
}

/* last: hidden states 0 .. last, or -1 for all. */
static void open_case(fixture *f, const char *name, int64_t last, unsigned threads) {
    spoor_error err = {0};
    char path[100];
    snprintf(path, sizeof path, "tests/torch/wav2vec2_%s.safetensors", name);
    f->ctx = support_context();
    support_ok(safetensors_open(f->ctx, support_path(path), &f->file, &err), &err);
    json_t *config = json_loads(safetensors_meta(f->file, "test"), 0, NULL);
    support_ok(encoder_sizes_from_json(config, &f->sizes, &err), &err);
    json_decref(config);
    support_ok(params_new(f->ctx, 1, &f->params, &err), &err);
    support_ok(wav2vec2_new(f->ctx, &f->sizes, last < 0 ? f->sizes.layers : last, "", f->params, &f->model, &err), &err);
    for (size_t i = 0; i < params_count(f->params); i++) {
        param *item = params_at(f->params, i);
        const safetensors_tensor *t = need(f, "param.", item->name);
        assert_int_equal(t->rank, item->value.ndim);
        assert_memory_equal(t->shape, item->value.dim, (size_t)t->rank * sizeof *t->shape);
        fill(t, item->value.data);
    }
    const safetensors_tensor *x = need(f, "", "input");
    f->clips = x->shape[0];
    f->samples = x->shape[1];
    f->input = malloc(x->count * sizeof *f->input);
    fill(x, f->input);
    support_ok(compute_new(f->ctx, threads, &f->compute, &err), &err);
    support_ok(tape_new(f->ctx, f->compute, &f->tape, &err), &err);
}

static void close_case(fixture *f) {
    free(f->input);
    tape_free(f->tape);
    compute_free(f->compute);
    wav2vec2_free(f->model);
    params_free(f->params);
    safetensors_free(f->file);
    spoor_context_free(f->ctx);
}

static tensor *input_of(fixture *f) {
    tensor *x = tape_view(f->tape, 2, (int64_t[]){f->clips, f->samples}, f->input);
    assert_non_null(x);
    x->needs_grad = tape_recording(f->tape);
    return x;
}

/* sum over all states of the weights of the vectors; the step is that of tape_begin. */
static tensor *loss_of(fixture *f, const encoder_training *training, tensor **input) {
    tensor *hidden[ENCODER_MAX_LAYERS + 1], *parts[ENCODER_MAX_LAYERS + 1];
    real ones[ENCODER_MAX_LAYERS + 1];
    *input = input_of(f);
    wav2vec2_forward(f->model, f->tape, *input, 0, training, hidden);
    for (int64_t i = 0; i <= f->sizes.layers; i++) {
        char name[20];
        snprintf(name, sizeof name, "weight.%d", (int)i);
        const safetensors_tensor *w = need(f, "", name);
        tensor *weight = tape_tensor(f->tape, 3, w->shape);
        assert_non_null(weight);
        fill(w, weight->data);
        parts[i] = op_sum(f->tape, op_mul(f->tape, hidden[i], weight), 1);
        ones[i] = 1;
    }
    return op_weighted_sum(f->tape, parts, ones, (size_t)f->sizes.layers + 1);
}

static void check_gradients(const char *name, const encoder_training *training) {
    fixture f;
    spoor_error err = {0};
    tensor *x;
    open_case(&f, name, -1, 2);
    tape_begin(f.tape, true, true, 5);
    tensor *loss = loss_of(&f, training, &x);
    support_ok(tape_status(f.tape, &err), &err);
    support_ok(tape_backward(f.tape, loss, &err), &err);
    for (size_t i = 0; i < params_count(f.params); i++) {
        param *item = params_at(f.params, i);
        /* A bias of the keys shifts all logits of a row alike: its gradient is 0 but for rounding. */
        bool none = strstr(item->name, "k_proj.bias") != NULL;
        compare(&f, "grad.", item->name, item->value.grad, 1e-4, none ? 1 : 1e-3);
    }
    compare(&f, "grad.", "input", x->grad, 1e-4, 0);
    close_case(&f);
}

static void hidden_states_equal_pytorch(void **state) {
    (void)state;
    for (int k = 0; k < 2 * CASE_COUNT; k++) {
        fixture f;
        spoor_error err = {0};
        tensor *hidden[ENCODER_MAX_LAYERS + 1];
        open_case(&f, CASES[k / 2], -1, 2);
        tape_begin(f.tape, k % 2 == 1, false, 0);
        wav2vec2_forward(f.model, f.tape, input_of(&f), 0, NULL, hidden);
        support_ok(tape_status(f.tape, &err), &err);
        for (int64_t i = 0; i <= f.sizes.layers; i++) {
            char name[20];
            snprintf(name, sizeof name, "hidden.%d", (int)i);
            assert_int_equal(tensor_count(hidden[i]), need(&f, "", name)->count);
            compare(&f, "", name, hidden[i]->data, 1e-4, 0);
        }
        close_case(&f);
    }
}

static void gradients_equal_pytorch(void **state) {
    (void)state;
    for (int k = 0; k < CASE_COUNT; k++) {
        check_gradients(CASES[k], NULL);
    }
}

static void checkpointing_changes_no_gradient(void **state) {
    (void)state;
    for (int k = 0; k < CASE_COUNT; k++) {
        check_gradients(CASES[k], &(encoder_training){.checkpoint = true});
    }
}
