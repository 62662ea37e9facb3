/* bench_conformer.c: milliseconds per clip of a Conformer's forward and forward + backward pass, one thread.
 * Usage: bench_conformer DIM DEPTH CONV_MULT FRAMES BATCH REPEATS [forward]
 * Prints: name, ms per clip (median), GFLOP per clip, GFLOP/s. */
#include "base/rng.h"
#include "net/net.h"
#include "tensor/ops.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BANDS = 80 };

typedef struct sizes {
    long dim, depth, mult, frames, batch, repeats;
    int forward_only;
} sizes;

typedef struct bench {
    spoor_context *ctx;
    compute *compute;
    tape *tape;
    net *net;
    float *x;
    int64_t *target;
} bench;

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void check(spoor_status status, const spoor_error *err) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "%s\n", err->message);
        exit((int)status);
    }
}

/* Multiply-adds of one clip's forward pass, times two. */
static double flops(const sizes *s) {
    double d = (double)s->dim, t = (double)s->frames, m = (double)s->mult;
    double per_frame = 2 * 8 * d * d + 4 * d * d + 3 * m * d * d + 31 * m * d; /* two FF, attention, conv module */
    double attention = t * t * d * 2 + t * (2 * t - 1) * d;                    /* QK, PV and relative positions */
    return 2 * ((double)s->depth * (t * per_frame + attention) + t * BANDS * d);
}

static void prepare(bench *b, const sizes *s) {
    spoor_error err = {0};
    json_t *config = json_pack("{s:I, s:I, s:I, s:I, s:s}", "dim", (json_int_t)s->dim, "depth", (json_int_t)s->depth,
                               "conv_mult", (json_int_t)s->mult, "kernel", (json_int_t)31, "pooling", "stats");
    net_task task = {(char *)"source", 66};
    check(spoor_context_new(NULL, &b->ctx, &err), &err);
    check(compute_new(b->ctx, 1, &b->compute, &err), &err);
    check(tape_new(b->ctx, b->compute, &b->tape, &err), &err);
    check(net_new(b->ctx, config, BANDS, &task, 1, 1, &b->net, &err), &err);
    json_decref(config);
    b->x = malloc((size_t)(s->batch * s->frames * BANDS) * sizeof *b->x);
    b->target = malloc((size_t)s->batch * sizeof *b->target);
    rng r = rng_make(1, 1);
    for (long i = 0; i < s->batch * s->frames * BANDS; i++) {
        b->x[i] = (float)rng_normal(&r);
    }
    for (long i = 0; i < s->batch; i++) {
        b->target[i] = (int64_t)rng_below(&r, 66);
    }
}

static double step(bench *b, const sizes *s, uint64_t seed) {
    spoor_error err = {0};
    double start = cpu_seconds();
    tape_begin(b->tape, !s->forward_only, !s->forward_only, seed);
    net_output out;
    net_forward(b->net, b->tape, tape_view(b->tape, 3, (int64_t[]){s->batch, s->frames, BANDS}, b->x), &out);
    if (!s->forward_only) {
        params_zero_grad(net_params(b->net));
        check(tape_backward(b->tape, op_cross_entropy(b->tape, out.logits[0], b->target, NULL, 0), &err), &err);
    }
    check(tape_status(b->tape, &err), &err);
    return cpu_seconds() - start;
}

int main(int argc, char **argv) {
    if (argc < 7) {
        fprintf(stderr, "usage: bench_conformer DIM DEPTH CONV_MULT FRAMES BATCH REPEATS [forward]\n");
        return 1;
    }
    sizes s = {atol(argv[1]), atol(argv[2]), atol(argv[3]), atol(argv[4]), atol(argv[5]), atol(argv[6]),
               argc > 7 && strcmp(argv[7], "forward") == 0};
    bench b = {0};
    prepare(&b, &s);
    double *times = calloc((size_t)s.repeats, sizeof *times);
    for (long k = -2; k < s.repeats; k++) {
        double t = step(&b, &s, (uint64_t)(k + 2));
        if (k >= 0) {
            times[k] = t;
        }
    }
    qsort(times, (size_t)s.repeats, sizeof *times, ascending);
    double ms = 1e3 * times[s.repeats / 2] / (double)s.batch, gflop = flops(&s) * (s.forward_only ? 1 : 3) / 1e9;
    printf("spoor conformer d%ld x %ld, conv x%ld, %ld frames, batch %ld, %s: %.2f ms/clip, %.2f GFLOP, %.0f GFLOP/s "
           "(arena %.0f MB, kernels %s)\n",
           s.dim, s.depth, s.mult, s.frames, s.batch, s.forward_only ? "forward" : "forward+backward", ms, gflop,
           gflop / ms * 1e3, (double)tape_bytes(b.tape) / 1e6, tape_kernels(b.tape)->name);
    free(times);
    free(b.target);
    free(b.x);
    net_free(b.net);
    tape_free(b.tape);
    compute_free(b.compute);
    spoor_context_free(b.ctx);
    return 0;
}
