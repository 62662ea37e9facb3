/* bench_frontend.c: the speed of pretrained encoders with random weights. One clip on one thread in three precisions, held
 * against the floor: the operations of the clip's matrix products over what this thread can do at best (ceiling.h). Then
 * two workers, each with its own clip.
 * Usage: bench_frontend [xls-r-300m|wav2vec2-base|whisper-tiny|all] [CLIPS] [SECONDS] [f32|bf16|int8]
 * Times are medians of this thread's processor time, so that they stand still while others use the machine. */
#include "base/rng.h"
#include "ceiling.h"
#include "frontend/encoder.h"
#include <pthread.h>

static const char *const PRECISIONS[] = {"float32", "bfloat16", "int8"};

typedef struct model {
    const char *name;
    encoder_sizes sizes;
} model;

#define CONVS .n_convs = 7, .conv_dim = {512, 512, 512, 512, 512, 512, 512}, .conv_kernel = {10, 3, 3, 3, 3, 2, 2}, \
              .conv_stride = {5, 2, 2, 2, 2, 2, 2}, .pos_kernel = 128, .pos_groups = 16, .eps = 1e-5

static const model MODELS[] = {
    {"xls-r-300m", {.kind = ENCODER_WAV2VEC2, .width = 1024, .layers = 24, .heads = 16, .ff = 4096, CONVS,
                    .conv_bias = true, .conv_layer_norm = true, .pre_norm = true}},
    {"wav2vec2-base", {.kind = ENCODER_WAV2VEC2, .width = 768, .layers = 12, .heads = 12, .ff = 3072, CONVS}},
    {"whisper-tiny", {.kind = ENCODER_WHISPER, .width = 384, .layers = 4, .heads = 6, .ff = 1536, .mels = 80,
                      .positions = 1500, .eps = 1e-5}},
};

static void check(spoor_status status, const spoor_error *err) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "%s\n", err->message);
        exit((int)status);
    }
}

static double wall_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static spoor_status random_weights(void *user, const char *name, int ndim, const int64_t *dim, float *out,
                                   spoor_error *err) {
    (void)err;
    rng *r = user;
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) {
        n *= dim[i];
    }
    double spread = ndim > 1 ? sqrt(3.0 * (double)dim[0] / (double)n) : 0.05;
    bool ones = ndim == 1 && strstr(name, "norm.weight") != NULL;
    for (int64_t i = 0; i < n; i++) {
        out[i] = (float)(ones ? 1 : rng_range(r, -spread, spread));
    }
    return SPOOR_OK;
}

/* Operations of the matrix products of one clip, a multiplication and an addition being two. */
static double operations(const encoder_sizes *s, int64_t in) {
    double sum = 0, channels = s->kind == ENCODER_WHISPER ? (double)s->mels : 1, d = (double)s->width;
    if (s->kind == ENCODER_WHISPER) {
        double frames = (double)encoder_frames(s, in);
        sum = (double)in * 3 * channels * d + frames * 3 * d * d;
    }
    for (int64_t i = 0; i < s->n_convs; i++) {
        encoder_sizes upto = *s;
        upto.n_convs = i + 1;
        sum += (double)encoder_frames(&upto, in) * (double)s->conv_kernel[i] * channels * (double)s->conv_dim[i];
        channels = (double)s->conv_dim[i];
    }
    double t = (double)encoder_frames(s, in);
    if (s->kind != ENCODER_WHISPER) {
        sum += t * channels * d + t * d * (double)s->pos_kernel * d / (double)s->pos_groups;
    }
    return 2 * (sum + (double)s->layers * t * (4 * d * d + 2 * d * (double)s->ff + 2 * t * d));
}

typedef struct worker {
    const encoder *e;
    spoor_context *ctx;
    int64_t in, clips;
    double *times; /* processor seconds of each clip */
    size_t bytes;
    double wall;
    uint64_t sum; /* of the bits of the last hidden state */
} worker;

static void run_clips(worker *w) {
    spoor_error err;
    compute *engine;
    tape *t;
    const encoder_sizes *s = encoder_get_sizes(w->e);
    bool mels = s->kind == ENCODER_WHISPER;
    int64_t n = mels ? w->in * s->mels : w->in, dim[3] = {1, w->in, s->mels};
    float *x = malloc((size_t)n * sizeof *x);
    tensor *hidden[ENCODER_MAX_LAYERS + 1];
    rng r = rng_make(3, 0);
    for (int64_t i = 0; x != NULL && i < n; i++) {
        x[i] = (float)rng_normal(&r);
    }
    check(compute_new(w->ctx, 1, &engine, &err), &err);
    check(tape_new(w->ctx, engine, &t, &err), &err);
    double start = wall_seconds();
    for (int64_t k = -1; k < w->clips; k++) { /* the first makes the primitives */
        if (k == 0) {
            start = wall_seconds();
        }
        double before = cpu_seconds();
        tape_begin(t, false, false, 0);
        encoder_forward(w->e, t, tape_view(t, mels ? 3 : 2, dim, x), s->layers, NULL, hidden);
        check(tape_status(t, &err), &err);
        if (k >= 0) {
            w->times[k] = cpu_seconds() - before;
        }
    }
    w->wall = wall_seconds() - start;
    w->bytes = tape_bytes(t);
    for (int64_t i = 0; i < tensor_count(hidden[s->layers]); i++) {
        uint32_t bits;
        memcpy(&bits, &hidden[s->layers]->data[i], sizeof bits);
        w->sum = w->sum * 31 + bits;
    }
    tape_free(t);
    compute_free(engine);
    free(x);
}

static void *worker_main(void *arg) {
    run_clips(arg);
    return NULL;
}

static int by_size(const void *a, const void *b) {
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double median(double *v, int64_t n) {
    qsort(v, (size_t)n, sizeof *v, by_size);
    return v[n / 2];
}

static void bench(const model *m, compute_precision precision, int64_t clips, double seconds, const double *ceilings) {
    spoor_error err;
    spoor_context *ctx;
    encoder *e;
    check(spoor_context_new(NULL, &ctx, &err), &err);
    check(encoder_new(ctx, &m->sizes, m->sizes.layers, "", false, 0, &e, &err), &err);
    rng r = rng_make(1, 0);
    check(encoder_load_from(e, random_weights, &r, precision, &err), &err);
    worker one = {.e = e, .ctx = ctx, .clips = clips, .times = malloc((size_t)clips * sizeof(double))};
    one.in = (int64_t)(seconds * (m->sizes.kind == ENCODER_WHISPER ? 100 : 16000));
    if (one.times == NULL) {
        exit(SPOOR_ERR_LIMIT);
    }
    run_clips(&one);
    double gop = operations(&m->sizes, one.in) / 1e9, ms = 1e3 * median(one.times, clips);
    printf("%s, %.1f s, %s: median %.1f ms, least %.1f ms (%.1f GOP, %.0f a second", m->name, seconds, PRECISIONS[precision],
           ms, 1e3 * one.times[0], gop, gop / ms * 1e3);
    if (ceilings[precision] > 0) {
        double floor_ms = gop / ceilings[precision] * 1e3;
        printf("; floor %.1f ms, ratio %.3f", floor_ms, ms / floor_ms);
    }
    printf("), weights %.0f MB, working memory %.0f MB\n", (double)params_bytes(encoder_params(e)) / 1e6,
           (double)one.bytes / 1e6);
    worker two[2] = {one, one};
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) {
        two[i].sum = 0;
        two[i].times = malloc((size_t)clips * sizeof(double));
        if (two[i].times == NULL || pthread_create(&thread[i], NULL, worker_main, &two[i]) != 0) {
            exit(SPOOR_ERR_LIMIT);
        }
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
    }
    double wall = two[0].wall > two[1].wall ? two[0].wall : two[1].wall;
    double busy = median(two[0].times, clips) + median(two[1].times, clips);
    printf("  two workers: %.2f clips a second, %.2f times one (by processor time %.2f)%s\n", 2 * (double)clips / wall,
           2 * one.wall / wall, 2e-3 * ms / busy * 2,
           two[0].sum == one.sum && two[1].sum == one.sum ? "" : " - AND OTHER BITS");
    free(two[0].times);
    free(two[1].times);
    free(one.times);
    encoder_free(e);
    spoor_context_free(ctx);
}

int main(int argc, char **argv) {
    const char *which = argc > 1 ? argv[1] : "all";
    int64_t clips = argc > 2 ? atol(argv[2]) : 9;
    double seconds = argc > 3 ? atof(argv[3]) : 4;
    static const char *const short_names[] = {"f32", "bf16", "int8"};
    double ceilings[3];
    for (int p = CEILING_F32; p <= CEILING_INT8; p++) {
        ceilings[p] = ceiling((ceiling_kind)p);
    }
    printf("ceiling, one thread: %.0f GFLOP/s float32, %.0f bfloat16, %.0f GOP/s 8-bit (0 = no such instructions)\n",
           ceilings[0], ceilings[1], ceilings[2]);
    if (clips < 1 || !(seconds > 0.1 && seconds < 1000)) {
        fprintf(stderr, "usage: bench_frontend [MODEL|all] [CLIPS] [SECONDS] [f32|bf16|int8]\n");
        return SPOOR_ERR_USAGE;
    }
    for (size_t i = 0; i < sizeof MODELS / sizeof *MODELS; i++) {
        for (int p = COMPUTE_F32; p <= COMPUTE_INT8; p++) {
            if ((strcmp(which, "all") == 0 || strcmp(which, MODELS[i].name) == 0) &&
                (argc < 5 || strcmp(argv[4], short_names[p]) == 0)) {
                bench(&MODELS[i], (compute_precision)p, clips, seconds, ceilings);
                fflush(stdout);
            }
        }
    }
    return 0;
}
