/* bench_aasist.c: milliseconds per clip of W2VAASIST's forward and forward + backward pass, one thread, in thread CPU
 * time. Usage: bench_aasist FEATURES FRAMES BATCH REPEATS [forward] Prints: ms per clip (median of REPEATS steps),
 * GFLOP per clip, GFLOP/s. The peer is bench/peer_aasist.py. */
#include "base/rng.h"
#include "net/net.h"
#include "tensor/ops.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct sizes {
    long features, frames, batch, repeats;
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

/* Multiply-adds of one clip's forward pass, times two; the default sizes of the network. */
static double flops(const sizes *s) {
    static const double channels[] = {1, 32, 32, 64, 64, 64, 64};
    double t = (double)s->frames / 3, f = 128.0 / 3, sum = (double)s->frames * (double)s->features * 128;
    for (int i = 0; i < 6; i++) {
        double in = channels[i], out = channels[i + 1];
        sum += 6 * t * (f + 1) * in * out + 6 * t * f * out * out + (in == out ? 0 : 3 * t * f * in * out);
    }
    sum += 2 * t * f * 64 * 128;          /* attention over the map */
    sum += 64 * 64 * (t * t + f * f) / 2; /* pairs of nodes; what follows is small */
    return 2 * sum;
}

static void prepare(bench *b, const sizes *s) {
    spoor_error err = {0};
    json_t *config = json_pack("{s:s}", "kind", "aasist");
    net_task task = {(char *)"source", 24};
    check(spoor_context_new(NULL, &b->ctx, &err), &err);
    check(compute_new(b->ctx, 1, &b->compute, &err), &err);
    check(tape_new(b->ctx, b->compute, &b->tape, &err), &err);
    check(net_new(b->ctx, config, s->features, &task, 1, 1, &b->net, &err), &err);
    json_decref(config);
    long n = s->batch * s->frames * s->features;
    b->x = malloc((size_t)n * sizeof *b->x);
    b->target = malloc((size_t)s->batch * sizeof *b->target);
    rng r = rng_make(1, 1);
    for (long i = 0; i < n; i++) {
        b->x[i] = (float)rng_normal(&r);
    }
    for (long i = 0; i < s->batch; i++) {
        b->target[i] = (int64_t)rng_below(&r, 24);
    }
}

static double step(bench *b, const sizes *s, uint64_t seed) {
    spoor_error err = {0};
    double start = cpu_seconds();
    tape_begin(b->tape, !s->forward_only, !s->forward_only, seed);
    net_output out;
    net_forward(b->net, b->tape, tape_view(b->tape, 3, (int64_t[]){s->batch, s->frames, s->features}, b->x), &out);
    if (!s->forward_only) {
        params_zero_grad(net_params(b->net));
        check(tape_backward(b->tape, op_cross_entropy(b->tape, out.logits[0], b->target, NULL, 0), &err), &err);
    }
    check(tape_status(b->tape, &err), &err);
    return cpu_seconds() - start;
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: bench_aasist FEATURES FRAMES BATCH REPEATS [forward]\n");
        return 1;
    }
    sizes s = {atol(argv[1]), atol(argv[2]), atol(argv[3]), atol(argv[4]), argc > 5 && strcmp(argv[5], "forward") == 0};
    if (s.features < 1 || s.frames < 1 || s.batch < 1 || s.repeats < 1) {
        fprintf(stderr, "bench_aasist: every number must be at least 1\n");
        return 1;
    }
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
    printf("spoor W2VAASIST, %ld features x %ld frames, batch %ld, %s: %.2f ms/clip, %.2f GFLOP, %.0f GFLOP/s (arena "
           "%.0f MB, "
           "kernels %s)\n",
           s.features, s.frames, s.batch, s.forward_only ? "forward" : "forward+backward", ms, gflop, gflop / ms * 1e3,
           (double)tape_bytes(b.tape) / 1e6, tape_kernels(b.tape)->name);
    free(times);
    free(b.target);
    free(b.x);
    net_free(b.net);
    tape_free(b.tape);
    compute_free(b.compute);
    spoor_context_free(b.ctx);
    return 0;
}
