/* fuzz_store.c: any bytes as the files of a store: opened for reading and for writing, every entry read, one added,
 * opened again: what was whole stays whole, and what was added is there. Input: flags, 2 bytes: length of index.json
 * (0: the right one), 2 bytes: length of 0000.idx, then index.json, 0000.idx and 0000.bin. Flags: 1 float16, 2 hashes
 * of records are put right, 4 hashes of rows too, 8 the shard is number 1. */
#define _GNU_SOURCE
#include "frontend/store_format.h"
#include "target.h"
#include <fcntl.h>
#include <sys/stat.h>

enum { HALF = 1, RECORDS = 2, ROWS = 4, SECOND = 8, DIM = 2 };

/* One for the whole run: making them takes longer than everything else. */
static char folder[64];
static spoor_context *ctx;
static frontend *fe;

static void put(const char *name, const void *data, size_t size) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)close(fd);
}

static void drop(const char *name) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)unlink(path);
}

static void drop_all(void) {
    static const char *const NAMES[] = {"index.json", "lock",     "0000.bin", "0000.idx",
                                        "0001.bin",   "0001.idx", "0002.bin", "0002.idx"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        drop(NAMES[i]);
    }
}

static void leave(void) {
    frontend_free(fe);
    spoor_context_free(ctx);
    drop_all();
    (void)rmdir(folder);
}

static void begin(void) {
    if (folder[0] == '\0') {
        (void)strcpy(folder, "/dev/shm/spoor-fuzz-XXXXXX"); /* in memory where there is such a place */
        if (mkdtemp(folder) == NULL) {
            (void)strcpy(folder, "/tmp/spoor-fuzz-XXXXXX");
            CHECK(mkdtemp(folder) != NULL);
        }
        ctx = target_context();
        json_t *json = json_pack("{s:s, s:i}", "kind", "log-mel", "n_mels", DIM);
        CHECK(frontend_new(ctx, json, &fe, NULL) == SPOOR_OK);
        json_decref(json);
        (void)atexit(leave);
    }
    drop_all();
}

/* Hashes that a fuzzer would hardly guess. */
static void put_right(unsigned char *idx, size_t n_idx, const unsigned char *bin, size_t n_bin, unsigned flags) {
    size_t row = (flags & HALF ? 2 : 4) * DIM, size;
    for (size_t at = 0; at + STORE_RECORD <= n_idx; at += STORE_RECORD) {
        store_record r;
        if ((flags & RECORDS) != 0 && store_record_read(idx + at, &r) == STORE_RECORD_DAMAGED) {
            if ((flags & ROWS) != 0 && store_record_fits(&r, row, n_bin, &size)) {
                r.rows = store_hash(bin + r.offset, size);
            }
            store_record_write(&r, idx + at);
        }
    }
}

/* Every key that the index has: its rows are read whole and from both ends. Returns how many are there. */
static size_t read_all(store *s, const unsigned char *idx, size_t n_idx) {
    size_t there = 0;
    for (size_t at = 0; at + STORE_RECORD <= n_idx; at += STORE_RECORD) {
        store_record r;
        spoor_error err = {0};
        (void)store_record_read(idx + at, &r);
        size_t frames = store_frames(s, &r.key);
        if (frames == 0) {
            float none[DIM];
            target_refused(store_read(s, &r.key, 0, 1, none, &err), &err);
            continue;
        }
        float *rows = malloc(frames * DIM * sizeof *rows);
        CHECK(rows != NULL && store_read(s, &r.key, 0, frames, rows, &err) == SPOOR_OK);
        CHECK(store_finite(rows, frames * DIM, false));
        CHECK(store_read(s, &r.key, frames - 1, 1, rows, &err) == SPOOR_OK);
        CHECK(store_read(s, &r.key, frames, 1, rows, &err) == SPOOR_ERR_INPUT);
        CHECK(store_read(s, &r.key, 1, SIZE_MAX, rows, &err) == SPOOR_ERR_INPUT);
        free(rows);
        there++;
    }
    return there;
}

static store *open_it(unsigned flags, bool writable) {
    store *s = NULL;
    spoor_error err = {0};
    spoor_status status =
        store_open(ctx, folder, fe, &(store_options){.writable = writable, .half = (flags & HALF) != 0}, &s, &err);
    target_refused(status, &err);
    CHECK((status == SPOOR_OK) == (s != NULL));
    return s;
}

static void use(unsigned flags, const unsigned char *idx, size_t n_idx) {
    static const float ROWS_OF_ONE[3 * DIM] = {1, 2, 3, 4, 5, 6};
    spoor_error err;
    store_totals t;
    store *s = open_it(flags, false);
    size_t before = s ? read_all(s, idx, n_idx) : 0;
    bool opened = s != NULL;
    flags = !opened            ? flags
            : store_is_half(s) ? flags | HALF
                               : flags & ~(unsigned)HALF; /* index.json may say otherwise */
    store_free(s);
    s = open_it(flags, true);
    CHECK((s != NULL) == opened);
    if (!s) {
        return;
    }
    CHECK(read_all(s, idx, n_idx) == before);
    store_get_totals(s, &t);
    store_key key = {{7}};
    size_t frames = store_frames(s, &key);
    CHECK(store_add(s, &key, ROWS_OF_ONE, 3, &err) == SPOOR_OK && store_flush(s, &err) == SPOOR_OK);
    CHECK(store_frames(s, &key) == (frames ? frames : 3));
    store_free(s);
    s = open_it(flags, false);
    CHECK(s != NULL && store_frames(s, &key) == (frames ? frames : 3) && read_all(s, idx, n_idx) >= before);
    store_get_totals(s, &t);
    store_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 5) {
        return 0;
    }
    unsigned flags = data[0];
    size_t n_json = data[1] | (size_t)data[2] << 8, n_idx = data[3] | (size_t)data[4] << 8, rest = size - 5;
    n_json = n_json < rest ? n_json : rest;
    n_idx = n_idx < rest - n_json ? n_idx : rest - n_json;
    const uint8_t *json = data + 5, *bin = json + n_json + n_idx;
    size_t n_bin = rest - n_json - n_idx;
    unsigned char *idx = malloc(n_idx + 1);
    CHECK(idx != NULL);
    memcpy(idx, json + n_json, n_idx);
    put_right(idx, n_idx, bin, n_bin, flags);
    begin();
    if (n_json > 0) {
        put("index.json", json, n_json);
    } else {
        store_index x;
        CHECK(store_index_of(frontend_config(fe), DIM, (flags & HALF) != 0, &x, NULL) == SPOOR_OK);
        char *text = store_index_write(&x, frontend_config(fe));
        put("index.json", text, strlen(text));
        free(text);
    }
    put(flags & SECOND ? "0001.idx" : "0000.idx", idx, n_idx);
    put(flags & SECOND ? "0001.bin" : "0000.bin", bin, n_bin);
    use(flags, idx, n_idx);
    free(idx);
    return 0;
}
