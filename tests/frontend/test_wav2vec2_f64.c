/* test_wav2vec2_f64.c: see wav2vec2_cases.h; the double build: gradients against finite differences. */
#include "frontend/wav2vec2_cases.h"

/* With dropout and layer drop, which depend on the seed of the step alone. */
static const encoder_training TRAINING = {.dropout = 0.1, .layer_drop = 0.3};
static const encoder_training CHECKPOINT = {.dropout = 0.1, .layer_drop = 0.3, .checkpoint = true};

static double loss_at(fixture *f) {
    tensor *x;
    tape_begin(f->tape, false, true, 5);
    tensor *loss = loss_of(f, &TRAINING, &x);
    assert_true(tape_ok(f->tape));
    return (double)loss->data[0];
}

/* d loss / d *at by five-point central differences. */
static double slope(fixture *f, real *at) {
    static const double weight[] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12}, place[] = {-2, -1, 1, 2};
    double sum = 0, step = 1e-4;
    real kept = *at;
    for (int k = 0; k < 4; k++) {
        *at = kept + (real)(place[k] * step);
        sum += weight[k] * loss_at(f);
    }
    *at = kept;
    return sum / step;
}

static void check_entries(fixture *f, const char *name, real *data, const real *grad, int64_t n) {
    double top = 1e-3;
    for (int64_t i = 0; i < n; i++) {
        top = fabs((double)grad[i]) > top ? fabs((double)grad[i]) : top;
    }
    for (int64_t k = 0; k < 4; k++) {
        int64_t i = k * 7919 % n;
        double want = slope(f, &data[i]), error = fabs((double)grad[i] - want) / top;
        if (!(error <= 1e-6)) {
            fail_msg("%s[%lld]: gradient %.9g, differences say %.9g", name, (long long)i, (double)grad[i], want);
        }
    }
}

static void check_case(const char *name, const encoder_training *training) {
    fixture f;
    spoor_error err = {0};
    tensor *x;
    open_case(&f, name, -1, 1);
    tape_begin(f.tape, true, true, 5);
    tensor *loss = loss_of(&f, training, &x);
    support_ok(tape_status(f.tape, &err), &err);
    support_ok(tape_backward(f.tape, loss, &err), &err);
    int64_t n = tensor_count(x);
    real *grad = malloc((size_t)n * sizeof *grad);
    memcpy(grad, x->grad, (size_t)n * sizeof *grad);
    check_entries(&f, "input", f.input, grad, n);
    free(grad);
    for (size_t i = 0; i < params_count(f.params); i++) {
        param *item = params_at(f.params, i);
        check_entries(&f, item->name, item->value.data, item->value.grad, tensor_count(&item->value));
    }
    close_case(&f);
}

static void gradients_equal_finite_differences(void **state) {
    (void)state;
    for (int k = 0; k < CASE_COUNT; k++) {
        check_case(CASES[k], k % 2 == 0 ? &TRAINING : &CHECKPOINT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_states_equal_pytorch),
        cmocka_unit_test(gradients_equal_pytorch),
        cmocka_unit_test(checkpointing_changes_no_gradient),
        cmocka_unit_test(gradients_equal_finite_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
