/* store.c: opening a store, keys, looking up and reading; see store.h. The files are read in store_open.c and written
 * in store_write.c. */
#define _GNU_SOURCE
#include "frontend/store.h"
#include "base/io.h"
#include "frontend/store_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORTH_ASKING = 1 << 17 /* bytes; the kernel reads as many ahead by itself */ };

/* ---- table of keys ---- */

static size_t slot_of(const store *s, const store_key *key) {
    uint64_t hash;
    (void)crypto_shorthash((unsigned char *)&hash, key->bytes, sizeof key->bytes, s->salt);
    return (size_t)hash & (s->n_slots - 1);
}

/* The slot where the key is or would go. */
static size_t probe(const store *s, const store_key *key) {
    size_t at = slot_of(s, key);
    while (s->slots[at] != 0 && memcmp(&s->entries[s->slots[at] - 1].record.key, key, sizeof *key) != 0) {
        at = (at + 1) & (s->n_slots - 1);
    }
    return at;
}

store_entry *store_find(const store *s, const store_key *key) {
    uint32_t index = s->n_slots == 0 ? 0 : s->slots[probe(s, key)];
    return index == 0 ? NULL : &s->entries[index - 1];
}

static bool grow_slots(store *s) {
    size_t n = s->n_slots == 0 ? 64 : s->n_slots * 2;
    uint32_t *slots = ctx_calloc(s->ctx, n, sizeof *slots);
    if (!slots) {
        return false;
    }
    ctx_free(s->ctx, s->slots);
    s->slots = slots;
    s->n_slots = n;
    for (size_t i = 0; i < s->n_entries; i++) {
        s->slots[probe(s, &s->entries[i].record.key)] = (uint32_t)i + 1;
    }
    return true;
}

spoor_status store_insert(store *s, const store_record *r, uint32_t shard, store_state state, spoor_error *err) {
    store_entry e = {*r, shard, (unsigned char)state}, *there = store_find(s, &r->key);
    if (there) {
        *there = e;
        return SPOOR_OK;
    }
    if (s->n_entries >= UINT32_MAX - 1) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s holds as many recordings as a folder can; use another one",
                         s->folder);
    }
    if ((s->n_slots < 2 * (s->n_entries + 1) && !grow_slots(s)) ||
        !ctx_grow(s->ctx, (void **)&s->entries, &s->capacity, s->n_entries + 1, sizeof *s->entries)) {
        return error_memory(err, "listing stored features");
    }
    s->entries[s->n_entries] = e;
    s->slots[probe(s, &r->key)] = (uint32_t)++s->n_entries;
    return SPOOR_OK;
}

/* ---- opening ---- */

static char *path_of(const store *s, const char *name) { return ctx_printf(s->ctx, "%s/%s", s->folder, name); }

static spoor_status take_lock(store *s, spoor_error *err) {
    char *path = path_of(s, "lock");
    if (!path) {
        return error_memory(err, "opening a folder of features");
    }
    spoor_status status = SPOOR_OK;
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0666);
    if (s->lock < 0) {
        status = error_set(err, SPOOR_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    } else if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK ? error_set(err, SPOOR_ERR_USAGE,
                                                  "another process is writing features to %s; wait for it, or choose "
                                                  "another folder",
                                                  s->folder)
                                      : error_set(err, SPOOR_ERR_IO, "cannot lock %s: %s", path, strerror(errno));
    }
    ctx_free(s->ctx, path);
    return status;
}

static const char *type_name(bool half) { return half ? "float16" : "float32"; }

/* What differs, so that the sentence can say it: the value of the first setting that is not the same. */
static spoor_status other_frontend(const store *s, const json_t *there, spoor_error *err) {
    const char *key, *named = NULL;
    json_t *value;
    json_object_foreach(s->settings, key, value) {
        named = !named && !json_equal(value, json_object_get(there, key)) ? key : named;
    }
    char *a = named ? json_dumps(json_object_get(there, named), JSON_ENCODE_ANY) : NULL;
    char *b = named ? json_dumps(json_object_get(s->settings, named), JSON_ENCODE_ANY) : NULL;
    spoor_status status = error_set(err, SPOOR_ERR_USAGE,
                                    "%s holds features of another front end (%.60s: %.80s, not %.80s); "
                                    "choose another folder, or extract anew with --replace",
                                    s->folder, named ? named : "its settings", a ? a : "others", b ? b : "these");
    free(a);
    free(b);
    return status;
}

static spoor_status check_index(store *s, const char *path, spoor_error *err) {
    unsigned char *text;
    size_t size;
    store_index there;
    json_t *settings = NULL;
    TRY(io_read_file(s->ctx, path, STORE_INDEX_MAX, &text, &size, err));
    spoor_status status = store_index_read(path, text, size, &there, &settings, err);
    ctx_free(s->ctx, text);
    if (status == SPOOR_OK && (strcmp(there.frontend, s->index.frontend) != 0 || there.dim != s->index.dim)) {
        status = other_frontend(s, settings, err);
    }
    json_decref(settings);
    TRY(status);
    if (s->writable && there.half != s->index.half) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "%s holds %s features, not %s; %s --half, choose another folder, or extract anew "
                         "with --replace",
                         s->folder, type_name(there.half), type_name(s->index.half), there.half ? "add" : "leave out");
    }
    s->index.half = there.half;
    return SPOOR_OK;
}

static spoor_status read_or_make_index(store *s, spoor_error *err) {
    char *path = path_of(s, "index.json");
    if (!path) {
        return error_memory(err, "opening a folder of features");
    }
    struct stat st;
    spoor_status status = SPOOR_OK;
    if (stat(path, &st) == 0) {
        status = check_index(s, path, err);
    } else if (!s->writable) {
        status =
            error_set(err, SPOOR_ERR_USAGE,
                      "%s holds no extracted features (it has no index.json); spoor extract makes them", s->folder);
    } else {
        char *text = store_index_write(&s->index, s->settings);
        status = text ? io_write_file(s->ctx, path, text, strlen(text), err) : error_memory(err, "writing an index");
        free(text);
    }
    ctx_free(s->ctx, path);
    return status;
}

static spoor_status fill(store *s, const char *folder, const frontend *fe, const store_options *o, spoor_error *err) {
    TRY(store_settings(fe, o->weights, &s->settings, err));
    TRY(store_index_of(s->settings, frontend_dim(fe), o->half, &s->index, err));
    s->folder = ctx_strdup(s->ctx, folder);
    if (!s->folder) {
        return error_memory(err, "opening a folder of features");
    }
    if (s->writable) {
        TRY(io_make_folder(s->folder, err));
        TRY(take_lock(s, err));
    }
    TRY(read_or_make_index(s, err));
    s->row = s->index.dim * (s->index.half ? 2 : 4);
    return store_read_shards(s, err);
}

spoor_status store_open(spoor_context *ctx, const char *folder, const frontend *fe, const store_options *options,
                        store **out, spoor_error *err) {
    *out = NULL;
    if (frontend_own_rows(fe)) { /* a stretch of rows would be another stretch of time in each part */
        return error_set(err, SPOOR_ERR_USAGE, "features of a join with rows: own cannot be stored; store its parts "
                         "one by one, or leave the section cache out");
    }
    store *s = ctx_calloc(ctx, 1, sizeof *s);
    if (!s) {
        return error_memory(err, "opening a folder of features");
    }
    *s = (store){
        .ctx = ctx, .writable = options->writable, .lock = -1, .bin = -1, .idx = -1, .shard_bytes = STORE_SHARD_BYTES};
    (void)getrandom(s->salt, sizeof s->salt, GRND_NONBLOCK);
    (void)pthread_mutex_init(&s->mutex, NULL);
    spoor_status status = fill(s, folder, fe, options, err);
    if (status != SPOOR_OK) {
        store_free(s);
        return status;
    }
    *out = s;
    return SPOOR_OK;
}

void store_free(store *s) {
    if (!s) {
        return;
    }
    store_close_writer(s);
    for (size_t i = 0; i < s->n_shards; i++) {
        if (s->shards[i].map) {
            (void)munmap((void *)(uintptr_t)s->shards[i].map, s->shards[i].mapped);
        }
    }
    if (s->lock >= 0) {
        (void)close(s->lock); /* and with it the lock */
    }
    (void)pthread_mutex_destroy(&s->mutex);
    json_decref(s->settings);
    ctx_free(s->ctx, s->shards);
    ctx_free(s->ctx, s->entries);
    ctx_free(s->ctx, s->slots);
    ctx_free(s->ctx, s->pending);
    ctx_free(s->ctx, s->folder);
    ctx_free(s->ctx, s);
}

/* ---- keys ---- */

bool store_is_half(const store *s) { return s->index.half; }

void store_key_make(const store *s, const char audio[65], const store_copy *copy, store_key *out) {
    static const char TITLE[] = "features of a recording 1";
    crypto_hash_sha256_state h;
    (void)crypto_hash_sha256_init(&h);
    (void)crypto_hash_sha256_update(&h, (const unsigned char *)TITLE, sizeof TITLE);
    (void)crypto_hash_sha256_update(&h, (const unsigned char *)s->index.frontend, 64);
    (void)crypto_hash_sha256_update(&h, (const unsigned char *)audio, 64);
    if (copy) {
        const uint64_t number[2] = {copy->seed, copy->number};
        (void)crypto_hash_sha256_update(&h, (const unsigned char *)copy->chain, 64);
        (void)crypto_hash_sha256_update(&h, (const unsigned char *)number, sizeof number);
    }
    (void)crypto_hash_sha256_final(&h, out->bytes);
}

/* ---- reading ---- */

/* A copy of the key's entry, and where its rows are mapped (NULL: they were added since the shard was). */
static bool look_up(store *s, const store_key *key, store_entry *e, const unsigned char **rows) {
    (void)pthread_mutex_lock(&s->mutex);
    const store_entry *there = store_find(s, key);
    if (there) {
        const store_shard *shard = &s->shards[there->shard];
        size_t size;
        *e = *there;
        *rows = store_record_fits(&e->record, s->row, shard->mapped, &size) ? shard->map + e->record.offset : NULL;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return there != NULL;
}

/* Ask for all of it at once: page by page, as it is touched, a disk gives half as much. */
static void will_need(const unsigned char *rows, size_t n) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)rows / page * page;
    (void)madvise((void *)from, n + ((uintptr_t)rows - from), MADV_WILLNEED);
}

/* Hash the rows once. They may be hashed by two threads at a time, with the same result. */
static store_state check_rows(store *s, const store_entry *e, const unsigned char *rows) {
    if (e->state != STORE_UNKNOWN) {
        return (store_state)e->state;
    }
    size_t n = (size_t)e->record.frames * s->row;
    if (rows) {
        will_need(rows, n);
    }
    bool whole =
        rows && store_hash(rows, n) == e->record.rows && store_finite(rows, n / (s->index.half ? 2 : 4), s->index.half);
    store_state state = whole ? STORE_WHOLE : STORE_DAMAGED;
    (void)pthread_mutex_lock(&s->mutex);
    store_entry *there = store_find(s, &e->record.key);
    if (there && there->state == STORE_UNKNOWN) { /* it may have been made again meanwhile */
        there->state = (unsigned char)state;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return state;
}

size_t store_frames(store *s, const store_key *key) {
    store_entry e;
    const unsigned char *rows = NULL;
    return look_up(s, key, &e, &rows) && check_rows(s, &e, rows) == STORE_WHOLE ? (size_t)e.record.frames : 0;
}

/* Rows that were added since the shard was mapped. */
static bool read_new(const store *s, const store_entry *e, size_t offset, size_t size, unsigned char *out) {
    char *path = store_shard_path(s, e->shard, "bin");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    size_t have = 0;
    for (ssize_t got = 1; fd >= 0 && have < size && got > 0; have += got > 0 ? (size_t)got : 0) {
        got = pread(fd, out + have, size - have, (off_t)(e->record.offset + offset + have));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    ctx_free(s->ctx, path);
    return have == size;
}

spoor_status store_read(store *s, const store_key *key, size_t first, size_t n, float *out, spoor_error *err) {
    store_entry e;
    const unsigned char *rows = NULL;
    bool there = look_up(s, key, &e, &rows) && check_rows(s, &e, rows) == STORE_WHOLE;
    if (!there || n > e.record.frames || first > e.record.frames - n) {
        return error_set(err, SPOOR_ERR_INPUT, "%s has no whole entry for a recording; run spoor extract again",
                         s->folder);
    }
    size_t offset = first * s->row, size = n * s->row;
    unsigned char *own = NULL;
    if (!rows) {
        own = ctx_alloc(s->ctx, size, 1);
        if (!own || !read_new(s, &e, offset, size, own)) {
            spoor_status status =
                own ? error_set(err, SPOOR_ERR_IO, "cannot read what was just written to %s", s->folder)
                    : error_memory(err, "reading features");
            ctx_free(s->ctx, own);
            return status;
        }
    }
    const unsigned char *from = own ? own : rows + offset;
    if (rows && size >= WORTH_ASKING) {
        will_need(from, size);
    }
    if (s->index.half) {
        store_from_half(from, n * s->index.dim, out);
    } else {
        memcpy(out, from, size);
    }
    ctx_free(s->ctx, own);
    return SPOOR_OK;
}

/* ---- totals ---- */

void store_get_totals(const store *s, store_totals *out) {
    *out = (store_totals){.damaged = s->torn};
    (void)pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&s->mutex);
    for (size_t i = 0; i < s->n_entries; i++) {
        const store_entry *e = &s->entries[i];
        if (e->state == STORE_DAMAGED) {
            out->damaged++;
            continue;
        }
        out->recordings++;
        out->frames += e->record.frames;
        out->bytes += e->record.frames * s->row + STORE_RECORD;
    }
    (void)pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&s->mutex);
}

uint64_t store_bytes(size_t dim, bool half, uint64_t recordings, uint64_t frames) {
    return frames * dim * (half ? 2 : 4) + recordings * (STORE_RECORD + STORE_ALIGN);
}
