/* bench_finetune.c: time and memory of fine-tuning XLS-R 300M (random weights): forward, backward and Adam of clips of 4 s,
 * with a linear classifier on the mean of the last hidden state. Usage: bench_finetune [THREADS [STEPS [BATCH...]]]
 * One line for each batch size (1 and 2), with and without activation checkpointing, convolutions frozen or trained, each in a
 * process of its own: processor time of forward and backward for a clip, of Adam for a step, the least of STEPS steps. Takes
 * up to 10 GB of memory. */
#define _GNU_SOURCE
#include "frontend/encoder.h"
#include "nn/layers.h"
#include "train/optimiser.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LAST = 24, SAMPLES = 64000, CLASSES = 10, MAX_BATCH = 64 };

static const encoder_sizes XLSR_300M = {
    .kind = ENCODER_WAV2VEC2, .width = 1024, .layers = LAST, .heads = 16, .ff = 4096, .n_convs = 7,
    .conv_dim = {512, 512, 512, 512, 512, 512, 512}, .conv_kernel = {10, 3, 3, 3, 3, 2, 2},
    .conv_stride = {5, 2, 2, 2, 2, 2, 2}, .conv_bias = true, .conv_layer_norm = true, .pre_norm = true, .pos_kernel = 128,
    .pos_groups = 16, .eps = 1e-5};

typedef struct setting {
    int batch;
    bool checkpoint, convs;
    unsigned threads;
    int steps;
} setting;

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(spoor_status status, const spoor_error *err) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "%s\n", err->message);
        exit((int)status);
    }
}

static void measure(spoor_context *ctx, encoder *e, const setting *s) {
    spoor_error err = {0};
    params *own, *all, *p = encoder_params(e);
    nn_linear head;
    compute *c;
    tape *t;
    optimiser *o;
    for (size_t i = 0; i < params_count(p); i++) {
        if (!s->convs && params_under(params_at(p, i)->name, "feature_extractor")) {
            params_fix(params_at(p, i));
        }
    }
    check(params_new(ctx, 1, &own, &err), &err);
    check(nn_linear_init(&head, own, "head", XLSR_300M.width, CLASSES, true, &err), &err);
    check(params_new(ctx, 1, &all, &err), &err);
    check(params_adopt(all, own, &err), &err);
    check(params_adopt(all, p, &err), &err);
    check(compute_new(ctx, s->threads, &c, &err), &err);
    check(tape_new(ctx, c, &t, &err), &err);
    optimiser_options options = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    check(optimiser_new(ctx, all, &options, &o, &err), &err);
    float *wave = calloc((size_t)s->batch * SAMPLES, sizeof *wave);
    int64_t target[MAX_BATCH];
    rng r = rng_make(1, 2);
    for (int64_t i = 0; i < (int64_t)s->batch * SAMPLES; i++) {
        wave[i] = (float)rng_normal(&r);
    }
    for (int i = 0; i < s->batch; i++) {
        target[i] = i % CLASSES;
    }
    encoder_training training = {.checkpoint = s->checkpoint};
    double best[4] = {1e9, 1e9, 1e9, 1e9}, wall = 1e9; /* processor time: forward, backward, step, all */
    for (int step = 0; step < s->steps; step++) {
        double before = seconds(CLOCK_MONOTONIC), at[4];
        tensor *hidden[LAST + 1];
        at[0] = seconds(CLOCK_PROCESS_CPUTIME_ID);
        tape_begin(t, true, true, (uint64_t)step);
        encoder_forward(e, t, tape_view(t, 2, (int64_t[]){s->batch, SAMPLES}, wave), LAST, &training, hidden);
        tensor *x = nn_linear_forward(&head, t, op_mean_pool(t, hidden[LAST]), OP_ACT_NONE);
        tensor *loss = op_cross_entropy(t, x, target, NULL, 0);
        check(tape_status(t, &err), &err);
        at[1] = seconds(CLOCK_PROCESS_CPUTIME_ID);
        params_zero_grad(all);
        check(tape_backward(t, loss, &err), &err);
        at[2] = seconds(CLOCK_PROCESS_CPUTIME_ID);
        double norm;
        check(optimiser_step(o, c, 1e-6, &norm, &err), &err);
        at[3] = seconds(CLOCK_PROCESS_CPUTIME_ID);
        for (int k = 0; k < 4; k++) {
            double took = k < 3 ? at[k + 1] - at[k] : at[3] - at[0];
            best[k] = took < best[k] ? took : best[k];
        }
        double took = seconds(CLOCK_MONOTONIC) - before;
        wall = took < wall ? took : wall;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("batch %d  checkpointing %-3s  convolutions %-7s  forward %5.2f  backward %5.2f  Adam %5.2f  a clip %5.2f s of CPU "
           "(%.2f s of wall clock)  activations %5.2f GB  memory %5.2f GB\n",
           s->batch, s->checkpoint ? "yes" : "no", s->convs ? "trained" : "frozen", best[0] / s->batch, best[1] / s->batch,
           best[2], best[3] / s->batch, wall / s->batch, (double)tape_bytes(t) / 1e9, (double)usage.ru_maxrss * 1024 / 1e9);
    free(wave);
}

int main(int argc, char **argv) {
    spoor_context *ctx = NULL;
    spoor_error err = {0};
    encoder *e;
    unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    int steps = argc > 2 ? atoi(argv[2]) : 2, sizes[8] = {1, 2}, n = 2;
    for (int i = 3; i < argc && i < 11; i++) {
        sizes[i - 3] = atoi(argv[i]) < 1 ? 1 : atoi(argv[i]) > MAX_BATCH ? MAX_BATCH : atoi(argv[i]);
        n = i - 2;
    }
    check(spoor_context_new(NULL, &ctx, &err), &err);
    check(encoder_new(ctx, &XLSR_300M, LAST, "", true, 1, &e, &err), &err);
    printf("%lld million weights, %u threads, clips of %d samples, float32\n",
           (long long)params_numel(encoder_params(e)) / 1000000, threads, SAMPLES);
    for (int i = 0; i < 4 * n; i++) {
        setting s = {sizes[i / 4], i % 2 == 1, i / 2 % 2 == 1, threads, steps};
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            measure(ctx, e, &s);
            fflush(stdout);
            _exit(0);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            fprintf(stderr, "a measurement failed\n");
            return 1;
        }
    }
    encoder_free(e);
    spoor_context_free(ctx);
    return 0;
}
