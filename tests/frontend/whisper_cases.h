/* whisper_cases.h: Whisper's encoder against PyTorch on committed vectors (tests/torch/make_whisper.py): every hidden
 * state and every gradient. Included by test_whisper.c (float) and test_whisper_f64.c (the double build, which also holds the
 * gradients against finite differences). */
#include "frontend/whisper.h"
#include "support/support.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    spoor_context *ctx;
    safetensors *file;
    encoder_sizes sizes;
    params *params;
    whisper *model;
    compute *compute;
    tape *tape;
    real *input;
} fixture;

static const safetensors_tensor *need(const safetensors *file, const char *prefix, const char *name) {
    char key[200];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    const safetensors_tensor *t = safetensors_find(file, key);
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

static void compare(const fixture *f, const char *prefix, const char *name, const real *got, double tolerance) {
    const safetensors_tensor *t = need(f->file, prefix, name);
    double *want = doubles(t), worst = support_relative_error(got, want, t->count);
    free(want);
    if (!(worst <= tolerance)) {
        fail_msg("%s%s: relative error %.3g", prefix, name, worst);
    }
}

static safetensors *open_vectors(spoor_context *ctx, const char *name) {
    safetensors *file;
    spoor_error err = {0};
    support_ok(safetensors_open(ctx, support_path(name), &file, &err), &err);
    return file;
}

static encoder_sizes sizes_of(const safetensors *file) {
    json_t *m = json_loads(safetensors_meta(file, "test"), 0, NULL);
    assert_non_null(m);
#define SIZE(key) json_integer_value(json_object_get(m, key))
    encoder_sizes s = {.kind = ENCODER_WHISPER, .mels = SIZE("num_mel_bins"), .width = SIZE("d_model"),
                       .heads = SIZE("encoder_attention_heads"), .ff = SIZE("encoder_ffn_dim"),
                       .positions = SIZE("max_source_positions"), .layers = SIZE("encoder_layers"), .eps = 1e-5};
#undef SIZE
    json_decref(m);
    return s;
}

/* last: hidden states 0 .. last, or -1 for all. */
static void open_case(fixture *f, int64_t last, unsigned threads) {
    spoor_error err = {0};
    f->ctx = support_context();
    f->file = open_vectors(f->ctx, "tests/torch/whisper_random.safetensors");
    f->sizes = sizes_of(f->file);
    support_ok(params_new(f->ctx, 1, &f->params, &err), &err);
    support_ok(whisper_new(f->ctx, &f->sizes, last < 0 ? f->sizes.layers : last, "", f->params, &f->model, &err), &err);
    for (size_t i = 0; i < params_count(f->params); i++) {
        param *item = params_at(f->params, i);
        const safetensors_tensor *t = need(f->file, "param.", item->name);
        assert_int_equal(t->rank, item->value.ndim);
        assert_memory_equal(t->shape, item->value.dim, (size_t)t->rank * sizeof *t->shape);
        fill(t, item->value.data);
    }
    const safetensors_tensor *x = need(f->file, "", "input");
    f->input = malloc(x->count * sizeof *f->input);
    fill(x, f->input);
    support_ok(compute_new(f->ctx, threads, &f->compute, &err), &err);
    support_ok(tape_new(f->ctx, f->compute, &f->tape, &err), &err);
}

static void close_case(fixture *f) {
    free(f->input);
    tape_free(f->tape);
    compute_free(f->compute);
    whisper_free(f->model);
    params_free(f->params);
    safetensors_free(f->file);
    spoor_context_free(f->ctx);
}

static tensor *input_of(fixture *f) {
    tensor *x = tape_view(f->tape, 3, need(f->file, "", "input")->shape, f->input);
    assert_non_null(x);
    x->needs_grad = tape_recording(f->tape);
    return x;
}

/* sum over all states of the weights of the vectors; the step is that of tape_begin. */
static tensor *loss_of(fixture *f, const encoder_training *training, tensor **input) {
    tensor *hidden[ENCODER_MAX_LAYERS + 1], *parts[ENCODER_MAX_LAYERS + 1];
    real ones[ENCODER_MAX_LAYERS + 1];
    *input = input_of(f);
    whisper_forward(f->model, f->tape, *input, 0, training, hidden);
    for (int64_t i = 0; i <= f->sizes.layers; i++) {
        char name[20];
        snprintf(name, sizeof name, "weight.%d", (int)i);
        const safetensors_tensor *w = need(f->file, "", name);
        tensor *weight = tape_tensor(f->tape, 3, w->shape);
        assert_non_null(weight);
        fill(w, weight->data);
        parts[i] = op_sum(f->tape, op_mul(f->tape, hidden[i], weight), 1);
        ones[i] = 1;
    }
    return op_weighted_sum(f->tape, parts, ones, (size_t)f->sizes.layers + 1);
}

static void check_gradients(const encoder_training *training, double tolerance) {
    fixture f;
    spoor_error err = {0};
    tensor *x;
    open_case(&f, -1, 2);
    tape_begin(f.tape, true, true, 5);
    tensor *loss = loss_of(&f, training, &x);
    support_ok(tape_status(f.tape, &err), &err);
    support_ok(tape_backward(f.tape, loss, &err), &err);
    for (size_t i = 0; i < params_count(f.params); i++) {
        param *item = params_at(f.params, i);
        if (item->trainable) {
            compare(&f, "grad.", item->name, item->value.grad, tolerance);
        } else {
            assert_null(item->value.grad);
        }
    }
    compare(&f, "grad.", "input", x->grad, tolerance);
    close_case(&f);
}

static void hidden_states_equal_pytorch(void **state) {
    (void)state;
    for (int record = 0; record < 2; record++) {
        fixture f;
        spoor_error err = {0};
        tensor *hidden[8];
        open_case(&f, -1, 2);
        tape_begin(f.tape, record == 1, false, 0);
        whisper_forward(f.model, f.tape, input_of(&f), 0, NULL, hidden);
        support_ok(tape_status(f.tape, &err), &err);
        for (int64_t i = 0; i <= f.sizes.layers; i++) {
            char name[20];
            snprintf(name, sizeof name, "hidden.%d", (int)i);
            assert_int_equal(tensor_count(hidden[i]), need(f.file, "", name)->count);
            compare(&f, "", name, hidden[i]->data, 1e-5);
        }
        close_case(&f);
    }
}

static void gradients_equal_pytorch(void **state) {
    (void)state;
    check_gradients(NULL, 1e-4);
    check_gradients(&(encoder_training){0}, 1e-4);
}

static void checkpointing_changes_no_gradient(void **state) {
    (void)state;
    check_gradients(&(encoder_training){.checkpoint = true}, 1e-4);
}
