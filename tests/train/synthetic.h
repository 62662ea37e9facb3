/* synthetic.h: a folder with a tiny task that a network can learn: tones and noise, two classes of each. */
#ifndef TESTS_TRAIN_SYNTHETIC_H
#define TESTS_TRAIN_SYNTHETIC_H
#include "base/io.h"
#include "base/rng.h"
#include "support/support.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SYNTHETIC_CLIPS = 40, SYNTHETIC_SAMPLES = 4000 };

/* 16-bit mono WAV of 16 kHz. */
static inline void synthetic_wav(spoor_context *ctx, const char *path, const int16_t *x, uint32_t n) {
    unsigned char file[44 + 2 * SYNTHETIC_SAMPLES];
    const uint32_t words[] = {36 + 2 * n, 16, 16000, 32000, 2 * n};
    memcpy(file, "RIFF....WAVEfmt ....\1\0\1\0........\2\0\20\0data....", 44);
    const int at[] = {4, 16, 24, 28, 40};
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 4; k++) {
            file[at[i] + k] = (unsigned char)(words[i] >> (8 * k));
        }
    }
    memcpy(file + 44, x, 2 * (size_t)n);
    spoor_error err;
    support_ok(io_write_file(ctx, path, file, 44 + 2 * (size_t)n, &err), &err);
}

/* FOLDER/c0.wav .. and FOLDER/m.csv with path, split, label, source, page. Every fourth clip is for dev. */
static inline void synthetic_make(const char *where) {
    static const char *const SOURCES[] = {"low", "high", "white", "bonafide"};
    spoor_context *ctx = support_context();
    char csv[8192], path[512];
    size_t at = (size_t)snprintf(csv, sizeof csv, "path,split,label,source,page\n");
    for (int i = 0; i < SYNTHETIC_CLIPS; i++) {
        int kind = i % 4;
        rng r = rng_make(77, (uint64_t)i);
        int16_t x[SYNTHETIC_SAMPLES];
        double tone = (kind == 0 ? 300 : 3000) * (1 + 0.1 * rng_uniform(&r)), last = 0;
        for (int k = 0; k < SYNTHETIC_SAMPLES; k++) {
            double noise = rng_normal(&r);
            last = kind == 3 ? 0.95 * last + 0.05 * noise : noise; /* the "human" is soft noise */
            double v = kind < 2 ? 0.3 * sin(6.283185307 * tone * k / 16000) + 0.001 * noise : 0.1 * last;
            x[k] = (int16_t)(32767 * fmax(-1, fmin(1, v)));
        }
        snprintf(path, sizeof path, "%s/c%d.wav", where, i);
        synthetic_wav(ctx, path, x, SYNTHETIC_SAMPLES);
        at += (size_t)snprintf(csv + at, sizeof csv - at, "c%d.wav,%s,%s,%s,page%d\n", i, i / 4 % 4 == 3 ? "dev" : "train",
                               kind == 3 ? "bonafide" : "spoof", SOURCES[kind], i / 8);
    }
    snprintf(path, sizeof path, "%s/m.csv", where);
    spoor_error err;
    support_ok(io_write_file(ctx, path, csv, at, &err), &err);
    const char *yaml =
        "name: tiny\nseed: 5\nbatch: 8\n"
        "data:\n  manifests: [{path: m.csv}]\n  crop: 3200\n  tasks:\n    source: {smoothing: 0.05, class_weights: balanced}\n"
        "    bonafide: {column: label, weight: 0.5}\n"
        "frontend: {kind: log-mel, n_mels: 16, n_fft: 1024, win_length: 800, hop_length: 800}\n"
        "network: {kind: conformer, dim: 8, depth: 1, heads: 2, kernel: 3, ff_mult: 1, max_distance: 8, dropout: 0.1,\n"
        "          pooling: stats}\n"
        "augment: [{kind: gain, p: 0.5, db: [-3, 3]}, {kind: noise, p: 0.2, snr: [30, 40]}]\n"
        "spec_augment: {time_masks: 1, time_width: 1}\n"
        "npair: {weight: 0.1, normalise: true}\nsampler: {pairs: 2}\n"
        "optimiser: {lr: 0.02}\nschedule: {epochs: 12, warmup: 1}\n"
        "average: {kind: ema, decay: 0.9}\n"
        "dev: {metrics: [{name: acc, task: source}, {name: auroc, task: bonafide, kind: auroc}, {name: loss, kind: loss}],\n"
        "      select: [acc, auroc]}\n";
    snprintf(path, sizeof path, "%s/r.yaml", where);
    support_ok(io_write_file(ctx, path, yaml, strlen(yaml), &err), &err);
    spoor_context_free(ctx);
}
#endif
