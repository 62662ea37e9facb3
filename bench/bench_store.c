/* bench_store.c: speed of stored features. Usage: bench_store FOLDER MEGABYTES
 * Writes a store of so many megabytes into FOLDER (removed again), then measures on one thread: hashes, writing,
 * checking all entries (what training does before it starts) and reading random stretches as training does; first with
 * the files out of the page cache, then from it. Rates are of bytes on disk. */
#define _GNU_SOURCE
#include "base/io.h"
#include "base/rng.h"
#include "frontend/store_format.h"
#include <fcntl.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DIM = 1024, FRAMES = 200, STRETCH = 125 }; /* 4 s and 2.5 s of a large encoder's features at 50 a second */

static spoor_context *ctx;
static frontend *fe;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(spoor_status status, const spoor_error *err) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "%s\n", err->message);
        exit((int)status);
    }
}

static store *open_store(const char *folder, bool half, bool writable) {
    store *s;
    spoor_error err;
    check(store_open(ctx, folder, fe, &(store_options){.writable = writable, .half = half}, &s, &err), &err);
    return s;
}

static store_key key_of(const store *s, uint64_t clip) {
    char hex[65];
    store_key key;
    snprintf(hex, sizeof hex, "%064llx", (unsigned long long)clip);
    store_key_make(s, hex, NULL, &key);
    return key;
}

static void forget(const char *folder) { /* the page cache's copies */
    for (int i = 0; i < 1000; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s/%04d.bin", folder, i);
        int fd = open(path, O_RDONLY);
        if (fd >= 0) {
            (void)fsync(fd);
            (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            (void)close(fd);
        }
    }
}

static double fill(const char *folder, bool half, uint64_t clips) {
    spoor_error err;
    float *rows = malloc(sizeof *rows * DIM * FRAMES);
    rng r = rng_make(1, 0);
    for (size_t i = 0; i < DIM * FRAMES; i++) {
        rows[i] = (float)rng_normal(&r);
    }
    store *s = open_store(folder, half, true);
    double start = seconds();
    for (uint64_t i = 0; i < clips; i++) {
        store_key key = key_of(s, i);
        rows[i % DIM] += 1;
        check(store_add(s, &key, rows, FRAMES, &err), &err);
    }
    check(store_flush(s, &err), &err);
    double took = seconds() - start;
    store_free(s);
    free(rows);
    return took;
}

static double check_all(store *s, uint64_t clips) {
    double start = seconds();
    for (uint64_t i = 0; i < clips; i++) {
        store_key key = key_of(s, i);
        if (store_frames(s, &key) != FRAMES) {
            fprintf(stderr, "an entry is missing\n");
            exit(1);
        }
    }
    return seconds() - start;
}

static double read_stretches(store *s, uint64_t clips, uint64_t n) {
    static float out[DIM * STRETCH];
    spoor_error err;
    rng r = rng_make(2, 0);
    double start = seconds();
    for (uint64_t i = 0; i < n; i++) {
        store_key key = key_of(s, rng_below(&r, clips));
        size_t first = (size_t)rng_below(&r, FRAMES - STRETCH + 1);
        check(store_read(s, &key, first, STRETCH, out, &err), &err);
    }
    return seconds() - start;
}

static void bench(const char *folder, bool half, double megabytes) {
    spoor_error err;
    double row = DIM * (half ? 2.0 : 4.0), clip = 1e-6 * row * FRAMES;
    uint64_t clips = (uint64_t)(megabytes / clip) + 1;
    double wrote = fill(folder, half, clips), mb = clip * (double)clips;
    printf("%s, %.0f MB, %llu clips of %d x %d: written and flushed %.0f MB/s", half ? "float16" : "float32", mb,
           (unsigned long long)clips, FRAMES, DIM, mb / wrote);
    for (int warm = 0; warm < 2; warm++) {
        if (!warm) {
            forget(folder);
        }
        store *s = open_store(folder, half, false);
        double checked = check_all(s, clips);
        if (!warm) { /* what is mapped cannot be forgotten; opened again, the first read of an entry checks it */
            store_free(s);
            forget(folder);
            s = open_store(folder, half, false);
        }
        double stretches = read_stretches(s, clips, clips);
        printf("; %s: checked %.0f MB/s, random stretches %.0f MB/s", warm ? "cached" : "from disk", mb / checked,
               1e-6 * row * STRETCH * (double)clips / stretches);
        store_free(s);
    }
    printf("\n");
    check(store_clear(ctx, folder, &err), &err);
}

static void bench_hashes(void) {
    enum { N = 1 << 22, ROUNDS = 16 };
    unsigned char *x = malloc(N), hash[64];
    memset(x, 7, N);
    uint64_t sum = 0;
    double t[4] = {seconds()};
    for (int i = 0; i < ROUNDS; i++) {
        x[i]++;
        sum += store_hash(x, N);
    }
    t[1] = seconds();
    for (int i = 0; i < ROUNDS; i++) {
        x[i]++;
        (void)crypto_generichash(hash, 32, x, N, NULL, 0);
    }
    t[2] = seconds();
    for (int i = 0; i < ROUNDS; i++) {
        x[i]++;
        (void)crypto_hash_sha256(hash, x, N);
    }
    t[3] = seconds();
    double mb = 1e-6 * N * ROUNDS;
    printf("hashes (%llu): store_hash %.0f MB/s, BLAKE2b %.0f MB/s, SHA-256 %.0f MB/s (libsodium)\n",
           (unsigned long long)(sum & 1), mb / (t[1] - t[0]), mb / (t[2] - t[1]), mb / (t[3] - t[2]));
    free(x);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: bench_store FOLDER MEGABYTES\n");
        return 1;
    }
    spoor_error err;
    check(spoor_context_new(NULL, &ctx, &err), &err);
    json_t *config = json_pack("{s:s, s:i, s:i, s:i}", "kind", "log-mel", "n_mels", 512, "n_fft", 4096, "stack", 2);
    check(frontend_new(ctx, config, &fe, &err), &err); /* any of the right width */
    json_decref(config);
    bench_hashes();
    bench(argv[1], false, atof(argv[2]));
    bench(argv[1], true, atof(argv[2]));
    frontend_free(fe);
    spoor_context_free(ctx);
    return 0;
}
