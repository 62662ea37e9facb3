/* test_wav2vec2.c: see wav2vec2_cases.h; the float build, and what does not depend on numbers: the same bits alone, in a
 * batch and on any threads, hidden states that are not wanted, layer drop. */
#include "frontend/wav2vec2_cases.h"

/* All hidden states of `clips` clips, the first two of the vectors and then the first again; free() them. */
static float *states_of(fixture *f, int64_t clips, int64_t from, bool record, size_t *count) {
    spoor_error err = {0};
    tensor *hidden[ENCODER_MAX_LAYERS + 1];
    float *input = malloc((size_t)(clips * f->samples) * sizeof *input), *all = NULL;
    for (int64_t b = 0; b < clips; b++) {
        memcpy(input + b * f->samples, f->input + (from + b) % f->clips * f->samples, (size_t)f->samples * sizeof *input);
    }
    tape_begin(f->tape, record, false, 0);
    wav2vec2_forward(f->model, f->tape, tape_view(f->tape, 2, (int64_t[]){clips, f->samples}, input), 0, NULL, hidden);
    support_ok(tape_status(f->tape, &err), &err);
    *count = 0;
    for (int64_t b = 0; b < clips; b++) { /* clip by clip */
        for (int64_t i = 0; i <= f->sizes.layers; i++) {
            size_t n = (size_t)(hidden[i]->dim[1] * hidden[i]->dim[2]);
            all = realloc(all, (*count + n) * sizeof *all);
            memcpy(all + *count, hidden[i]->data + (size_t)b * n, n * sizeof *all);
            *count += n;
        }
    }
    free(input);
    return all;
}

static void same_bits_alone_in_a_batch_and_on_any_threads(void **state) {
    (void)state;
    static const unsigned threads[] = {1, 2, 8};
    for (int k = 0; k < CASE_COUNT; k++) {
        float *alone[2] = {NULL, NULL};
        size_t n = 0, m;
        for (size_t i = 0; i < 3; i++) {
            fixture f;
            open_case(&f, CASES[k], -1, threads[i]);
            for (int64_t b = 0; b < 2 && i == 0; b++) {
                alone[b] = states_of(&f, 1, b, false, &n);
            }
            float *batch = states_of(&f, 3, 0, false, &m), *recorded = states_of(&f, 1, 0, true, &m);
            for (int64_t b = 0; b < 3; b++) {
                assert_memory_equal(batch + (size_t)b * n, alone[b % f.clips], n * sizeof *batch);
            }
            assert_int_equal(m, n);
            assert_memory_equal(recorded, alone[0], n * sizeof *recorded);
            free(batch);
            free(recorded);
            close_case(&f);
        }
        free(alone[0]);
        free(alone[1]);
    }
}

/* Hidden states below `first` are not kept, and an encoder that ends early gives what the whole one gives. */
static void states_that_are_not_wanted_change_nothing(void **state) {
    (void)state;
    for (int k = 0; k < CASE_COUNT; k++) {
        fixture f, g;
        size_t n;
        open_case(&f, CASES[k], -1, 1);
        float *all = states_of(&f, 1, 0, false, &n);
        size_t one = n / (size_t)(f.sizes.layers + 1);
        for (int64_t last = 0; last < f.sizes.layers; last++) {
            open_case(&g, CASES[k], last, 1);
            for (int64_t first = 0; first <= last; first++) {
                tensor *hidden[ENCODER_MAX_LAYERS + 1] = {NULL};
                tape_begin(g.tape, false, false, 0);
                wav2vec2_forward(g.model, g.tape, tape_view(g.tape, 2, (int64_t[]){1, g.samples}, g.input), first, NULL,
                                 hidden);
                assert_true(tape_ok(g.tape));
                for (int64_t i = 0; i <= last; i++) {
                    assert_true((hidden[i] == NULL) == (i < first));
                    if (i >= first) {
                        assert_memory_equal(hidden[i]->data, all + (size_t)i * one, one * sizeof *all);
                    }
                }
            }
            assert_true(params_count(g.params) < params_count(f.params));
            close_case(&g);
        }
        free(all);
        close_case(&f);
    }
}

/* A layer that is left out gives its input: so often as asked, other ones in each step, none outside training. */
static void layer_drop(void **state) {
    (void)state;
    fixture f;
    open_case(&f, "base", -1, 1);
    int dropped = 0, each[3] = {0};
    enum { STEPS = 300 };
    for (int train = 0; train < 2; train++) {
        for (uint64_t seed = 0; seed < STEPS; seed++) {
            tensor *hidden[ENCODER_MAX_LAYERS + 1];
            tape_begin(f.tape, train == 1 && seed % 2 == 0, train == 1, seed);
            wav2vec2_forward(f.model, f.tape, tape_view(f.tape, 2, (int64_t[]){1, 60}, f.input), 0,
                             &(encoder_training){.layer_drop = 0.25}, hidden);
            assert_true(tape_ok(f.tape));
            for (int i = 0; i < 3; i++) {
                size_t bytes = (size_t)tensor_count(hidden[i]) * sizeof(float);
                bool same = memcmp(hidden[i]->data, hidden[i + 1]->data, bytes) == 0;
                assert_true(train == 1 || !same);
                dropped += same;
                each[i] += same;
            }
        }
    }
    /* 900 decisions of probability 1/4: 225 expected, standard deviation 13; 75 for each layer, 7.5 */
    assert_in_range(dropped, 225 - 65, 225 + 65);
    for (int i = 0; i < 3; i++) {
        assert_in_range(each[i], 75 - 38, 75 + 38);
    }
    close_case(&f);
}

/* Memory of inference: a long clip's convolutions do not stay. */
static void inference_forgets_its_stages(void **state) {
    (void)state;
    enum { SAMPLES = 200000 };
    size_t bytes[2];
    float *x = calloc(SAMPLES, sizeof *x);
    for (int record = 0; record < 2; record++) {
        fixture f;
        tensor *hidden[ENCODER_MAX_LAYERS + 1];
        open_case(&f, "large", 0, 1);
        tape_begin(f.tape, record == 1, false, 0);
        wav2vec2_forward(f.model, f.tape, tape_view(f.tape, 2, (int64_t[]){1, SAMPLES}, x), 0, NULL, hidden);
        assert_true(tape_ok(f.tape));
        bytes[record] = tape_bytes(f.tape);
        close_case(&f);
    }
    free(x);
    assert_true(bytes[0] < bytes[1] * 3 / 4);
}

static void wrong_inputs_are_refused(void **state) {
    (void)state;
    fixture f;
    spoor_error err = {0};
    open_case(&f, "base", -1, 1);
    tensor *hidden[ENCODER_MAX_LAYERS + 1] = {NULL};
    tape_begin(f.tape, false, false, 0);
    wav2vec2_forward(f.model, f.tape, tape_view(f.tape, 2, (int64_t[]){1, 20}, f.input), 0, NULL, hidden);
    assert_int_equal(tape_status(f.tape, &err), SPOOR_ERR_USAGE); /* too short */
    tape_begin(f.tape, false, false, 0);
    wav2vec2_forward(f.model, f.tape, tape_view(f.tape, 1, (int64_t[]){300}, f.input), 0, NULL, hidden);
    assert_int_equal(tape_status(f.tape, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "[clips, samples]"));
    close_case(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_states_equal_pytorch),
        cmocka_unit_test(gradients_equal_pytorch),
        cmocka_unit_test(checkpointing_changes_no_gradient),
        cmocka_unit_test(same_bits_alone_in_a_batch_and_on_any_threads),
        cmocka_unit_test(states_that_are_not_wanted_change_nothing),
        cmocka_unit_test(layer_drop),
        cmocka_unit_test(inference_forgets_its_stages),
        cmocka_unit_test(wrong_inputs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
