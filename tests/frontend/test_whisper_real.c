/* test_whisper_real.c: the real Whisper-tiny on a recording of samples/, against PyTorch's values at 600 places of each
 * hidden state (tests/torch/make_whisper.py). The weights are 78 MB and not part of the repository: SPOOR_TEST_WHISPER
 * names the ggml file; what needs no weights runs without. */
#include "audio/audio.h"
#include "frontend/dialect.h"
#include "frontend/whisper.h"
#include "support/support.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 600, PLACE_STEP = 7919, MELS = 80, BINS = 201 };

#define TOLERANCE 1e-4 /* of the largest value of a state */

static spoor_context *ctx;
static safetensors *vectors;
static float *mel;
static int64_t frames;

static double *vector_of(const char *name, const char *part) {
    char key[60];
    snprintf(key, sizeof key, "%s%s", name, part);
    const safetensors_tensor *t = safetensors_find(vectors, key);
    assert_non_null(t);
    double *v = malloc((t->count + 1) * sizeof *v);
    safetensors_to_f64(t, v);
    return v;
}

static int set_up(void **state) {
    (void)state;
    spoor_error err = {0};
    whisper_mel *m;
    whisper_mel_scratch *s;
    float *samples;
    size_t n;
    ctx = support_context();
    support_ok(safetensors_open(ctx, support_path("tests/torch/whisper_real.safetensors"), &vectors, &err), &err);
    support_ok(audio_load(ctx, support_path("samples/1-person.flac"), NULL, &samples, &n, &err), &err);
    support_ok(whisper_mel_new(ctx, MELS, &m, &err), &err);
    support_ok(whisper_mel_scratch_new(ctx, &s, &err), &err);
    frames = whisper_mel_frames((int64_t)n);
    mel = malloc((size_t)(frames * MELS) * sizeof *mel);
    support_ok(whisper_mel_compute(m, s, samples, (int64_t)n, mel, &err), &err);
    whisper_mel_scratch_free(s);
    whisper_mel_free(m);
    ctx_free(ctx, samples);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    free(mel);
    safetensors_free(vectors);
    spoor_context_free(ctx);
    return 0;
}

/* Prints and checks the errors of got[rows, columns] at the places. */
static void compare(const char *name, const float *got, int64_t rows, int64_t columns, double tolerance) {
    double *want = vector_of(name, ""), *shape = vector_of(name, ".shape"), *size = vector_of(name, ".size");
    assert_int_equal(rows, (int64_t)shape[0]);
    assert_int_equal(columns, (int64_t)shape[1]);
    double worst = 0, squares = 0;
    for (int64_t i = 0; i < rows * columns; i++) {
        squares += (double)got[i] * (double)got[i];
    }
    for (int64_t i = 0; i < PLACES; i++) {
        double d = fabs((double)got[i * PLACE_STEP % (rows * columns)] - want[i]);
        worst = d <= worst || isnan(worst) ? worst : d;
    }
    double rms = sqrt(squares / (double)(rows * columns));
    print_message("%s: largest error %.2g of the largest value, %.2g of the root mean square\n", name, worst / size[0],
                  worst / size[1]);
    assert_true(worst / size[0] <= tolerance);
    assert_true(fabs(rms / size[1] - 1) <= tolerance); /* of all places */
    free(size);
    free(shape);
    free(want);
}

static void mel_filters_are_those_of_the_file(void **state) {
    (void)state;
    static const int64_t band[] = {0, 17, 40, 63, 79};
    spoor_error err = {0};
    whisper_mel *m;
    double *want = vector_of("filters", ""), worst = 0;
    support_ok(whisper_mel_new(ctx, MELS, &m, &err), &err);
    for (int64_t i = 0; i < 5; i++) {
        for (int64_t k = 0; k < BINS; k++) {
            worst = fmax(worst, fabs(want[i * BINS + k] - (double)whisper_mel_weight(m, band[i], k)));
        }
    }
    print_message("mel filters: largest difference %.2g\n", worst);
    assert_true(worst <= 1e-8); /* of up to 0.026 */
    whisper_mel_free(m);
    free(want);
}

static void log_mel_of_a_recording(void **state) {
    (void)state;
    compare("mel", mel, frames, MELS, 1e-5);
}

static void hidden_states_of_whisper_tiny(void **state) {
    (void)state;
    const char *path = getenv("SPOOR_TEST_WHISPER");
    if (path == NULL || *path == '\0') {
        print_message("SPOOR_TEST_WHISPER does not name a ggml file of Whisper-tiny: skipped\n");
        skip();
        return;
    }
    spoor_error err = {0};
    weights *w;
    dialect *d;
    encoder *e;
    compute *c;
    tape *t;
    tensor *hidden[5];
    support_ok(weights_open(ctx, path, &w, &err), &err);
    support_ok(dialect_find(ctx, w, &d, &err), &err);
    assert_string_equal(dialect_name(d), "ggml");
    const encoder_sizes *s = dialect_sizes(d);
    assert_int_equal(s->layers, 4);
    assert_int_equal(s->heads, 6);
    support_ok(encoder_new(ctx, s, 4, "", false, 0, &e, &err), &err);
    support_ok(encoder_load(e, w, COMPUTE_F32, &err), &err);
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    tape_begin(t, false, false, 0);
    encoder_forward(e, t, tape_view(t, 3, (int64_t[]){1, frames, MELS}, mel), 0, NULL, hidden);
    support_ok(tape_status(t, &err), &err);
    for (int i = 0; i < 5; i++) {
        char name[20];
        snprintf(name, sizeof name, "hidden.%d", i);
        compare(name, hidden[i]->data, hidden[i]->dim[1], hidden[i]->dim[2], TOLERANCE);
    }
    tape_free(t);
    compute_free(c);
    encoder_free(e);
    dialect_free(d);
    weights_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mel_filters_are_those_of_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(log_mel_of_a_recording, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hidden_states_of_whisper_tiny, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
