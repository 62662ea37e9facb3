/* test_store.c: features on disk: they come back bit for bit; whatever happens to the files, an entry is either whole
 * or not there, and what was lost can be made again. */
#define _GNU_SOURCE
#include "base/io.h"
#include "base/rng.h"
#include "frontend/store_internal.h"
#include "support/support.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLIPS = 12, DIM = 10, MOST = 40 /* frames */ };

static spoor_context *ctx;
static _Thread_local spoor_error err; /* threads() reads and adds side by side */
static char *folder, data[300]; /* data: the store's folder */
static frontend *fe;

static frontend *make_frontend(spoor_context *c, const char *text) {
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    frontend *made;
    support_ok(frontend_new(c, json, &made, &err), &err);
    json_decref(json);
    return made;
}

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    folder = support_temporary();
    snprintf(data, sizeof data, "%s/a/features", folder);
    fe = make_frontend(ctx, "{\"kind\": \"log-mel\", \"n_mels\": 10}");
    assert_int_equal(frontend_dim(fe), DIM);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    frontend_free(fe);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
    return 0;
}

/* ---- some clips ---- */

static size_t frames_of(int clip) { return (size_t)(clip * 7 % MOST) + 1; }

/* Values that float16 holds exactly, so that both types must give them back. */
static void rows_of(int clip, float *rows) {
    rng r = rng_make(9, (uint64_t)clip);
    for (size_t i = 0; i < frames_of(clip) * DIM; i++) {
        rows[i] = (float)(int)(rng_below(&r, 2001)) / 16.0f - 60.0f;
    }
}

static store_key key_of(const store *s, int clip) {
    char hex[65], text[32];
    snprintf(text, sizeof text, "recording %d", clip);
    io_sha256(text, strlen(text), hex);
    store_key key;
    store_key_make(s, hex, NULL, &key);
    return key;
}

static store *open_store(bool half, bool writable) {
    store *s;
    support_ok(store_open(ctx, data, fe, &(store_options){.writable = writable, .half = half}, &s, &err), &err);
    return s;
}

static void add(store *s, int clip) {
    float rows[MOST * DIM];
    store_key key = key_of(s, clip);
    rows_of(clip, rows);
    support_ok(store_add(s, &key, rows, frames_of(clip), &err), &err);
}

static void make_store(bool half) {
    store *s = open_store(half, true);
    for (int i = 0; i < CLIPS; i++) {
        add(s, i);
    }
    support_ok(store_flush(s, &err), &err);
    store_free(s);
}

/* Is the clip there? Where it is, its rows must be right. */
static bool has(store *s, int clip) {
    store_key key = key_of(s, clip);
    size_t frames = store_frames(s, &key);
    float want[MOST * DIM], got[MOST * DIM];
    if (frames == 0) {
        assert_int_equal(store_read(s, &key, 0, 1, got, &err), SPOOR_ERR_INPUT);
        assert_non_null(strstr(err.message, "spoor extract"));
        return false;
    }
    assert_int_equal(frames, frames_of(clip));
    rows_of(clip, want);
    support_ok(store_read(s, &key, 0, frames, got, &err), &err);
    assert_memory_equal(got, want, frames * DIM * sizeof *got);
    size_t first = frames / 3, n = (frames - first + 1) / 2;
    support_ok(store_read(s, &key, first, n, got, &err), &err);
    assert_memory_equal(got, want + first * DIM, n * DIM * sizeof *got);
    assert_int_equal(store_read(s, &key, first, frames - first + 1, got, &err), SPOOR_ERR_INPUT);
    return true;
}

static int count(store *s) {
    int n = 0;
    for (int i = 0; i < CLIPS; i++) {
        n += has(s, i);
    }
    return n;
}

static int count_there(void) {
    store *s = open_store(false, false);
    int n = count(s);
    store_free(s);
    return n;
}

/* ---- files ---- */

static const char *file(const char *name) {
    static char paths[4][400];
    static unsigned next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", data, name);
    return p;
}

static unsigned char *load(const char *name, size_t *size) {
    unsigned char *bytes;
    support_ok(io_read_file(ctx, file(name), 1 << 24, &bytes, size, &err), &err);
    return bytes;
}

static void save(const char *name, const void *bytes, size_t size) {
    FILE *f = fopen(file(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static bool same_file(const char *name, const unsigned char *bytes, size_t size) {
    size_t n;
    unsigned char *now = load(name, &n);
    bool same = n == size && memcmp(now, bytes, n) == 0;
    ctx_free(ctx, now);
    return same;
}

/* ---- tests ---- */

static void round_trip(void **state) {
    (void)state;
    for (int half = 0; half < 2; half++) {
        store *s = open_store(half, true);
        for (int i = 0; i < CLIPS; i++) {
            assert_false(has(s, i));
            add(s, i);
            assert_true(has(s, i)); /* at once, from the file that is being written */
        }
        add(s, 3); /* twice is once */
        support_ok(store_flush(s, &err), &err);
        store_totals mine, t;
        store_get_totals(s, &mine);
        store_free(s);
        s = open_store(!half, false); /* a reader takes the type that is there */
        assert_int_equal(store_is_half(s), half);
        assert_int_equal(count(s), CLIPS);
        store_get_totals(s, &t);
        assert_memory_equal(&t, &mine, sizeof t);
        uint64_t frames = 0;
        for (int i = 0; i < CLIPS; i++) {
            frames += frames_of(i);
        }
        assert_int_equal(t.recordings, CLIPS);
        assert_int_equal(t.frames, frames);
        assert_int_equal(t.damaged, 0);
        assert_int_equal(t.bytes, frames * DIM * (half ? 2 : 4) + CLIPS * 64);
        struct stat bin, idx;
        assert_int_equal(stat(file("0000.bin"), &bin) | stat(file("0000.idx"), &idx), 0);
        assert_true((uint64_t)(bin.st_size + idx.st_size) <= store_bytes(DIM, half, CLIPS, frames));
        assert_true((uint64_t)(bin.st_size + idx.st_size) + CLIPS * 64 >= store_bytes(DIM, half, CLIPS, frames));
        store_free(s);
        support_ok(store_clear(ctx, data, &err), &err);
    }
}

/* The bytes on disk are a promise to folders that exist already. (Hashes from an implementation in Python.) */
static void format(void **state) {
    (void)state;
    store *s = open_store(false, true);
    store_key key;
    float rows[2 * DIM];
    for (int i = 0; i < 2 * DIM; i++) {
        rows[i] = (float)i - 7.5f;
    }
    for (size_t i = 0; i < sizeof key.bytes; i++) {
        key.bytes[i] = (unsigned char)i;
    }
    support_ok(store_add(s, &key, rows, 2, &err), &err);
    support_ok(store_flush(s, &err), &err);
    store_free(s);
    char hex[65];
    support_ok(io_sha256_file(file("0000.bin"), hex, &err), &err);
    assert_string_equal(hex, "58b60ef5b86a87568a89d9985404941bca1cd5ebe3dcc12915c0ddb175a9fc2e");
    support_ok(io_sha256_file(file("0000.idx"), hex, &err), &err);
    assert_string_equal(hex, "d963f204146ae80a0266d55322c1f0dbef64955894862629b8b45a092c6c95a2");
}

static void keys(void **state) {
    (void)state;
    store *s = open_store(false, true);
    frontend *other = make_frontend(ctx, "{\"kind\": \"log-mel\", \"n_mels\": 10, \"deltas\": 1}");
    char there[300];
    snprintf(there, sizeof there, "%s/other", folder);
    store *t;
    support_ok(store_open(ctx, there, other, &(store_options){.writable = true}, &t, &err), &err);
    char hex[2][65];
    io_sha256("a", 1, hex[0]);
    io_sha256("b", 1, hex[1]);
    store_key key[7];
    store_copy copy = {.seed = 1, .number = 1};
    json_t *chain = json_loads("[{\"kind\": \"gain\"}]", 0, NULL);
    support_ok(store_chain_hash(chain, copy.chain, &err), &err);
    json_decref(chain);
    store_key_make(s, hex[0], NULL, &key[0]);
    store_key_make(s, hex[1], NULL, &key[1]);
    store_key_make(t, hex[0], NULL, &key[2]);
    store_key_make(s, hex[0], &copy, &key[3]);
    copy.number = 2;
    store_key_make(s, hex[0], &copy, &key[4]);
    copy = (store_copy){.seed = 2, .number = 1};
    memcpy(copy.chain, hex[1], 65);
    store_key_make(s, hex[0], &copy, &key[5]);
    copy.seed = 1;
    store_key_make(s, hex[0], &copy, &key[6]);
    for (int i = 0; i < 7; i++) {
        for (int k = 0; k < i; k++) {
            assert_memory_not_equal(&key[i], &key[k], sizeof *key);
        }
    }
    store_key again;
    store_key_make(s, hex[0], NULL, &again);
    assert_memory_equal(&again, &key[0], sizeof again);
    store_free(s);
    store_free(t);
    frontend_free(other);
}

static void refusals(void **state) {
    (void)state;
    store *s, *second;
    assert_int_equal(store_open(ctx, data, fe, &(store_options){0}, &s, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "index.json"));
    s = open_store(false, true);
    assert_int_equal(store_open(ctx, data, fe, &(store_options){.writable = true}, &second, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "another process"));
    assert_int_equal(store_clear(ctx, data, &err), SPOOR_ERR_USAGE);
    second = open_store(false, false); /* readers may */
    float rows[DIM] = {0};
    store_key key = key_of(s, 0);
    assert_int_equal(store_add(second, &key, rows, 1, &err), SPOOR_ERR_USAGE);
    assert_int_equal(store_add(s, &key, rows, 0, &err), SPOOR_ERR_USAGE);
    rows[3] = NAN;
    assert_int_equal(store_add(s, &key, rows, 1, &err), SPOOR_ERR_INPUT);
    assert_int_equal(store_frames(s, &key), 0);
    store_free(s);
    store_free(second);
    assert_int_equal(store_open(ctx, data, fe, &(store_options){.writable = true, .half = true}, &s, &err),
                     SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "float32 features, not float16; leave out --half"));
    frontend *other = make_frontend(ctx, "{\"kind\": \"log-mel\", \"n_mels\": 10, \"f_min\": 30}");
    assert_int_equal(store_open(ctx, data, other, &(store_options){.writable = true}, &s, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "f_min: 20.0, not 30.0"));
    assert_int_equal(store_open(ctx, data, other, &(store_options){0}, &s, &err), SPOOR_ERR_USAGE);
    support_ok(store_clear(ctx, data, &err), &err);
    support_ok(store_open(ctx, data, other, &(store_options){.writable = true, .half = true}, &s, &err), &err);
    rows[3] = 65520;
    assert_int_equal(store_add(s, &key, rows, 1, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "--half"));
    rows[3] = 65504;
    support_ok(store_add(s, &key, rows, 1, &err), &err);
    store_free(s);
    frontend_free(other);
}

static void indexes(void **state) {
    (void)state;
    make_store(false);
    size_t n;
    unsigned char *text = load("index.json", &n);
    store *s;
    save("index.json", text, n / 2);
    assert_int_equal(store_open(ctx, data, fe, &(store_options){.writable = true}, &s, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "index.json is damaged"));
    char *later = strdup((char *)text), *at = strstr(later, "\"format\": 1");
    assert_non_null(at);
    at[10] = '2';
    save("index.json", later, n);
    assert_int_equal(store_open(ctx, data, fe, &(store_options){0}, &s, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "format 2"));
    free(later);
    save("index.json", text, n);
    assert_int_equal(count_there(), CLIPS);
    ctx_free(ctx, text);
}

/* Killed in the middle: what was flushed is there, the rest is cut off, and in the end the files are those of a run
 * that nobody disturbed. */
static void kills(void **state) {
    (void)state;
    make_store(false);
    size_t n_bin, n_idx;
    unsigned char *bin = load("0000.bin", &n_bin), *idx = load("0000.idx", &n_idx);
    for (int flushed = 0; flushed <= CLIPS; flushed += 3) {
        for (int tail = 0; tail < 3; tail++) {
            support_ok(store_clear(ctx, data, &err), &err);
            store *s = open_store(false, true);
            for (int i = 0; i < flushed; i++) {
                add(s, i);
            }
            support_ok(store_flush(s, &err), &err);
            for (int i = flushed; i < CLIPS; i++) {
                add(s, i); /* never flushed */
            }
            store_free(s);
            if (tail > 0) { /* half a record, or one and a half of noise */
                FILE *f = fopen(file("0000.idx"), "ab");
                assert_non_null(f);
                assert_int_equal(fwrite(bin, 1, tail == 1 ? 32 : 96, f), tail == 1 ? 32 : 96);
                assert_int_equal(fclose(f), 0);
                f = fopen(file("0000.bin"), "ab"); /* rows of which nothing is known, more than there will be */
                assert_non_null(f);
                for (size_t at = 0; at <= n_bin; at += n_idx) {
                    assert_int_equal(fwrite(idx, 1, n_idx, f), n_idx);
                }
                assert_int_equal(fclose(f), 0);
            }
            assert_int_equal(count_there(), flushed);
            s = open_store(false, true);
            store_totals t;
            store_get_totals(s, &t);
            assert_int_equal(t.damaged, tail == 2);
            assert_int_equal(count(s), flushed);
            for (int i = 0; i < CLIPS; i++) {
                add(s, i);
            }
            support_ok(store_flush(s, &err), &err);
            store_free(s);
            assert_true(same_file("0000.bin", bin, n_bin));
            assert_true(same_file("0000.idx", idx, n_idx));
        }
    }
    ctx_free(ctx, bin);
    ctx_free(ctx, idx);
}

/* A flipped bit takes away the entry that it hit and no other; made again, everything is there, also after the next
 * opening. */
static void flips(void **state) {
    (void)state;
    make_store(false);
    for (int which = 0; which < 2; which++) {
        const char *name = which == 0 ? "0000.idx" : "0000.bin";
        size_t n_bin, n_idx, n = 0;
        unsigned char *bin = load("0000.bin", &n_bin), *idx = load("0000.idx", &n_idx);
        unsigned char *bytes = which == 0 ? idx : bin;
        n = which == 0 ? n_idx : n_bin;
        for (size_t at = 0; at < n; at += which == 0 ? 5 : 37) {
            bytes[at] ^= (unsigned char)(1u << at % 8);
            save("0000.bin", bin, n_bin);
            save("0000.idx", idx, n_idx);
            int there = count_there();
            bool padding = which == 1 && there == CLIPS && at / 64 * 64 != at; /* between two recordings */
            assert_true(there == CLIPS - 1 || padding);
            if (at % 3 == 0) {
                store *s = open_store(false, true);
                assert_int_equal(count(s), there);
                for (int i = 0; i < CLIPS; i++) {
                    add(s, i);
                }
                support_ok(store_flush(s, &err), &err);
                assert_int_equal(count(s), CLIPS);
                store_free(s);
                assert_int_equal(count_there(), CLIPS);
                s = open_store(false, true);
                store_totals t;
                assert_int_equal(count(s), CLIPS);
                store_get_totals(s, &t);
                assert_int_equal(t.damaged, 0);
                store_free(s);
            }
            bytes[at] ^= (unsigned char)(1u << at % 8);
        }
        save(name, bytes, n);
        ctx_free(ctx, bin);
        ctx_free(ctx, idx);
    }
}

static void cuts(void **state) {
    (void)state;
    make_store(false);
    size_t n_bin, n_idx;
    unsigned char *bin = load("0000.bin", &n_bin), *idx = load("0000.idx", &n_idx);
    int last = CLIPS;
    for (size_t n = n_bin; n > 64; n -= 61) {
        save("0000.bin", bin, n);
        save("0000.idx", idx, n_idx);
        int there = count_there();
        assert_true(there == last || there == last - 1);
        last = there;
        store *s = open_store(false, true);
        assert_int_equal(count(s), there);
        for (int i = 0; i < CLIPS; i++) {
            add(s, i);
        }
        support_ok(store_flush(s, &err), &err);
        store_free(s);
        assert_true(same_file("0000.bin", bin, n_bin)); /* the lost ones were the last ones */
        assert_true(same_file("0000.idx", idx, n_idx));
    }
    assert_int_equal(last, 1);
    assert_int_equal(unlink(file("0000.bin")), 0);
    assert_int_equal(count_there(), 0);
    save("0000.bin", bin, n_bin);
    assert_int_equal(unlink(file("0000.idx")), 0);
    assert_int_equal(count_there(), 0);
    ctx_free(ctx, bin);
    ctx_free(ctx, idx);
}

static void shards(void **state) {
    (void)state;
    store *s = open_store(false, true);
    s->shard_bytes = 3000;
    for (int i = 0; i < CLIPS; i++) {
        add(s, i);
        assert_int_equal(count(s), i + 1);
    }
    support_ok(store_flush(s, &err), &err);
    size_t n = s->n_shards;
    assert_true(n > 2);
    store_free(s);
    assert_int_equal(count_there(), CLIPS);
    size_t size;
    unsigned char *idx = load("0001.idx", &size);
    idx[70] ^= 1;
    save("0001.idx", idx, size);
    assert_int_equal(count_there(), CLIPS - 1);
    for (int i = 0; i < 2; i++) { /* mended at the first opening, not counted at the second */
        s = open_store(false, true);
        store_totals t;
        store_get_totals(s, &t);
        assert_int_equal(t.damaged, 1 - i);
        assert_int_equal(count(s), CLIPS - 1);
        store_free(s);
    }
    s = open_store(false, true);
    s->shard_bytes = 3000;
    for (int i = 0; i < CLIPS; i++) {
        add(s, i);
    }
    support_ok(store_flush(s, &err), &err);
    store_free(s);
    assert_int_equal(count_there(), CLIPS);
    assert_int_equal(unlink(file("0001.bin")), 0); /* a shard in the middle is gone */
    int left = count_there();
    assert_true(left > 0 && left < CLIPS);
    s = open_store(false, true);
    for (int i = 0; i < CLIPS; i++) {
        add(s, i);
    }
    support_ok(store_flush(s, &err), &err);
    store_free(s);
    assert_int_equal(count_there(), CLIPS);
    ctx_free(ctx, idx);
}

/* A limit on the size of files stands for the disk that is full. */
static void no_room(void **state) {
    (void)state;
    make_store(false);
    size_t n_bin, n_idx;
    unsigned char *bin = load("0000.bin", &n_bin), *idx = load("0000.idx", &n_idx);
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    for (size_t most = 500; most < n_bin; most += 700) {
        support_ok(store_clear(ctx, data, &err), &err);
        store *s = open_store(false, true);
        small = (struct rlimit){most, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        int added = 0;
        spoor_status status = SPOOR_OK;
        for (; added < CLIPS && status == SPOOR_OK; added++) {
            float rows[MOST * DIM];
            store_key key = key_of(s, added);
            rows_of(added, rows);
            status = store_add(s, &key, rows, frames_of(added), &err);
        }
        added--;
        assert_int_equal(status, SPOOR_ERR_IO);
        spoor_status flushed = store_flush(s, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        if (flushed != SPOOR_OK) { /* no room for the records either: they wait */
            assert_int_equal(count_there(), 0);
            support_ok(store_flush(s, &err), &err);
        }
        assert_int_equal(count_there(), added);
        for (int i = 0; i < CLIPS; i++) {
            add(s, i);
        }
        support_ok(store_flush(s, &err), &err);
        store_free(s);
        assert_true(same_file("0000.bin", bin, n_bin));
        assert_true(same_file("0000.idx", idx, n_idx));
    }
    (void)signal(SIGXFSZ, before);
    ctx_free(ctx, bin);
    ctx_free(ctx, idx);
    assert_int_equal(store_write_failed(&(store){.folder = data}, ENOSPC, &err), SPOOR_ERR_IO);
    assert_non_null(strstr(err.message, "is full; what was extracted so far is kept"));
}

static void *add_some(void *arg) {
    store *s = arg;
    for (int i = 0; i < CLIPS; i++) {
        add(s, i);
        assert_true(has(s, i));
    }
    return NULL;
}

static void threads(void **state) {
    (void)state;
    store *s = open_store(true, true);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, add_some, s), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    support_ok(store_flush(s, &err), &err);
    store_totals t;
    store_get_totals(s, &t);
    assert_int_equal(t.recordings, CLIPS);
    store_free(s);
    struct stat st;
    assert_int_equal(stat(file("0000.idx"), &st), 0);
    assert_int_equal(st.st_size, CLIPS * 64); /* nothing twice */
}

static spoor_status use_all(spoor_context *c, frontend *f) {
    store *s = NULL;
    spoor_status status = store_open(c, data, f, &(store_options){.writable = true, .half = true}, &s, &err);
    float rows[MOST * DIM];
    if (status == SPOOR_OK) {
        s->shard_bytes = 3000;
    }
    for (int i = 0; i < CLIPS && status == SPOOR_OK; i++) {
        store_key key = key_of(s, i);
        rows_of(i, rows);
        status = store_add(s, &key, rows, frames_of(i), &err);
        if (status == SPOOR_OK) {
            status = store_read(s, &key, 0, frames_of(i), rows, &err);
        }
    }
    if (status == SPOOR_OK) {
        status = store_flush(s, &err);
    }
    store_free(s);
    return status;
}

static void damage(void) {
    size_t n;
    make_store(true);
    unsigned char *idx = load("0000.idx", &n);
    idx[70] ^= 1;
    save("0000.idx", idx, n);
    ctx_free(ctx, idx);
}

/* From nothing, and where a damaged folder is mended. */
static void no_memory(void **state) {
    (void)state;
    size_t most[2];
    for (int torn = 0; torn < 2; torn++) {
        for (size_t fail_at = 1, done = 0; !done; fail_at++) {
            if (torn) {
                damage();
            }
            support_failing f = {0};
            spoor_context *c = support_failing_context(&f);
            frontend *own = make_frontend(c, "{\"kind\": \"log-mel\", \"n_mels\": 10}");
            f.count = 0;
            f.fail_at = fail_at;
            spoor_status status = use_all(c, own);
            assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT || status == SPOOR_ERR_IO);
            done = f.count < fail_at;
            assert_int_equal(status == SPOOR_OK, done);
            f.fail_at = 0;
            frontend_free(own);
            assert_int_equal(f.live, 0);
            spoor_context_free(c);
            support_ok(store_clear(ctx, data, &err), &err);
            most[torn] = fail_at;
        }
    }
    assert_true(most[0] > 20 && most[1] > 10 && most[0] < 500 && most[1] < 500);
}

int main(void) {
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {CASE(round_trip), CASE(format),  CASE(keys),    CASE(refusals),
                                       CASE(indexes),    CASE(kills),   CASE(flips),   CASE(cuts),
                                       CASE(shards),     CASE(no_room), CASE(threads), CASE(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
