/* Optimisers against torch.optim, threads, schedules, averages. */
#include "support/support.h"
#include "train/optimiser.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    spoor_context *ctx;
    safetensors *file;
    params *params;
    tensor *matrix, *bias, *buffer;
    compute *compute;
} fixture;

static void load(const fixture *f, const char *name, real *out) {
    const safetensors_tensor *t = safetensors_find(f->file, name);
    assert_non_null(t);
    safetensors_to_f32(t, out);
}

static void open_fixture(fixture *f, unsigned threads) {
    spoor_error err;
    f->ctx = support_context();
    support_ok(safetensors_open(f->ctx, support_path("tests/torch/optimiser.safetensors"), &f->file, &err), &err);
    support_ok(params_new(f->ctx, 1, &f->params, &err), &err);
    support_ok(compute_new(f->ctx, threads, &f->compute, &err), &err);
    support_ok(params_add(f->params, "m", 2, (int64_t[]){7, 5}, PARAM_ZEROS, 0, true, true, &f->matrix, &err), &err);
    support_ok(params_add(f->params, "b", 1, (int64_t[]){9}, PARAM_ZEROS, 0, true, false, &f->bias, &err), &err);
    support_ok(params_add(f->params, "s", 1, (int64_t[]){3}, PARAM_ONES, 0, false, false, &f->buffer, &err), &err);
    load(f, "matrix", f->matrix->data);
    load(f, "bias", f->bias->data);
}

static void close_fixture(fixture *f) {
    compute_free(f->compute);
    params_free(f->params);
    safetensors_free(f->file);
    spoor_context_free(f->ctx);
}

static void same(const fixture *f, const char *kind, const char *what, int step, const tensor *t) {
    char name[64];
    snprintf(name, sizeof name, "%s.%s.%d", kind, what, step);
    real want[64];
    double wide[64];
    load(f, name, want);
    for (int64_t i = 0; i < tensor_count(t); i++) {
        wide[i] = (double)want[i];
    }
    double error = support_relative_error(t->data, wide, (size_t)tensor_count(t));
    if (!(error < 2e-6)) {
        fail_msg("%s is off by %g", name, error);
    }
}

static void as_torch(bool decoupled, bool groups) {
    const char *kind = groups ? (decoupled ? "adamwg" : "adamg") : decoupled ? "adamw" : "adam";
    fixture f;
    open_fixture(&f, 1);
    optimiser *o;
    spoor_error err;
    const optimiser_group group[] = {{"", 1, 0}, {"b", 0.3, 3}, {"m.m", 7, 0}, {"mm", 7, 0}};
    optimiser_options options = {decoupled, 0.9, 0.98, 1e-7, 0.1, 3.0, group, groups ? 4 : 0};
    support_ok(optimiser_new(f.ctx, f.params, &options, &o, &err), &err);
    char name[64];
    snprintf(name, sizeof name, "%s.norms", kind);
    double rates[10], norms[10];
    safetensors_to_f64(safetensors_find(f.file, "rates"), rates);
    safetensors_to_f64(safetensors_find(f.file, name), norms);
    for (int i = 0; i < 10; i++) {
        double norm;
        snprintf(name, sizeof name, "grad.matrix.%d", i);
        load(&f, name, f.matrix->grad);
        snprintf(name, sizeof name, "grad.bias.%d", i);
        load(&f, name, f.bias->grad);
        assert_int_equal(optimiser_active(o, 1), !groups || i >= 3);
        support_ok(optimiser_step(o, f.compute, rates[i], &norm, &err), &err);
        support_close(norm, norms[i], 1e-6, "norm");
        same(&f, kind, "matrix", i, f.matrix);
        same(&f, kind, "bias", i, f.bias);
        support_close((double)f.buffer->data[1], 1, 0, "buffer");
    }
    assert_int_equal(optimiser_steps(o), 10);
    f.bias->grad[3] = NAN;
    real before = f.matrix->data[0];
    double norm;
    assert_int_equal(optimiser_step(o, f.compute, 0.01, &norm, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "diverged"));
    assert_true(f.matrix->data[0] == before);
    optimiser_free(o);
    close_fixture(&f);
}

static void adam(void **state) {
    (void)state;
    as_torch(false, false);
    as_torch(false, true);
}

static void adamw(void **state) {
    (void)state;
    as_torch(true, false);
    as_torch(true, true);
}

static void names(void **state) {
    (void)state;
    assert_true(params_under("a.b.1.w", "a.b.1") && params_under("a.b", "a.b") && params_under("a", ""));
    assert_false(params_under("a.b.10.w", "a.b.1") || params_under("a", "a.b") || params_under("b.a", "a"));
}

/* A big parameter, updated on 1 and on 3 threads. */
static real *big(unsigned threads) {
    enum { N = 100003 };
    spoor_context *ctx = support_context();
    spoor_error err;
    params *p;
    compute *c;
    tensor *w;
    optimiser *o;
    average *a;
    optimiser_options options = {.decoupled = true, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01, .clip = 1.0};
    support_ok(params_new(ctx, 1, &p, &err), &err);
    support_ok(compute_new(ctx, threads, &c, &err), &err);
    support_ok(params_add(p, "w", 1, (int64_t[]){N}, PARAM_UNIFORM_FAN_IN, 10, true, true, &w, &err), &err);
    support_ok(optimiser_new(ctx, p, &options, &o, &err), &err);
    support_ok(average_new(ctx, p, &a, &err), &err);
    rng r = rng_make(3, 4);
    for (int step = 0; step < 3; step++) {
        for (int64_t i = 0; i < N; i++) {
            w->grad[i] = (real)rng_normal(&r);
        }
        double norm;
        support_ok(optimiser_step(o, c, 0.01, &norm, &err), &err);
        average_update(a, c, 0.25);
    }
    average_swap(a);
    real *out = malloc(2 * N * sizeof *out);
    memcpy(out, w->data, N * sizeof *out);
    memcpy(out + N, average_values(a, 0), N * sizeof *out); /* the weights, after the exchange */
    average_free(a);
    optimiser_free(o);
    compute_free(c);
    params_free(p);
    spoor_context_free(ctx);
    return out;
}

static void threads_change_nothing(void **state) {
    (void)state;
    real *a = big(1), *b = big(3);
    assert_memory_equal(a, b, 2 * 100003 * sizeof *a);
    assert_memory_not_equal(a, a + 100003, 100003 * sizeof *a);
    free(a);
    free(b);
}

static void averages(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, 2);
    average *a;
    spoor_error err;
    support_ok(average_new(f.ctx, f.params, &a, &err), &err);
    for (int i = 1; i <= 4; i++) { /* mean of 1, 2, 3, 4, buffers too */
        f.matrix->data[2] = (real)i;
        f.buffer->data[0] = (real)(10 * i);
        average_update(a, f.compute, 1.0 / i);
    }
    support_close((double)average_values(a, 0)[2], 2.5, 1e-6, "mean");
    average_swap(a);
    support_close((double)f.matrix->data[2], 2.5, 1e-6, "swapped");
    support_close((double)f.buffer->data[0], 25, 1e-6, "swapped buffer");
    average_swap(a);
    support_close((double)f.matrix->data[2], 4, 0, "back");
    average_free(a);
    close_fixture(&f);
}

static void schedules(void **state) {
    (void)state;
    schedule s = {SCHEDULE_COSINE, 1.0, 110, 10, 0.1, 0, 0};
    support_close(schedule_rate(&s, 0), 0.1, 1e-12, "first");
    support_close(schedule_rate(&s, 4), 0.5, 1e-12, "half way up");
    support_close(schedule_rate(&s, 10), 1.0, 1e-12, "top");
    support_close(schedule_rate(&s, 60), 0.55, 1e-12, "half way down");
    support_close(schedule_rate(&s, 110), 0.1, 1e-12, "floor");
    support_close(schedule_rate(&s, 1000), 0.1, 1e-12, "beyond");
    schedule step = {SCHEDULE_STEP, 2.0, 0, 0, 0, 5, 0.5};
    support_close(schedule_rate(&step, 4), 2, 1e-12, "before the step");
    support_close(schedule_rate(&step, 14), 0.5, 1e-12, "after two");
    schedule flat = {SCHEDULE_CONSTANT, 3.0, 0, 0, 0, 0, 0};
    support_close(schedule_rate(&flat, 99), 3, 0, "constant");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(adam), cmocka_unit_test(adamw), cmocka_unit_test(names),
                                       cmocka_unit_test(threads_change_nothing), cmocka_unit_test(averages),
                                       cmocka_unit_test(schedules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
