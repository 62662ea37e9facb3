/* test_losses_torch.c: the losses against PyTorch on committed vectors (tests/torch/make_losses.py): value and gradients. */
#include "net/head.h"
#include "support/vectors.h"
#include "tensor/ops.h"

#define TOLERANCE 1e-5

static int set_up(void **state) {
    vectors *f = calloc(1, sizeof *f);
    vectors_open(f, "tests/torch/losses.safetensors", 1);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    vectors_close(*state);
    free(*state);
    return 0;
}

static void run(vectors *f, const char *name, tensor *loss, tensor *a, const char *a_name, tensor *b, const char *b_name) {
    spoor_error err = {0};
    char key[100];
    support_ok(tape_backward(f->tape, loss, &err), &err);
    vectors_same(f, name, ".loss", loss->data, 0, TOLERANCE);
    snprintf(key, sizeof key, ".grad.%s", a_name);
    vectors_same(f, name, key, a->grad, 0, TOLERANCE);
    if (b != NULL) {
        snprintf(key, sizeof key, ".grad.%s", b_name);
        vectors_same(f, name, key, b->grad, 0, TOLERANCE);
    }
}

static void cross_entropy(void **state) {
    vectors *f = *state;
    const struct {
        const char *name;
        float smoothing;
        bool weighted;
    } cases[] = {{"ce", 0, false}, {"ce_smooth", 0.2f, false}, {"ce_weights", 0, true}, {"ce_both", 0.1f, true}};
    for (size_t i = 0; i < 4; i++) {
        tape_begin(f->tape, true, true, 1);
        tensor *x = vectors_input(f, cases[i].name, ".logits");
        int64_t target[9];
        memcpy(target, vectors_need(f, cases[i].name, ".target")->data, sizeof target);
        float weight[6];
        safetensors_to_f32(vectors_need(f, cases[i].name, ".weight"), weight);
        tensor *loss = op_cross_entropy(f->tape, x, target, cases[i].weighted ? weight : NULL, cases[i].smoothing);
        run(f, cases[i].name, loss, x, "logits", NULL, NULL);
    }
}

static void soft_targets(void **state) {
    vectors *f = *state;
    tape_begin(f->tape, true, true, 1);
    tensor *x = vectors_input(f, "soft", ".logits");
    float target[35];
    safetensors_to_f32(vectors_need(f, "soft", ".target"), target);
    run(f, "soft", op_soft_cross_entropy(f->tape, x, target, NULL), x, "logits", NULL, NULL);
}

static void n_pair(void **state) {
    vectors *f = *state;
    const char *names[] = {"npair", "npair_l2"};
    for (size_t i = 0; i < 2; i++) {
        tape_begin(f->tape, true, true, 1);
        tensor *a = vectors_input(f, names[i], ".f"), *b = vectors_input(f, names[i], ".p");
        run(f, names[i], op_n_pair(f->tape, a, b, i == 0 ? 0 : 0.02f), a, "f", b, "p");
    }
}

/* Embedding and centre through the head: the cosines, the loss, both gradients, and the logits that the head answers with. */
static void one_class(void **state) {
    vectors *f = *state;
    const char *names[] = {"oc", "oc_soft"};
    for (size_t i = 0; i < 2; i++) {
        tape_begin(f->tape, true, true, 1);
        tensor *e = vectors_input(f, names[i], ".f"), *w = vectors_input(f, names[i], ".w");
        float alpha = i == 0 ? 20 : 3, share[8];
        int64_t human[8];
        memcpy(human, vectors_need(f, names[i], ".human")->data, sizeof human);
        for (size_t k = 0; k < 8; k++) {
            share[k] = (float)human[k];
        }
        head h = {.o = {.kind = HEAD_ONE_CLASS, .human = 1, .r_real = 0.9, .r_fake = 0.2, .alpha = (double)alpha}, .centre = w};
        head_output out;
        head_forward(&h, f->tape, e, e, &out);
        assert_non_null(out.cosine);
        vectors_same(f, names[i], ".cosine", out.cosine->data, 0, TOLERANCE);
        for (size_t k = 0; k < 8; k++) {
            support_close((double)out.logits->data[2 * k], 0, 0, "synthetic");
            support_close((double)out.logits->data[2 * k + 1], (double)alpha * ((double)out.cosine->data[k] - 0.55), 1e-5, "human");
        }
        const op_margins m = {0.9f, 0.2f, alpha};
        run(f, names[i], op_oc_softmax(f->tape, out.cosine, share, NULL, &m), e, "f", w, "w");
    }
}

static void ge2e(void **state) {
    vectors *f = *state;
    const char *names[] = {"ge2e_softmax", "ge2e_contrast"};
    for (size_t i = 0; i < 2; i++) {
        tape_begin(f->tape, true, true, 1);
        tensor *e = vectors_input(f, names[i], ".e"), *w = vectors_input(f, names[i], ".w"), *b = vectors_input(f, names[i], ".b");
        const op_ge2e_shape shape = {4, 3, i == 1};
        run(f, names[i], op_ge2e(f->tape, op_normalise(f->tape, e, 1e-12f), w, b, &shape), e, "e", w, "w");
        if (i == 0) { /* an offset of all scores changes no softmax */
            support_close((double)b->grad[0], 0, 1e-6, "offset");
        } else {
            vectors_same(f, names[i], ".grad.b", b->grad, 0, TOLERANCE);
        }
    }
}

/* With two classes the loss is the logistic triplet loss: softplus(f_i.p_j - f_i.p_i), averaged. */
static void two_classes_are_the_logistic_triplet(void **state) {
    vectors *f = *state;
    tape_begin(f->tape, false, false, 1);
    float fs[] = {1, 2, -1, 0.5f}, ps[] = {0.5f, 1, 2, -1};
    tensor *a = tape_view(f->tape, 2, (int64_t[]){2, 2}, fs), *b = tape_view(f->tape, 2, (int64_t[]){2, 2}, ps);
    double s11 = 0.5 + 2, s12 = 2 - 2, s21 = -0.5 + 0.5, s22 = -2 - 0.5;
    double want = 0.5 * (log1p(exp(s12 - s11)) + log1p(exp(s21 - s22)));
    support_close(op_n_pair(f->tape, a, b, 0)->data[0], want, 1e-6, "N = 2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cross_entropy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(soft_targets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(n_pair, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_class, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ge2e, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_classes_are_the_logistic_triplet, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
