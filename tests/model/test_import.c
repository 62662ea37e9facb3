/* test_import.c: AASIST checkpoints become model files that say what PyTorch says (tests/torch/make_aasist.py): two
 * small ones that are committed, and the published weights where ../shared/weights/aasist is; wrong files are refused.
 */
#include "audio/audio.h"
#include "base/io.h"
#include "model/import.h"
#include "support/support.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static spoor_context *ctx;
static spoor_error err;
static char *folder, path[400], other[400];

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    folder = support_temporary();
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    snprintf(other, sizeof other, "%s/other.safetensors", folder);
    err = (spoor_error){0};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
    return 0;
}

/* Integer noise under a slow envelope, as in make_aasist.py. */
static void test_wave(size_t n, float *out) {
    uint64_t noise = 12345;
    for (size_t i = 0; i < n; i++) {
        noise = (noise * 1103515245 + 12345) % 2147483648u;
        out[i] = (float)((double)((int64_t)(noise / 65536) - 16384) * (double)(1 + i / 200 % 8) / 1048576.0);
    }
}

static void save(const char *from, const char *const *classes, size_t n_classes) {
    weights *w;
    support_ok(weights_open(ctx, from, &w, &err), &err);
    assert_true(import_knows(w));
    import_options o = {
        .name = "converted", .source = "from.pth", .sha256 = "00", .classes = classes, .n_classes = n_classes};
    support_ok(import_save(ctx, w, path, &o, &err), &err);
    weights_free(w);
}

static void compare(const safetensors *vectors, const char *name, const char *part, const float *got) {
    char key[80];
    snprintf(key, sizeof key, "%s.%s", name, part);
    const safetensors_tensor *t = safetensors_find(vectors, key);
    assert_non_null(t);
    double want[200];
    assert_true(t->count <= 200);
    safetensors_to_f64(t, want);
    for (size_t i = 0; i < t->count; i++) {
        if (!(fabs(want[i] - (double)got[i]) <= 1e-4)) {
            fail_msg("%s: %zu is %.7g, not %.7g", key, i, (double)got[i], want[i]);
        }
    }
}

/* The model file that was written, on n samples of the test waveform. */
static void says_the_same(const char *vectors_file, const char *name, size_t n, const char *task, size_t classes) {
    safetensors *vectors;
    spoor_model *m;
    compute *c;
    tape *t;
    frontend_scratch *s;
    net_output out;
    support_ok(safetensors_open(ctx, support_path(vectors_file), &vectors, &err), &err);
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    assert_int_equal(m->n_tasks, 1);
    assert_string_equal(m->tasks[0].name, task);
    assert_int_equal(m->tasks[0].n_classes, classes);
    assert_int_equal(m->window, AUDIO_WINDOW);
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    support_ok(frontend_scratch_new(m->frontend, &s, &err), &err);
    float *wave = malloc(n * sizeof *wave), *rows = malloc(n * sizeof *rows);
    test_wave(n, wave);
    int64_t dim[3] = {1, (int64_t)frontend_frames(m->frontend, n), (int64_t)frontend_dim(m->frontend)};
    assert_int_equal(dim[1] * dim[2], n);
    support_ok(frontend_compute(m->frontend, s, wave, n, rows, &err), &err);
    tape_begin(t, false, false, 0);
    net_forward(m->net, t, tape_view(t, 3, dim, rows), &out);
    support_ok(tape_status(t, &err), &err);
    compare(vectors, name, "embedding", out.embedding->data);
    compare(vectors, name, "logits", out.logits[0]->data);
    free(rows);
    free(wave);
    frontend_scratch_free(s);
    tape_free(t);
    compute_free(c);
    spoor_model_free(m);
    safetensors_free(vectors);
}

static void small_checkpoints_say_what_pytorch_says(void **state) {
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    save(support_path("tests/torch/aasist_release.safetensors"), NULL, 0);
    says_the_same("tests/torch/aasist_release_want.safetensors", "release", 6000, "bonafide", 2);
    spoor_model *m;
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    assert_string_equal(m->tasks[0].classes[0], "spoof");
    assert_string_equal(m->tasks[0].classes[1], "bonafide");
    assert_int_equal(m->bonafide_task, 0);
    assert_null(params_find(net_params(m->net), "blocks.1.norm1.weight"));
    spoor_model_free(m);
    save(support_path("tests/torch/aasist_release_trained.safetensors"), names, 3);
    says_the_same("tests/torch/aasist_release_want.safetensors", "release_trained", 6000, "source", 3);
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    assert_string_equal(m->tasks[0].classes[2], "c");
    assert_non_null(params_find(net_params(m->net), "blocks.1.norm1.weight"));
    spoor_model_free(m);
}

static void published_weights_say_what_pytorch_says(void **state) {
    (void)state;
    static const char *const files[] = {"AASIST", "AASIST-L", "AASIST_STOPA"};
    for (size_t i = 0; i < 3; i++) {
        char name[100];
        snprintf(name, sizeof name, "../shared/weights/aasist/%s.pth", files[i]);
        if (access(support_path(name), R_OK) != 0) {
            print_message("SKIP: the published weights are not here: %s\n", name);
            skip();
        }
        save(support_path(name), NULL, 0);
        says_the_same("tests/torch/aasist_real.safetensors", files[i], AUDIO_WINDOW, i == 2 ? "source" : "bonafide",
                      i == 2 ? 13 : 2);
    }
}

/* The small checkpoint without tensor `drop`, tensor `flat` as one row, and one more called `more` (each may be NULL).
 */
static void changed(const char *drop, const char *flat, const char *more) {
    safetensors *f;
    safetensors_writer *w;
    support_ok(safetensors_open(ctx, support_path("tests/torch/aasist_release.safetensors"), &f, &err), &err);
    support_ok(safetensors_writer_new(ctx, &w, &err), &err);
    float **values = calloc(safetensors_count(f) + 1, sizeof *values);
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const safetensors_tensor *t = safetensors_at(f, i);
        if ((drop != NULL && strcmp(t->name, drop) == 0) || t->dtype != SAFETENSORS_F32) {
            continue;
        }
        values[i] = malloc((t->count + 1) * sizeof(float));
        safetensors_to_f32(t, values[i]);
        int64_t one[2] = {1, (int64_t)t->count};
        bool as_row = flat != NULL && strcmp(t->name, flat) == 0;
        support_ok(safetensors_writer_add(w, t->name, SAFETENSORS_F32, as_row ? 2 : t->rank, as_row ? one : t->shape,
                                          values[i], &err),
                   &err);
    }
    float zero = 0;
    if (more != NULL) {
        support_ok(safetensors_writer_add(w, more, SAFETENSORS_F32, 0, NULL, &zero, &err), &err);
    }
    support_ok(safetensors_writer_save(w, other, &err), &err);
    safetensors_writer_free(w);
    for (size_t i = 0; i < safetensors_count(f); i++) {
        free(values[i]);
    }
    free(values);
    safetensors_free(f);
}

static void refused(spoor_status want, const char *words, const char *const *classes, size_t n) {
    weights *w;
    support_ok(weights_open(ctx, other, &w, &err), &err);
    assert_true(import_knows(w));
    import_options o = {.name = "x", .source = "x", .sha256 = "00", .classes = classes, .n_classes = n};
    assert_int_equal(import_save(ctx, w, path, &o, &err), want);
    if (strstr(err.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    }
    weights_free(w);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void other_checkpoints_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    changed("encoder.1.0.conv2.bias", NULL, NULL);
    refused(SPOOR_ERR_MODEL, "encoder.1.0.conv2.bias is missing", NULL, 0);
    changed("HtrgGAT_layer_ST21.att_weight12", NULL, NULL);
    refused(SPOOR_ERR_MODEL, "HtrgGAT_layer_ST21.att_weight12 is missing", NULL, 0);
    changed(NULL, "encoder.1.0.conv2.weight", NULL);
    refused(SPOOR_ERR_MODEL, "encoder.1.0.conv2.weight has another shape", NULL, 0);
    changed(NULL, "GAT_layer_T.proj_with_att.weight", NULL);
    refused(SPOOR_ERR_MODEL, "GAT_layer_T.proj_with_att.weight has another shape", NULL, 0);
    changed(NULL, "pos_S", NULL);
    refused(SPOOR_ERR_MODEL, "pos_S has another shape", NULL, 0);
    changed(NULL, NULL, "decoder.weight");
    refused(SPOOR_ERR_MODEL, "decoder.weight belongs to nothing in it", NULL, 0);
    changed(NULL, NULL, NULL);
    refused(SPOOR_ERR_USAGE, "3 names of classes were given", names, 3);
    weights *w;
    changed("out_layer.weight", NULL, NULL);
    support_ok(weights_open(ctx, other, &w, &err), &err);
    assert_false(import_knows(w));
    weights_free(w);
    changed(NULL, NULL, "LL.weight");
    support_ok(weights_open(ctx, other, &w, &err), &err);
    assert_false(import_knows(w));
    weights_free(w);
}

static void failed_allocations_leave_nothing(void **state) {
    (void)state;
    bool done = false;
    for (size_t n = 1; n < 4000 && !done; n += n < 60 ? 1 : 37) {
        support_failing failing = {.fail_at = 0};
        spoor_context *limited = support_failing_context(&failing);
        weights *w;
        spoor_error e = {0};
        support_ok(weights_open(limited, support_path("tests/torch/aasist_release.safetensors"), &w, &e), &e);
        import_options o = {.name = "x", .source = "x", .sha256 = "00"};
        failing.fail_at = failing.count + n;
        done = import_save(limited, w, path, &o, &e) == SPOOR_OK;
        failing.fail_at = 0;
        weights_free(w);
        assert_int_equal(failing.live, 0);
        spoor_context_free(limited);
    }
    assert_true(done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_checkpoints_say_what_pytorch_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(published_weights_say_what_pytorch_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_checkpoints_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_allocations_leave_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
