/* Gradients of a whole small wav2vec 2.0 and WavLM with activation checkpointing, dropout and layer drop, against
 * differences, in the double build. */
#include "frontend/wav2vec2.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLIPS = 2, SAMPLES = 300, LAST = 4, ENTRIES = 4 };

typedef struct model {
    spoor_context *ctx;
    params *p;
    wav2vec2 *w;
    compute *compute;
    tape *tape;
    real wave[CLIPS * SAMPLES];
    encoder_training training;
} model;

static const encoder_sizes SIZES = {.kind = ENCODER_WAV2VEC2, .width = 8, .layers = LAST, .heads = 2, .ff = 12, .n_convs = 3,
                                    .conv_dim = {4, 4, 6}, .conv_kernel = {10, 3, 2}, .conv_stride = {5, 2, 2},
                                    .conv_bias = true, .conv_layer_norm = true, .pre_norm = true, .pos_kernel = 4,
                                    .pos_groups = 2, .buckets = 8, .max_distance = 20, .eps = 1e-5};

static void open_model(model *m, const encoder_sizes *sizes) {
    spoor_error err;
    memset(m, 0, sizeof *m);
    m->ctx = support_context();
    support_ok(params_new(m->ctx, 3, &m->p, &err), &err);
    support_ok(wav2vec2_new(m->ctx, sizes, LAST, "", m->p, &m->w, &err), &err);
    support_ok(compute_new(m->ctx, 1, &m->compute, &err), &err);
    support_ok(tape_new(m->ctx, m->compute, &m->tape, &err), &err);
    rng r = rng_make(1, 2);
    for (size_t i = 0; i < CLIPS * SAMPLES; i++) {
        m->wave[i] = rng_normal(&r);
    }
    for (size_t i = 0; i < params_count(m->p); i++) { /* norms and biases that matter */
        tensor *x = &params_at(m->p, i)->value;
        for (int64_t k = 0; k < tensor_count(x); k++) {
            x->data[k] += 0.1 * rng_normal(&r);
        }
    }
}

static void close_model(model *m) {
    tape_free(m->tape);
    compute_free(m->compute);
    wav2vec2_free(m->w);
    params_free(m->p);
    spoor_context_free(m->ctx);
}

/* A loss that all hidden states take part in. */
static double loss(model *m, bool record) {
    tensor *hidden[LAST + 1] = {0}, *sum = NULL;
    tape_begin(m->tape, record, true, 9);
    tensor *x = tape_view(m->tape, 2, (int64_t[]){CLIPS, SAMPLES}, m->wave);
    wav2vec2_forward(m->w, m->tape, x, 0, &m->training, hidden);
    for (int i = 0; i <= LAST; i++) {
        tensor *part = op_sum(m->tape, op_mul(m->tape, hidden[i], op_activation(m->tape, hidden[i], OP_ACT_TANH)),
                              (real)(0.1 / (1 + i)));
        sum = sum == NULL ? part : op_add(m->tape, sum, part, 1);
    }
    spoor_error err;
    support_ok(tape_status(m->tape, &err), &err);
    double value = sum->data[0];
    if (record) {
        params_zero_grad(m->p);
        support_ok(tape_backward(m->tape, sum, &err), &err);
    }
    return value;
}

static double slope(model *m, real *at) {
    static const double step[4] = {2, 1, -1, -2}, factor[4] = {-1, 8, -8, 1};
    double h = 1e-3, keep = *at, sum = 0;
    for (int i = 0; i < 4; i++) {
        *at = keep + step[i] * h;
        sum += factor[i] * loss(m, false);
    }
    *at = keep;
    return sum / (12 * h);
}

static void check(const encoder_sizes *sizes, encoder_training training) {
    model m;
    open_model(&m, sizes);
    m.training = training;
    (void)loss(&m, true);
    rng r = rng_make(4, 5);
    double worst = 0, largest = 0;
    for (size_t i = 0; i < params_count(m.p); i++) {
        tensor *x = &params_at(m.p, i)->value;
        for (int k = 0; k < ENTRIES; k++) {
            int64_t at = (int64_t)rng_below(&r, (uint64_t)tensor_count(x));
            double got = x->grad[at], want = slope(&m, &x->data[at]), off = fabs(got - want);
            worst = fmax(worst, off);
            largest = fmax(largest, fabs(want));
            if (!(off <= 1e-6 * fmax(1, fabs(want)))) {
                fail_msg("%s[%lld]: gradient %.10g, difference %.10g", params_at(m.p, i)->name, (long long)at, got, want);
            }
        }
    }
    assert_true(largest > 0.1 && worst < 1e-6 * largest);
    close_model(&m);
}

static void gradients(void **state) {
    (void)state;
    check(&SIZES, (encoder_training){.checkpoint = true});
    check(&SIZES, (encoder_training){.checkpoint = true, .dropout = 0.1, .layer_drop = 0.3});
    encoder_sizes s = SIZES; /* base: group norm, norms after */
    s.conv_layer_norm = s.pre_norm = s.conv_bias = false;
    check(&s, (encoder_training){.checkpoint = true, .dropout = 0.1});
    s.kind = ENCODER_WAVLM;
    check(&s, (encoder_training){.checkpoint = true, .dropout = 0.1});
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
