/* bench_trace.c: speed of tracing with a model, one thread. Usage: bench_trace MODEL LONG.wav SHORT.wav ROUNDS
 * Writes LONG (60 s) and SHORT (1 s) of synthetic voice as 16-bit WAV, then prints how long opening the model takes, the
 * first window, and the share of real time of tracing LONG. */
#include "base/rng.h"
#include "spoor/spoor.h"
#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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

static void write_voice(const char *path, long n) {
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    SNDFILE *f = sf_open(path, SFM_WRITE, &info);
    float *x = malloc((size_t)n * sizeof *x);
    if (f == NULL || x == NULL) {
        fprintf(stderr, "cannot write %s\n", path);
        exit(SPOOR_ERR_IO);
    }
    rng r = rng_make(1, 0);
    double phase = 0;
    for (long i = 0; i < n; i++) {
        phase += 6.283185307 * (120 + 40 * sin((double)i / 9000)) / 16000;
        double v = 0;
        for (int k = 1; k < 30; k++) {
            v += sin(k * phase) / k;
        }
        x[i] = (float)(0.1 * v * (0.6 + 0.4 * sin((double)i / 2500)) + 0.003 * rng_normal(&r));
    }
    sf_write_float(f, x, n);
    sf_close(f);
    free(x);
}

static double trace(spoor_context *ctx, spoor_session *s, const char *path) {
    spoor_error err = {0};
    spoor_audio *audio = NULL;
    spoor_result *result = NULL;
    double start = seconds(CLOCK_THREAD_CPUTIME_ID);
    check(spoor_audio_open(ctx, path, NULL, &audio, &err), &err);
    check(spoor_trace(s, audio, NULL, &result, &err), &err);
    double took = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
    spoor_result_free(result);
    spoor_audio_free(audio);
    return took;
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: bench_trace MODEL LONG.wav SHORT.wav ROUNDS\n");
        return 1;
    }
    write_voice(argv[2], 60L * 16000);
    write_voice(argv[3], 16000);
    spoor_error err = {0};
    spoor_context *ctx = NULL;
    spoor_model *model = NULL;
    spoor_session *session = NULL;
    check(spoor_context_new(NULL, &ctx, &err), &err);
    double start = seconds(CLOCK_MONOTONIC);
    check(spoor_model_open(ctx, argv[1], &model, &err), &err);
    check(spoor_session_new(model, &session, &err), &err);
    double opened = seconds(CLOCK_MONOTONIC) - start, first = trace(ctx, session, argv[3]);
    double best = INFINITY;
    for (int k = 0; k < atoi(argv[4]); k++) {
        best = fmin(best, trace(ctx, session, argv[2]));
    }
    printf("trace, default model, one thread: %.1f ms per 60 s recording = %.2f %% of real time (best of %s); opening the "
           "model %.1f ms, first window %.1f ms\n",
           1e3 * best, 100 * best / 60, argv[4], 1e3 * opened, 1e3 * first);
    spoor_session_free(session);
    spoor_model_free(model);
    spoor_context_free(ctx);
    return 0;
}
