/* store_open.c: the shards of a store's folder into memory; see store_internal.h. Everything that the files say is
 * checked: anyone may have written them. */
#define _GNU_SOURCE
#include "base/io.h"
#include "frontend/store_internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

char *store_shard_path(const store *s, uint32_t number, const char *end) {
    return ctx_printf(s->ctx, "%s/%04u.%s", s->folder, (unsigned)number, end);
}

/* "0012.bin" and "0012.idx": 12; anything else: -1. */
static long shard_number(const char *name) {
    if (strspn(name, "0123456789") != 4 || (strcmp(name + 4, ".bin") != 0 && strcmp(name + 4, ".idx") != 0)) {
        return -1;
    }
    return strtol(name, NULL, 10);
}

/* One more than the highest number of a shard in the folder. */
static spoor_status count_shards(const char *folder, size_t *n, spoor_error *err) {
    *n = 0;
    DIR *d = opendir(folder);
    if (!d) {
        return error_set(err, SPOOR_ERR_IO, "cannot read the folder %s: %s", folder, strerror(errno));
    }
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        long number = shard_number(e->d_name);
        *n = number + 1 > (long)*n ? (size_t)number + 1 : *n;
    }
    (void)closedir(d);
    return SPOOR_OK;
}

static spoor_status map_file(store *s, uint32_t number, int fd, spoor_error *err) {
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return error_set(err, SPOOR_ERR_IO, "%s/%04u.bin is not a regular file", s->folder, (unsigned)number);
    }
    size_t size = st.st_size < 0 || (uintmax_t)st.st_size > SIZE_MAX / 2 ? 0 : (size_t)st.st_size;
    if (size == 0) {
        return SPOOR_OK;
    }
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return error_set(err, SPOOR_ERR_LIMIT, "cannot map %s/%04u.bin into memory: %s", s->folder, (unsigned)number,
                         strerror(errno));
    }
    s->shards[number] = (store_shard){map, size};
    return SPOOR_OK;
}

/* A missing file is an empty one. */
static spoor_status map_rows(store *s, uint32_t number, spoor_error *err) {
    char *path = store_shard_path(s, number, "bin");
    if (!path) {
        return error_memory(err, "opening features");
    }
    spoor_status status = SPOOR_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        status = map_file(s, number, fd, err);
        (void)close(fd);
    } else if (errno != ENOENT) {
        status = error_set(err, SPOOR_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    }
    ctx_free(s->ctx, path);
    return status;
}

static spoor_status read_records(store *s, uint32_t number, unsigned char **data, size_t *size, spoor_error *err) {
    *data = NULL;
    *size = 0;
    char *path = store_shard_path(s, number, "idx");
    if (!path) {
        return error_memory(err, "opening features");
    }
    struct stat st;
    spoor_status status = SPOOR_OK;
    if (stat(path, &st) == 0 || errno != ENOENT) {
        status = io_read_file(s->ctx, path, (size_t)STORE_SHARD_RECORDS * STORE_RECORD + STORE_RECORD, data, size, err);
    }
    ctx_free(s->ctx, path);
    return status;
}

/* What was read of a shard, for the writer to mend. */
typedef struct shard_state {
    uint64_t end; /* of the rows of good records */
    size_t good;  /* records up to and with the last good one */
    size_t *bad;  /* damaged records before that one */
    size_t n_bad, bad_capacity;
} shard_state;

static spoor_status take_records(store *s, uint32_t number, const unsigned char *data, size_t n, shard_state *state,
                                 spoor_error *err) {
    for (size_t i = 0; i < n; i++) {
        store_record r;
        size_t size = 0;
        store_record_state kind = store_record_read(data + i * STORE_RECORD, &r);
        if (kind == STORE_RECORD_GOOD && store_record_fits(&r, s->row, s->shards[number].mapped, &size)) {
            TRY(store_insert(s, &r, number, STORE_UNKNOWN, err));
            state->good = i + 1;
            state->end = r.offset + size > state->end ? r.offset + size : state->end;
        } else if (kind != STORE_RECORD_NONE) {
            s->torn++;
            if (!ctx_grow(s->ctx, (void **)&state->bad, &state->bad_capacity, state->n_bad + 1, sizeof *state->bad)) {
                return error_memory(err, "opening features");
            }
            state->bad[state->n_bad++] = i;
        }
    }
    return SPOOR_OK;
}

/* A record that is known to be bad is not counted again the next time. */
static bool void_records(int idx, const shard_state *state) {
    static const unsigned char NONE[STORE_RECORD];
    bool ok = true;
    for (size_t i = 0; i < state->n_bad && ok; i++) {
        ok = state->bad[i] >= state->good ||
             pwrite(idx, NONE, STORE_RECORD, (off_t)(state->bad[i] * STORE_RECORD)) == STORE_RECORD;
    }
    return ok;
}

static spoor_status open_file(store *s, uint32_t number, const char *end, int *fd, spoor_error *err) {
    char *path = store_shard_path(s, number, end);
    if (!path) {
        return error_memory(err, "opening features");
    }
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0666);
    spoor_status status =
        *fd < 0 ? error_set(err, SPOOR_ERR_IO, "cannot write %s: %s", path, strerror(errno)) : SPOOR_OK;
    ctx_free(s->ctx, path);
    return status;
}

/* Make the shard what it would be had nothing gone wrong, except for holes where damaged entries were. The last one
 * stays open. */
static spoor_status mend(store *s, uint32_t number, const shard_state *state, spoor_error *err) {
    bool last = (size_t)number + 1 == s->n_shards;
    if (!last && state->n_bad == 0) {
        return SPOOR_OK;
    }
    int idx = -1, bin = -1;
    TRY(open_file(s, number, "idx", &idx, err));
    s->idx = idx;
    bool ok = void_records(idx, state) && ftruncate(idx, (off_t)(state->good * STORE_RECORD)) == 0;
    if (ok && last) {
        TRY(open_file(s, number, "bin", &bin, err));
        s->bin = bin;
        ok = ftruncate(bin, (off_t)state->end) == 0;
        s->end = state->end;
        s->idx_size = s->reserved = state->good * STORE_RECORD;
    }
    if (!ok) {
        return store_write_failed(s, errno, err);
    }
    if (!last) {
        (void)close(idx);
        s->idx = -1;
    }
    return SPOOR_OK;
}

static spoor_status read_shard(store *s, uint32_t number, spoor_error *err) {
    unsigned char *data = NULL;
    size_t size = 0;
    shard_state state = {0};
    spoor_status status = map_rows(s, number, err);
    if (status == SPOOR_OK) {
        status = read_records(s, number, &data, &size, err);
    }
    if (status == SPOOR_OK) {
        status = take_records(s, number, data, size / STORE_RECORD, &state, err);
    }
    if (status == SPOOR_OK && s->writable) {
        status = mend(s, number, &state, err);
    }
    ctx_free(s->ctx, data);
    ctx_free(s->ctx, state.bad);
    return status;
}

spoor_status store_read_shards(store *s, spoor_error *err) {
    size_t n;
    TRY(count_shards(s->folder, &n, err));
    s->shards = ctx_calloc(s->ctx, n, sizeof *s->shards);
    if (!s->shards) {
        return error_memory(err, "opening features");
    }
    s->n_shards = n;
    for (size_t i = 0; i < s->n_shards; i++) {
        TRY(read_shard(s, (uint32_t)i, err));
    }
    return SPOOR_OK;
}

/* ---- removing ---- */

static spoor_status remove_files(const char *folder, spoor_error *err) {
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = at < 0 ? NULL : fdopendir(at);
    if (!d) {
        return error_set(err, SPOOR_ERR_IO, "cannot read the folder %s: %s", folder, strerror(errno));
    }
    spoor_status status = SPOOR_OK;
    if (unlinkat(at, "index.json", 0) != 0 && errno != ENOENT) { /* first: shards without it belong to no front end */
        status = error_set(err, SPOOR_ERR_IO, "cannot remove %s/index.json: %s", folder, strerror(errno));
    }
    for (const struct dirent *e; status == SPOOR_OK && (e = readdir(d)) != NULL;) {
        if (shard_number(e->d_name) >= 0 && unlinkat(at, e->d_name, 0) != 0) {
            status = error_set(err, SPOOR_ERR_IO, "cannot remove %s/%s: %s", folder, e->d_name, strerror(errno));
        }
    }
    (void)closedir(d);
    return status;
}

spoor_status store_clear(spoor_context *ctx, const char *folder, spoor_error *err) {
    char *path = ctx_printf(ctx, "%s/lock", folder);
    if (!path) {
        return error_memory(err, "removing features");
    }
    spoor_status status = SPOOR_OK;
    int lock = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0) {
        status = error_set(err, SPOOR_ERR_USAGE, "another process is writing features to %s; wait for it", folder);
    } else if (lock >= 0) { /* without the file nothing of ours is there */
        status = remove_files(folder, err);
    }
    if (lock >= 0) {
        (void)close(lock);
    }
    ctx_free(ctx, path);
    return status;
}
