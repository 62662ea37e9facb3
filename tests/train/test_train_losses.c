/* The loss of a batch: parts and their weights, mixed rows against a plain reckoning, missing labels, pairs. */
#include "support/support.h"
#include "tensor/ops.h"
#include "train/losses.h"
#include <math.h>
#include <string.h>

enum { ROWS = 6, CLASSES = 3, DIM = 8, FRAMES = 3 };

typedef struct fixture {
    spoor_context *ctx;
    compute *compute;
    tape *tape;
    net *net;
    real logits[2][ROWS][CLASSES];
    real embedding[ROWS][4];
    net_output out;
} fixture;

/* A net is needed for its number of tasks alone; logits and embeddings are made up. */
static void open_fixture(fixture *f) {
    spoor_error err;
    f->ctx = support_context();
    support_ok(compute_new(f->ctx, 1, &f->compute, &err), &err);
    support_ok(tape_new(f->ctx, f->compute, &f->tape, &err), &err);
    json_t *config = json_pack("{s:s,s:i,s:i,s:i,s:i}", "kind", "conformer", "dim", DIM, "depth", 1, "heads", 1, "kernel", 3);
    const net_task tasks[] = {{"a", CLASSES}, {"b", CLASSES}};
    support_ok(net_new(f->ctx, config, 4, tasks, 2, 1, &f->net, &err), &err);
    json_decref(config);
    rng r = rng_make(9, 9);
    for (size_t i = 0; i < 2 * ROWS * CLASSES; i++) {
        (&f->logits[0][0][0])[i] = (real)rng_normal(&r);
    }
    for (size_t i = 0; i < ROWS * 4; i++) {
        (&f->embedding[0][0])[i] = (real)rng_normal(&r);
    }
    tape_begin(f->tape, true, true, 1);
    for (size_t k = 0; k < 2; k++) {
        f->out.logits[k] = tape_view(f->tape, 2, (int64_t[]){ROWS, CLASSES}, &f->logits[k][0][0]);
        f->out.logits[k]->needs_grad = true;
    }
    f->out.embedding = tape_view(f->tape, 2, (int64_t[]){ROWS, 4}, &f->embedding[0][0]);
    f->out.embedding->needs_grad = true;
}

static void close_fixture(fixture *f) {
    net_free(f->net);
    tape_free(f->tape);
    compute_free(f->compute);
    spoor_context_free(f->ctx);
}

/* -log softmax(x)_c */
static double nll(const real *x, int64_t c) {
    double sum = 0;
    for (int i = 0; i < CLASSES; i++) {
        sum += exp((double)x[i]);
    }
    return log(sum) - (double)x[c];
}

static double smooth(const real *x, int64_t c, const real *w, double s) {
    double even = 0;
    for (int i = 0; i < CLASSES; i++) {
        even += (double)w[i] * nll(x, i);
    }
    return (1 - s) * (double)w[c] * nll(x, c) + s / CLASSES * even;
}

static void plain(void **state) {
    (void)state;
    fixture f = {0};
    open_fixture(&f);
    const int64_t a[ROWS] = {0, 1, 2, -1, 1, 0}, b[ROWS] = {-1, -1, -1, -1, -1, -1};
    const losses_task tasks[] = {{.weight = 2, .target = a}, {.weight = 5, .target = b}};
    losses_options o = {.plain = ROWS, .task = tasks, .plain_weight = 1, .mixed_weight = 1};
    losses_parts parts;
    tensor *loss = losses_build(f.tape, f.net, &f.out, &o, &parts);
    spoor_error err;
    support_ok(tape_status(f.tape, &err), &err);
    double want = 0;
    for (int i = 0; i < ROWS; i++) {
        want += a[i] >= 0 ? nll(f.logits[0][i], a[i]) / 5 : 0;
    }
    support_close((double)parts.task[0], want, 1e-6, "task a");
    support_close((double)parts.task[1], 0, 0, "a task without labels");
    support_close((double)parts.total, 2 * want, 1e-6, "total");
    support_close((double)loss->data[0], 2 * want, 1e-6, "tensor");
    support_ok(tape_backward(f.tape, loss, &err), &err);
    for (int c = 0; c < CLASSES; c++) {
        support_close((double)f.out.logits[0]->grad[3 * CLASSES + c], 0, 0, "row without a label");
    }
    close_fixture(&f);
}

/* Two plain rows, four mixed; class weights and smoothing; one mixed row lacks a label. */
static void mixed(void **state) {
    (void)state;
    fixture f = {0};
    open_fixture(&f);
    const int64_t a[ROWS] = {0, 1, 2, 0, 1, 1}, partner[ROWS - 2] = {0, 0, -1, 2};
    const int64_t *partners[] = {partner, partner};
    const real w[CLASSES] = {0.5, 2, 1}, lambda[ROWS - 2] = {(real)0.3, 1, (real)0.5, (real)0.9};
    const losses_task tasks[] = {{.weight = 1, .smoothing = (real)0.1, .class_weight = w, .target = a}, {.weight = 0, .target = a}};
    losses_options o = {.plain = 2, .mixed = 4, .task = tasks, .partner = partners, .lambda = lambda,
                        .plain_weight = (real)0.25, .mixed_weight = (real)0.75};
    losses_parts parts;
    (void)losses_build(f.tape, f.net, &f.out, &o, &parts);
    spoor_error err;
    support_ok(tape_status(f.tape, &err), &err);
    double first = (smooth(f.logits[0][0], 0, w, 0.1) + smooth(f.logits[0][1], 1, w, 0.1)) / 2.5, sum = 0, weight = 0;
    for (int i = 0; i < 4; i++) {
        const real *x = f.logits[0][2 + i];
        double l = (double)lambda[i], s = 0;
        if (partner[i] < 0) {
            continue;
        }
        for (int c = 0; c < CLASSES; c++) {
            s += (double)w[c] * nll(x, c);
        }
        sum += 0.9 * (l * (double)w[a[2 + i]] * nll(x, a[2 + i]) + (1 - l) * (double)w[partner[i]] * nll(x, partner[i])) +
               0.1 / CLASSES * s;
        weight += l * (double)w[a[2 + i]] + (1 - l) * (double)w[partner[i]];
    }
    support_close((double)parts.task[0], 0.25 * first + 0.75 * sum / weight, 1e-6, "mixed");
    close_fixture(&f);
}

static void pairs(void **state) {
    (void)state;
    for (int normalise = 0; normalise < 2; normalise++) {
        fixture f = {0};
        open_fixture(&f);
        const int64_t a[ROWS] = {0, 1, 0, 1, 2, 2};
        const losses_task tasks[] = {{.weight = 0, .target = a}, {.weight = 0, .target = a}};
        losses_options o = {.plain = ROWS, .task = tasks, .plain_weight = 1, .pairs = 2, .pair_weight = 3,
                            .pair_l2 = (real)0.1, .pair_normalise = normalise != 0, .pair_scale = 4};
        losses_parts parts;
        (void)losses_build(f.tape, f.net, &f.out, &o, &parts);
        double e[4][4], want = 0;
        for (int i = 0; i < 4; i++) {
            double norm = 0;
            for (int k = 0; k < 4; k++) {
                norm += (double)(f.embedding[i][k] * f.embedding[i][k]);
            }
            for (int k = 0; k < 4; k++) {
                e[i][k] = (double)f.embedding[i][k] * (normalise ? 2 / sqrt(norm) : 1);
            }
        }
        for (int i = 0; i < 2; i++) {
            double right = 0, wrong = 0, length = 0;
            for (int k = 0; k < 4; k++) {
                right += e[i][k] * e[2 + i][k];
                wrong += e[i][k] * e[3 - i][k];
                length += e[i][k] * e[i][k] + e[2 + i][k] * e[2 + i][k];
            }
            want += (log(1 + exp(wrong - right)) + 0.1 * length / 2) / 2;
        }
        support_close((double)parts.pair, want, 1e-5, "pairs");
        support_close((double)parts.total, 3 * want, 1e-5, "total");
        close_fixture(&f);
    }
}

/* One-Class Softmax of two plain rows and four mixed, class weights, one row without a label; beside it cross-entropy, or
 * not. */
static void one_class(void **state) {
    (void)state;
    for (int linear = 0; linear < 2; linear++) {
        fixture f = {0};
        open_fixture(&f);
        real cosine[ROWS];
        for (int i = 0; i < ROWS; i++) {
            cosine[i] = (real)tanh((double)f.logits[1][i][0]);
        }
        f.out.cosine[0] = tape_view(f.tape, 2, (int64_t[]){ROWS, 1}, cosine);
        f.out.linear[0] = linear ? f.out.logits[0] : NULL;
        const int64_t a[ROWS] = {1, 0, 0, 1, 1, 0}, partner[ROWS - 2] = {1, 1, -1, 0}, none[ROWS] = {-1, -1, -1, -1, -1, -1};
        const int64_t *partners[] = {partner, partner};
        const real w[CLASSES] = {3, (real)0.5, 1}, lambda[ROWS - 2] = {(real)0.3, 1, (real)0.5, (real)0.9};
        const losses_task tasks[] = {{2, 0, w, a, 4, {(real)0.8, (real)0.1, 5}, 1}, {.weight = 0, .target = none}};
        losses_options o = {.plain = 2, .mixed = 4, .task = tasks, .partner = partners, .lambda = lambda,
                            .plain_weight = (real)0.25, .mixed_weight = (real)0.75};
        losses_parts parts;
        (void)losses_build(f.tape, f.net, &f.out, &o, &parts);
        spoor_error err;
        support_ok(tape_status(f.tape, &err), &err);
        double oc[2] = {0, 0}, weight[2] = {0, 0}, ce = 0;
        for (int i = 0; i < ROWS; i++) {
            int64_t b = i < 2 ? a[i] : partner[i - 2];
            double l = i < 2 ? 1 : (double)lambda[i - 2], c = (double)cosine[i];
            const double each[2] = {log(1 + exp(5 * (c - 0.1))), log(1 + exp(5 * (0.8 - c)))}; /* class 1 is human */
            if (b >= 0) {
                oc[i >= 2] += l * (double)w[a[i]] * each[a[i]] + (1 - l) * (double)w[b] * each[b];
                weight[i >= 2] += l * (double)w[a[i]] + (1 - l) * (double)w[b];
                ce += linear ? (i < 2 ? 0.25 / 3.5 : 0) * (double)w[a[i]] * nll(f.logits[0][i], a[i]) : 0;
            }
        }
        double want = 0.25 * oc[0] / weight[0] + 0.75 * oc[1] / weight[1], sum = 0;
        for (int i = 0; linear && i < 4; i++) {
            double l = (double)lambda[i];
            sum += partner[i] < 0 ? 0
                                  : l * (double)w[a[2 + i]] * nll(f.logits[0][2 + i], a[2 + i]) +
                                        (1 - l) * (double)w[partner[i]] * nll(f.logits[0][2 + i], partner[i]);
        }
        ce += 0.75 * sum / weight[1];
        support_close((double)parts.oc, want, 1e-5, "one class");
        support_close((double)parts.task[0], 4 * want + ce, 1e-5, "with cross-entropy");
        support_close((double)parts.total, 2 * (4 * want + ce), 1e-5, "total");
        close_fixture(&f);
    }
}

/* Further blocks: the mean over all of them; a block is the same wherever it stands. */
static void blocks(void **state) {
    (void)state;
    const int64_t a[ROWS] = {0, 1, 0, 1, 2, 2};
    const losses_task tasks[] = {{.target = a}, {.target = a}};
    const losses_block two[] = {{0, 2}, {2, 2}}, behind[] = {{2, 2}};
    real value[3];
    for (int k = 0; k < 3; k++) {
        fixture f = {0};
        open_fixture(&f);
        losses_options o = {.plain = ROWS, .task = tasks, .plain_weight = 1, .pairs = k == 0 ? 2 : 0, .pair_weight = 1,
                            .pair_l2 = (real)0.1, .n_blocks = k, .block = k == 2 ? two : behind};
        losses_parts parts;
        (void)losses_build(f.tape, f.net, &f.out, &o, &parts);
        spoor_error err;
        support_ok(tape_status(f.tape, &err), &err);
        value[k] = parts.pair;
        close_fixture(&f);
    }
    assert_true(value[0] != value[1]);
    support_close((double)value[2], ((double)value[0] + (double)value[1]) / 2, 1e-6, "mean of two blocks");
    fixture f = {0};
    open_fixture(&f);
    losses_options o = {.plain = ROWS, .task = tasks, .plain_weight = 1, .pairs = 2, .pair_weight = 1, .pair_l2 = (real)0.1,
                        .n_blocks = 1, .block = behind};
    losses_parts parts;
    tensor *loss = losses_build(f.tape, f.net, &f.out, &o, &parts);
    spoor_error err;
    support_close((double)parts.pair, (double)value[2], 1e-6, "pairs of classes and a block");
    support_ok(tape_backward(f.tape, loss, &err), &err);
    for (int i = 0; i < ROWS * 4; i++) {
        assert_true(f.out.embedding->grad[i] != 0);
    }
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(plain), cmocka_unit_test(mixed), cmocka_unit_test(pairs),
                                       cmocka_unit_test(one_class), cmocka_unit_test(blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
