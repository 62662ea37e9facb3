/* test_whisper.c: see whisper_cases.h; the float build. Also Whisper's log-mel spectrum. */
#include "frontend/whisper_cases.h"

/* Hidden states of clips [clips, frames] cut from the vectors' input (from clip `from`), copied. */
static real *states_of(fixture *f, int64_t from, int64_t clips, int64_t frames, int64_t state, size_t *count) {
    spoor_error err = {0};
    tensor *hidden[8];
    int64_t all = need(f->file, "", "input")->shape[1], mels = f->sizes.mels;
    real *cut = malloc((size_t)(clips * frames * mels) * sizeof *cut);
    for (int64_t b = 0; b < clips; b++) {
        memcpy(cut + b * frames * mels, f->input + (from + b) * all * mels, (size_t)(frames * mels) * sizeof *cut);
    }
    tape_begin(f->tape, false, false, 0);
    tensor *x = tape_view(f->tape, 3, (int64_t[]){clips, frames, mels}, cut);
    whisper_forward(f->model, f->tape, x, state, NULL, hidden);
    support_ok(tape_status(f->tape, &err), &err);
    *count = (size_t)tensor_count(hidden[state]);
    real *out = malloc(*count * sizeof *out);
    memcpy(out, hidden[state]->data, *count * sizeof *out);
    for (int64_t i = 0; i < state; i++) {
        assert_null(hidden[i]);
    }
    free(cut);
    return out;
}

/* The same encoder again with frozen weights: matrices laid out for products. */
static void freeze(fixture *f) {
    spoor_error err = {0};
    params *old = f->params;
    whisper_free(f->model);
    support_ok(params_new_frozen(f->ctx, 100000, &f->params, &err), &err);
    support_ok(whisper_new(f->ctx, &f->sizes, f->sizes.layers, "", f->params, &f->model, &err), &err);
    for (size_t i = 0; i < params_count(f->params); i++) {
        param *item = params_at(f->params, i);
        const real *data = params_find(old, item->name)->value.data;
        support_ok(item->product ? params_pack(f->params, item, data, COMPUTE_F32, &err)
                                 : params_give(f->params, item, data, &err), &err);
    }
    params_free(old);
}

static void frozen_weights_give_the_same_bits_alone_and_in_a_batch(void **state) {
    (void)state;
    for (unsigned threads = 1; threads <= 8; threads *= 2) {
        fixture f;
        size_t n, m;
        open_case(&f, -1, threads);
        freeze(&f);
        real *both = states_of(&f, 0, 2, 21, 3, &n), *second = states_of(&f, 1, 1, 21, 3, &m);
        assert_int_equal(n, 2 * m);
        assert_memory_equal(both + m, second, m * sizeof *both);
        double *want = doubles(need(f.file, "", "hidden.3"));
        assert_true(support_relative_error(both, want, n) <= 1e-5);
        free(want);
        free(both);
        free(second);
        close_case(&f);
    }
}

/* Layers above the last wanted are not made, and change nothing below. */
static void a_part_of_the_model_gives_the_same_bits(void **state) {
    (void)state;
    fixture whole, part;
    size_t n, m;
    open_case(&whole, -1, 1);
    for (int64_t last = 0; last < whole.sizes.layers; last++) {
        open_case(&part, last, 1);
        assert_null(params_find(part.params, "layer_norm.weight"));
        real *a = states_of(&whole, 0, 2, 21, last, &n), *b = states_of(&part, 0, 2, 21, last, &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n * sizeof *a);
        free(a);
        free(b);
        close_case(&part);
    }
    close_case(&whole);
}

static void any_length_up_to_the_positions(void **state) {
    (void)state;
    fixture f;
    size_t n;
    open_case(&f, -1, 1);
    for (int64_t frames = 1; frames <= 21; frames++) {
        free(states_of(&f, 0, 1, frames, 3, &n));
        assert_int_equal(n, (frames + 1) / 2 * f.sizes.width);
    }
    close_case(&f);
}

static void wrong_inputs_are_refused(void **state) {
    (void)state;
    fixture f;
    open_case(&f, -1, 1);
    int64_t shapes[][3] = {{1, 33, 5}, {1, 4, 4}, {1, 0, 5}};
    spoor_status want[] = {SPOOR_ERR_LIMIT, SPOOR_ERR_USAGE, SPOOR_ERR_USAGE};
    const char *words[] = {"16 positions (0.32 s)", "5 mel bands", "5 mel bands"};
    for (size_t i = 0; i < 3; i++) {
        spoor_error err = {0};
        tensor *hidden[8];
        tape_begin(f.tape, false, false, 0);
        whisper_forward(f.model, f.tape, tape_tensor(f.tape, 3, shapes[i]), 0, NULL, hidden);
        assert_int_equal(tape_status(f.tape, &err), want[i]);
        assert_non_null(strstr(err.message, words[i]));
        assert_null(hidden[0]);
        assert_null(hidden[3]);
    }
    close_case(&f);
}

static void wrong_sizes_are_refused(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    const encoder_sizes good = {.kind = ENCODER_WHISPER, .mels = 5, .width = 12, .heads = 3, .ff = 20, .positions = 16,
                                .layers = 3};
    encoder_sizes bad[6] = {good, good, good, good, good, good};
    bad[0].mels = 0;
    bad[1].heads = 5;
    bad[2].layers = ENCODER_MAX_LAYERS + 1;
    bad[3].positions = -1;
    bad[4].layers = 1; /* of which the third state is asked for */
    bad[5].width = 0;
    for (size_t i = 0; i < 6; i++) {
        spoor_error err = {0};
        params *p;
        whisper *m;
        support_ok(params_new(ctx, 1, &p, &err), &err);
        assert_int_equal(whisper_new(ctx, &bad[i], 3, "", p, &m, &err), SPOOR_ERR_USAGE);
        assert_null(m);
        assert_int_not_equal(err.message[0], 0);
        params_free(p);
    }
    spoor_context_free(ctx);
}

static void dropped_layers_pass_their_input_on(void **state) {
    (void)state;
    fixture f;
    tensor *hidden[8];
    open_case(&f, -1, 1);
    int dropped = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        tape_begin(f.tape, false, true, seed);
        whisper_forward(f.model, f.tape, input_of(&f), 0, &(encoder_training){.layer_drop = 0.5}, hidden);
        assert_true(tape_ok(f.tape));
        dropped += (hidden[1] == hidden[0]) + (hidden[2] == hidden[1]);
    }
    assert_in_range(dropped, 25, 55); /* of 80 */
    tape_begin(f.tape, false, false, 1);
    whisper_forward(f.model, f.tape, input_of(&f), 0, &(encoder_training){.layer_drop = 0.99}, hidden);
    assert_ptr_not_equal(hidden[0], hidden[1]);
    close_case(&f);
}

static void threads_change_no_gradient(void **state) {
    (void)state;
    real *first = NULL;
    size_t bytes = 0;
    for (unsigned threads = 1; threads <= 8; threads *= 2) {
        fixture f;
        spoor_error err = {0};
        tensor *x;
        open_case(&f, -1, threads);
        tape_begin(f.tape, true, true, 5);
        tensor *loss = loss_of(&f, &(encoder_training){.dropout = 0.2, .layer_drop = 0.3}, &x);
        support_ok(tape_backward(f.tape, loss, &err), &err);
        if (first == NULL) {
            bytes = (size_t)tensor_count(x) * sizeof *first;
            first = malloc(bytes);
            memcpy(first, x->grad, bytes);
        }
        assert_memory_equal(first, x->grad, bytes);
        close_case(&f);
    }
    free(first);
}

/* ---- log-mel ---- */

typedef struct mel_case {
    spoor_context *ctx;
    safetensors *file;
    float *samples;
    int64_t n;
} mel_case;

static void open_mel(mel_case *c) {
    c->ctx = support_context();
    c->file = open_vectors(c->ctx, "tests/torch/whisper_random.safetensors");
    const safetensors_tensor *t = need(c->file, "", "samples");
    c->n = (int64_t)t->count;
    c->samples = malloc(t->bytes);
    fill(t, c->samples);
}

static void close_mel(mel_case *c) {
    free(c->samples);
    safetensors_free(c->file);
    spoor_context_free(c->ctx);
}

static float *mel_of(spoor_context *ctx, int64_t mels, const float *samples, int64_t n) {
    spoor_error err = {0};
    whisper_mel *m;
    whisper_mel_scratch *s;
    support_ok(whisper_mel_new(ctx, mels, &m, &err), &err);
    support_ok(whisper_mel_scratch_new(ctx, &s, &err), &err);
    float *out = malloc((size_t)(whisper_mel_frames(n) * mels) * sizeof *out);
    support_ok(whisper_mel_compute(m, s, samples, n, out, &err), &err);
    whisper_mel_scratch_free(s);
    whisper_mel_free(m);
    return out;
}

static void mel_equals_pytorch(void **state) {
    (void)state;
    mel_case c;
    open_mel(&c);
    for (int64_t mels = 80; mels <= 128; mels += 48) {
        for (int part = 0; part < 2; part++) {
            char name[20];
            snprintf(name, sizeof name, "mel.%d%s", (int)mels, part == 1 ? ".short" : "");
            const safetensors_tensor *t = need(c.file, "", name);
            int64_t n = part == 1 ? 333 : c.n;
            assert_int_equal(t->shape[0], whisper_mel_frames(n));
            float *got = mel_of(c.ctx, mels, c.samples, n);
            double *want = doubles(t), worst = support_relative_error(got, want, t->count);
            if (!(worst <= 1e-4)) {
                fail_msg("%s: relative error %.3g", name, worst);
            }
            free(want);
            free(got);
        }
    }
    close_mel(&c);
}

static void mel_of_odd_recordings(void **state) {
    (void)state;
    mel_case c;
    open_mel(&c);
    int64_t lengths[] = {1, 2, 159, 160, 161, 200, 201, 319, 320, 401};
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        float *got = mel_of(c.ctx, 80, c.samples, lengths[k]);
        for (int64_t i = 0; i < whisper_mel_frames(lengths[k]) * 80; i++) {
            assert_true(isfinite(got[i]));
        }
        free(got);
    }
    float silence[400] = {0};
    float *got = mel_of(c.ctx, 80, silence, 400);
    for (int64_t i = 0; i < 160; i++) {
        assert_true(got[i] == -1.5f); /* log10(1e-10), plus 4, over 4 */
    }
    free(got);
    assert_int_equal(whisper_mel_frames(0), 0);
    close_mel(&c);
}

static void mel_refuses(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    whisper_mel *m;
    whisper_mel_scratch *s;
    assert_int_equal(whisper_mel_new(ctx, 0, &m, &err), SPOOR_ERR_USAGE);
    assert_int_equal(whisper_mel_new(ctx, 513, &m, &err), SPOOR_ERR_USAGE);
    assert_null(m);
    support_ok(whisper_mel_new(ctx, 3, &m, &err), &err);
    support_ok(whisper_mel_scratch_new(ctx, &s, &err), &err);
    float x = 0, out[3];
    assert_int_equal(whisper_mel_compute(m, s, &x, 0, out, &err), SPOOR_ERR_USAGE);
    assert_int_equal(whisper_mel_compute(m, s, &x, WHISPER_MAX_SAMPLES + 1, out, &err), SPOOR_ERR_LIMIT);
    assert_non_null(strstr(err.message, "30.00 s"));
    assert_true(whisper_mel_weight(m, 3, 0) == 0 && whisper_mel_weight(m, 0, 201) == 0);
    whisper_mel_scratch_free(s);
    whisper_mel_free(m);
    spoor_context_free(ctx);
}

/* ---- memory ---- */

static spoor_status make_all(spoor_context *ctx, whisper **m, params **p, whisper_mel **mel, whisper_mel_scratch **s,
                             spoor_error *err) {
    const encoder_sizes sizes = {.kind = ENCODER_WHISPER, .mels = 5, .width = 12, .heads = 3, .ff = 20, .positions = 16,
                                 .layers = 2};
    TRY(params_new(ctx, 1, p, err));
    TRY(whisper_new(ctx, &sizes, 2, "frontend.", *p, m, err));
    TRY(whisper_mel_new(ctx, 80, mel, err));
    return whisper_mel_scratch_new(ctx, s, err);
}

static void failed_allocations_leave_nothing(void **state) {
    (void)state;
    bool done = false;
    size_t n = 1;
    for (; n < 100 && !done; n++) {
        support_failing failing = {.fail_at = n};
        spoor_context *ctx = support_failing_context(&failing);
        whisper *m = NULL;
        params *p = NULL;
        whisper_mel *mel = NULL;
        whisper_mel_scratch *s = NULL;
        spoor_error err = {0};
        spoor_status status = make_all(ctx, &m, &p, &mel, &s, &err);
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        done = status == SPOOR_OK;
        whisper_mel_scratch_free(s);
        whisper_mel_free(mel);
        whisper_free(m);
        params_free(p);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(ctx);
    }
    assert_true(done && n > 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_states_equal_pytorch),
        cmocka_unit_test(gradients_equal_pytorch),
        cmocka_unit_test(checkpointing_changes_no_gradient),
        cmocka_unit_test(frozen_weights_give_the_same_bits_alone_and_in_a_batch),
        cmocka_unit_test(a_part_of_the_model_gives_the_same_bits),
        cmocka_unit_test(any_length_up_to_the_positions),
        cmocka_unit_test(wrong_inputs_are_refused),
        cmocka_unit_test(wrong_sizes_are_refused),
        cmocka_unit_test(dropped_layers_pass_their_input_on),
        cmocka_unit_test(threads_change_no_gradient),
        cmocka_unit_test(mel_equals_pytorch),
        cmocka_unit_test(mel_of_odd_recordings),
        cmocka_unit_test(mel_refuses),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
