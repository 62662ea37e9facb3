/* Gradients of the loss of a network with a back end for each task, whose weights are learned along (double build): of the weights,
 * by differences and by hand, and of parameters on both sides of the point where the back ends part. */
#include "support/support.h"
#include "train/losses.h"
#include <math.h>
#include <string.h>

enum { CLIPS = 5, FRAMES = 8, WIDTH = 4, TASKS = 3 };

typedef struct fixture {
    spoor_context *ctx;
    compute *compute;
    tape *tape;
    net *net;
    params *own;
    tensor *learned;
    real x[CLIPS * FRAMES * WIDTH];
    losses_parts parts;
} fixture;

static const net_task NAMES[TASKS] = {{(char *)(uintptr_t) "bonafide", 2}, {(char *)(uintptr_t) "vq", 4}, {(char *)(uintptr_t) "dec", 3}};
static const int64_t TARGETS[TASKS][CLIPS] = {{0, 1, 1, 0, 1}, {3, 0, -1, 3, 2}, {2, 0, 1, -1, 1}};
static const real CLASSES[TASKS][4] = {{0.9, 0.1}, {0.3, 0.3, 0.3, 0.1}, {0.45, 0.45, 0.1}};

static void open_fixture(fixture *f) {
    spoor_error err;
    memset(f, 0, sizeof *f);
    f->ctx = support_context();
    support_ok(compute_new(f->ctx, 1, &f->compute, &err), &err);
    support_ok(tape_new(f->ctx, f->compute, &f->tape, &err), &err);
    json_t *config = json_pack("{s:s, s:s, s:[i,i], s:[i,i], s:i, s:i, s:f, s:f, s:f, s:f}", "kind", "aasist", "backends", "task",
                               "channels", 2, 3, "graph", 4, 3, "attention", 3, "project", 6, "dropout", 0.0, "way_dropout", 0.0,
                               "graph_dropout", 0.0, "pool_dropout", 0.0);
    support_ok(net_new(f->ctx, config, WIDTH, NAMES, TASKS, 2, &f->net, &err), &err);
    json_decref(config);
    support_ok(params_new(f->ctx, 0, &f->own, &err), &err);
    int64_t n = TASKS;
    support_ok(params_add(f->own, "task_weights", 1, &n, PARAM_ZEROS, 0, true, false, &f->learned, &err), &err);
    rng r = rng_make(5, 6);
    for (int i = 0; i < CLIPS * FRAMES * WIDTH; i++) {
        f->x[i] = rng_normal(&r);
    }
    memcpy(f->learned->data, (real[]){0.3, -0.2, 0.7}, TASKS * sizeof(real));
}

static void close_fixture(fixture *f) {
    net_free(f->net);
    params_free(f->own);
    tape_free(f->tape);
    compute_free(f->compute);
    spoor_context_free(f->ctx);
}

/* Running statistics stay as they are in evaluation mode, so that the loss is a function of the parameters alone. */
static tensor *loss(fixture *f, bool record) {
    losses_task tasks[TASKS];
    for (int k = 0; k < TASKS; k++) {
        tasks[k] = (losses_task){.weight = 100, .class_weight = CLASSES[k], .target = TARGETS[k]};
    }
    losses_options o = {.plain = CLIPS, .task = tasks, .plain_weight = 1, .learned = f->learned};
    net_output out;
    tape_begin(f->tape, record, false, 1);
    net_forward(f->net, f->tape, tape_view(f->tape, 3, (int64_t[]){CLIPS, FRAMES, WIDTH}, f->x), &out);
    tensor *total = losses_build(f->tape, f->net, &out, &o, &f->parts);
    spoor_error err;
    support_ok(tape_status(f->tape, &err), &err);
    return total;
}

static double difference(fixture *f, real *at) {
    const real before = *at, h = 1e-5;
    double value[4];
    static const double steps[] = {-2, -1, 1, 2};
    for (int i = 0; i < 4; i++) {
        *at = before + steps[i] * h;
        value[i] = loss(f, false)->data[0];
    }
    *at = before;
    return (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * h);
}

static void gradients(void **state) {
    (void)state;
    fixture f;
    spoor_error err;
    open_fixture(&f);
    tensor *total = loss(&f, true);
    double share[TASKS], sum = 0, mean = 0;
    for (int k = 0; k < TASKS; k++) {
        share[k] = exp(f.learned->data[k]);
        sum += share[k];
    }
    for (int k = 0; k < TASKS; k++) {
        share[k] /= sum;
        mean += share[k] * f.parts.task[k]; /* parts are what the tasks lose, before any weight */
        assert_true(f.parts.task[k] > 0.1);
    }
    support_close(total->data[0], mean, 1e-12, "the loss by softmaxed weights");
    params_zero_grad(net_params(f.net));
    params_zero_grad(f.own);
    support_ok(tape_backward(f.tape, total, &err), &err);
    losses_parts parts = f.parts;
    for (int k = 0; k < TASKS; k++) {
        double want = share[k] * (parts.task[k] - mean), got = f.learned->grad[k];
        support_close(got, want, 1e-12, "gradient of a task's weight");
        support_close(difference(&f, &f.learned->data[k]), want, 1e-8, "difference of a task's weight");
    }
    static const char *const names[] = {"project.weight", "blocks.1.conv2.weight", "map_attention.in.weight", "backends.bonafide.positions",
                                        "backends.vq.branches.1.layer1.master.aggregate.weight", "backends.dec.temporal.aggregate.weight",
                                        "heads.vq.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tensor *x = &params_find(net_params(f.net), names[i])->value;
        double most = 0;
        for (int64_t k = 0; k < tensor_count(x); k += 1 + tensor_count(x) / 6) {
            support_close(difference(&f, &x->data[k]), x->grad[k], 1e-7, names[i]);
            most = fmax(most, fabs(x->grad[k]));
        }
        assert_true(most > 1e-6);
    }
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
