/* store_write.c: adding features to a store; see store_internal.h. Rows are written at once, their records when the
 * rows are on disk. Room for records is reserved before rows are written, so that on a full disk whatever rows are
 * whole can still get their records. */
#define _GNU_SOURCE
#include "base/checked.h"
#include "frontend/store_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { RESERVE = 1 << 16 /* bytes of records at a time */ };

spoor_status store_write_failed(const store *s, int reason, spoor_error *err) {
    if (reason == ENOSPC || reason == EDQUOT) {
        return error_set(err, SPOOR_ERR_IO,
                         "the disk of %s is full; what was extracted so far is kept: free some space and go on "
                         "with the same command",
                         s->folder);
    }
    return error_set(err, SPOOR_ERR_IO, "cannot write features to %s: %s", s->folder, strerror(reason));
}

static bool write_all(int fd, const void *data, size_t size, uint64_t at) {
    const unsigned char *p = data;
    while (size > 0) {
        ssize_t put = pwrite(fd, p, size, (off_t)at);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            errno = put == 0 ? ENOSPC : errno;
            return false;
        }
        p += put;
        at += (uint64_t)put;
        size -= (size_t)put;
    }
    return true;
}

/* With the mutex held. */
static spoor_status flush(store *s, spoor_error *err) {
    size_t bytes = s->n_pending * STORE_RECORD;
    if (bytes == 0) {
        return SPOOR_OK;
    }
    if (fdatasync(s->bin) != 0) {
        return store_write_failed(s, errno, err);
    }
    if (!write_all(s->idx, s->pending, bytes, s->idx_size) || fdatasync(s->idx) != 0) {
        int reason = errno;
        (void)ftruncate(s->idx, (off_t)s->idx_size); /* all or nothing; they stay pending */
        return store_write_failed(s, reason, err);
    }
    s->idx_size += bytes;
    s->n_pending = 0;
    return SPOOR_OK;
}

spoor_status store_flush(store *s, spoor_error *err) {
    (void)pthread_mutex_lock(&s->mutex);
    spoor_status status = flush(s, err);
    (void)pthread_mutex_unlock(&s->mutex);
    return status;
}

void store_close_writer(store *s) {
    if (s->idx >= 0) {
        (void)ftruncate(s->idx, (off_t)s->idx_size); /* gives back what was reserved */
        (void)close(s->idx);
    }
    if (s->bin >= 0) {
        (void)close(s->bin);
    }
    s->idx = s->bin = -1;
}

static spoor_status open_new(store *s, uint32_t number, const char *end, int *fd, spoor_error *err) {
    char *path = store_shard_path(s, number, end);
    if (!path) {
        return error_memory(err, "writing features");
    }
    *fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    spoor_status status =
        *fd < 0 ? error_set(err, SPOOR_ERR_IO, "cannot write %s: %s", path, strerror(errno)) : SPOOR_OK;
    ctx_free(s->ctx, path);
    return status;
}

static void sync_folder(const store *s) {
    int fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

static spoor_status next_shard(store *s, spoor_error *err) {
    TRY(flush(s, err));
    if (s->n_shards >= STORE_MAX_SHARDS) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s has %d shards, which is the limit; use another folder", s->folder,
                         STORE_MAX_SHARDS);
    }
    store_shard *more = ctx_realloc(s->ctx, s->shards, s->n_shards + 1, sizeof *more);
    if (!more) {
        return error_memory(err, "writing features");
    }
    s->shards = more;
    store_close_writer(s);
    TRY(open_new(s, (uint32_t)s->n_shards, "bin", &s->bin, err));
    spoor_status status = open_new(s, (uint32_t)s->n_shards, "idx", &s->idx, err);
    if (status != SPOOR_OK) {
        store_close_writer(s);
        return status;
    }
    sync_folder(s);
    s->shards[s->n_shards++] = (store_shard){NULL, 0};
    s->end = s->idx_size = s->reserved = 0;
    return SPOOR_OK;
}

static uint64_t aligned(uint64_t at) { return (at + STORE_ALIGN - 1) / STORE_ALIGN * STORE_ALIGN; }

/* Blocks for the records to come, beyond the end of the file. A file system that cannot do that does without. */
static bool reserve(store *s) {
    uint64_t need = s->idx_size + (s->n_pending + 1) * STORE_RECORD;
    if (need <= s->reserved) {
        return true;
    }
    if (fallocate(s->idx, FALLOC_FL_KEEP_SIZE, (off_t)s->reserved, RESERVE) != 0 && errno == ENOSPC) {
        return false;
    }
    s->reserved += RESERVE;
    return true;
}

/* With the mutex held. */
static spoor_status append(store *s, const store_key *key, const void *data, size_t size, size_t frames,
                           spoor_error *err) {
    const store_entry *there = store_find(s, key);
    if (there && there->state == STORE_WHOLE) {
        return SPOOR_OK; /* another thread was faster */
    }
    uint64_t at = aligned(s->end), records = s->idx_size / STORE_RECORD + s->n_pending;
    if (s->bin < 0 || (s->end > 0 && at + size > s->shard_bytes) || records >= STORE_SHARD_RECORDS) {
        TRY(next_shard(s, err));
        at = 0;
    }
    if (!ctx_grow(s->ctx, (void **)&s->pending, &s->pending_capacity, (s->n_pending + 1) * STORE_RECORD, 1)) {
        return error_memory(err, "writing features");
    }
    store_record r = {*key, at, frames, store_hash(data, size)};
    if (!reserve(s) || !write_all(s->bin, data, size, at)) {
        int reason = errno;
        (void)ftruncate(s->bin, (off_t)s->end); /* makes room for records, too */
        return store_write_failed(s, reason, err);
    }
    TRY(store_insert(s, &r, (uint32_t)s->n_shards - 1, STORE_WHOLE, err));
    store_record_write(&r, s->pending + s->n_pending++ * STORE_RECORD);
    s->end = at + size;
    return SPOOR_OK;
}

spoor_status store_add(store *s, const store_key *key, const float *rows, size_t frames, spoor_error *err) {
    size_t count, size;
    if (!s->writable || frames == 0 || !checked_mul(frames, s->index.dim, &count) ||
        !checked_mul(frames, s->row, &size)) {
        return error_set(err, SPOOR_ERR_USAGE, "no features to add, or %s was opened for reading", s->folder);
    }
    if (store_frames(s, key) > 0) {
        return SPOOR_OK;
    }
    const void *data = rows;
    uint16_t *half = NULL;
    if (s->index.half) {
        half = ctx_alloc(s->ctx, count, sizeof *half);
        if (!half) {
            return error_memory(err, "writing features");
        }
        data = half;
    }
    bool fits = half ? store_to_half(rows, count, half) : store_finite(rows, count, false);
    spoor_status status;
    if (fits) {
        (void)pthread_mutex_lock(&s->mutex);
        status = append(s, key, data, size, frames, err);
        (void)pthread_mutex_unlock(&s->mutex);
    } else {
        status = error_set(err, SPOOR_ERR_INPUT, "a feature is %s; %s",
                           half ? "beyond what float16 holds (65504)" : "not finite",
                           half ? "extract without --half" : "the front end is at fault");
    }
    ctx_free(s->ctx, half);
    return status;
}
