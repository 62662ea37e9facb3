/* bench_resynth.c: what the steps that re-synthesise cost for a clip of 64,600 samples (4.04 s) on one thread: medians of
 * this thread's processor time over CLIPS runs (default 15). Usage: bench_resynth [CLIPS] */
#include "audio/augment/augment.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES = 64600, MOST = 1000 };

static const char *const STEPS[] = {
    "{\"kind\":\"griffin-lim\",\"iterations\":4}", "{\"kind\":\"griffin-lim\",\"iterations\":8}",
    "{\"kind\":\"mel\",\"iterations\":8}", "{\"kind\":\"sinusoids\"}", "{\"kind\":\"lpc\"}",
    "{\"kind\":\"lpc\",\"excitation\":\"noise\"}", "{\"kind\":\"channel-vocoder\"}",
    "{\"kind\":\"codec\",\"codecs\":\"vorbis\"}", "{\"kind\":\"codec\",\"codecs\":\"mp3\"}",
    "{\"kind\":\"codec\",\"codecs\":\"opus\"}", "{\"kind\":\"codec\",\"codecs\":\"adpcm\"}",
    "{\"kind\":\"codec\",\"codecs\":\"gsm\"}", "{\"kind\":\"codec\",\"codecs\":\"g721\"}",
};

static void check(spoor_status status, const spoor_error *err) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "%s\n", err->message);
        exit((int)status);
    }
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A glottal buzz of gliding pitch with syllables: voiced and loud enough that every step works. */
static void make_clip(float *x) {
    rng r = rng_make(1, 1);
    double phase = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double t = i / 16000.0;
        phase += (120 + 30 * sin(2.1 * t)) / 16000;
        phase -= floor(phase);
        x[i] = (float)((0.3 * phase - 0.15) * (0.5 - 0.5 * cos(20 * t)) + 0.003 * rng_normal(&r));
    }
}

int main(int argc, char **argv) {
    static float clip[SAMPLES], x[SAMPLES];
    int runs = argc > 1 ? atoi(argv[1]) : 15;
    runs = runs < 1 ? 1 : runs > MOST ? MOST : runs;
    spoor_context *ctx;
    spoor_error err = {0};
    check(spoor_context_new(NULL, &ctx, &err), &err);
    make_clip(clip);
    for (size_t k = 0; k < sizeof STEPS / sizeof *STEPS; k++) {
        json_t *steps = json_pack("[o]", json_loads(STEPS[k], 0, NULL));
        augment *a;
        augment_scratch *s;
        double time[MOST];
        check(augment_new(ctx, steps, &a, &err), &err);
        check(augment_scratch_new(a, &s, &err), &err);
        for (int i = -1; i < runs; i++) { /* the first makes tables and buffers */
            rng r = rng_make(7, (uint64_t)(i + 1));
            memcpy(x, clip, sizeof x);
            double began = seconds();
            check(augment_apply(a, s, NULL, &r, x, SAMPLES, &err), &err);
            time[i < 0 ? 0 : i] = seconds() - began;
        }
        qsort(time, (size_t)runs, sizeof *time, ascending);
        printf("%-40s %7.2f ms\n", STEPS[k], 1e3 * time[runs / 2]);
        augment_scratch_free(s);
        augment_free(a);
        json_decref(steps);
    }
    spoor_context_free(ctx);
    return 0;
}
