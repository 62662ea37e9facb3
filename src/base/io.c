/* io.c: see io.h. */
#define _GNU_SOURCE
#include "base/io.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct io_writer {
    spoor_context *ctx;
    char *path, *temporary;
    int fd;
};

static spoor_status regular_open(const char *path, int *fd, struct stat *st, spoor_error *err) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) {
        return error_set(err, SPOOR_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    }
    if (fstat(*fd, st) != 0) {
        int e = errno;
        close(*fd);
        return error_set(err, SPOOR_ERR_IO, "cannot read %s: %s", path, strerror(e));
    }
    if (!S_ISREG(st->st_mode)) {
        close(*fd);
        return error_set(err, SPOOR_ERR_IO, "cannot read %s: it is %s", path,
                         S_ISDIR(st->st_mode) ? "a folder, not a file" : "not a regular file");
    }
    return SPOOR_OK;
}

spoor_status io_read_file(spoor_context *ctx, const char *path, size_t limit, unsigned char **data, size_t *size,
                          spoor_error *err) {
    *data = NULL;
    *size = 0;
    int fd;
    struct stat st;
    TRY(regular_open(path, &fd, &st, err));
    if (st.st_size < 0 || (uintmax_t)st.st_size > limit) {
        close(fd);
        return error_set(err, SPOOR_ERR_LIMIT, "%s has %jd bytes, over the limit of %zu for this kind of file", path,
                         (intmax_t)st.st_size, limit);
    }
    size_t n = (size_t)st.st_size;
    unsigned char *buffer = ctx_alloc(ctx, n + 1, 1);
    if (buffer == NULL) {
        close(fd);
        return error_memory(err, "reading a file");
    }
    size_t have = 0;
    while (have < n) {
        ssize_t got = read(fd, buffer + have, n - have);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            int e = errno;
            close(fd);
            ctx_free(ctx, buffer);
            return error_set(err, SPOOR_ERR_IO, "cannot read %s: %s", path, strerror(e));
        }
        if (got == 0) {
            break; /* it shrank while we read it */
        }
        have += (size_t)got;
    }
    close(fd);
    buffer[have] = '\0';
    *data = buffer;
    *size = have;
    return SPOOR_OK;
}

static const unsigned char NOTHING[1] = {0}; /* an empty file: mmap takes no length of 0 */

spoor_status io_map_file(const char *path, size_t limit, const unsigned char **data, size_t *size, spoor_error *err) {
    *data = NULL;
    *size = 0;
    int fd;
    struct stat st;
    TRY(regular_open(path, &fd, &st, err));
    if (st.st_size < 0 || (uintmax_t)st.st_size > limit) {
        close(fd);
        return error_set(err, SPOOR_ERR_LIMIT, "%s has %jd bytes, over the limit of %zu for this kind of file", path,
                         (intmax_t)st.st_size, limit);
    }
    size_t n = (size_t)st.st_size;
    const void *map = n == 0 ? NOTHING : mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    int e = errno;
    close(fd);
    if (map == MAP_FAILED) {
        return error_set(err, e == ENOMEM ? SPOOR_ERR_LIMIT : SPOOR_ERR_IO, "cannot map %s into memory: %s", path,
                         strerror(e));
    }
    *data = map;
    *size = n;
    return SPOOR_OK;
}

void io_unmap(const unsigned char *data, size_t size) {
    if (data != NULL && data != NOTHING) {
        (void)munmap((void *)(uintptr_t)data, size);
    }
}

void io_map_forget(const unsigned char *data, size_t size) {
    long page = sysconf(_SC_PAGESIZE);
    if (page > 0 && size > 0 && data != NOTHING) {
        uintptr_t before = (uintptr_t)data % (uintptr_t)page;
        (void)madvise((void *)((uintptr_t)data - before), size + before, MADV_DONTNEED);
    }
}

spoor_status io_read_head(const char *path, void *head, size_t size, size_t *got, spoor_error *err) {
    *got = 0;
    int fd;
    struct stat st;
    TRY(regular_open(path, &fd, &st, err));
    spoor_status status = SPOOR_OK;
    while (*got < size && status == SPOOR_OK) {
        ssize_t n = read(fd, (unsigned char *)head + *got, size - *got);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            status = error_set(err, SPOOR_ERR_IO, "cannot read %s: %s", path, strerror(errno));
        }
        if (n <= 0) {
            break;
        }
        *got += (size_t)n;
    }
    close(fd);
    return status;
}

spoor_status io_writer_open(spoor_context *ctx, const char *path, io_writer **out, spoor_error *err) {
    *out = NULL;
    io_writer *w = ctx_calloc(ctx, 1, sizeof *w);
    if (w == NULL) {
        return error_memory(err, "opening a file for writing");
    }
    w->ctx = ctx;
    w->fd = -1;
    w->path = ctx_strdup(ctx, path);
    w->temporary = ctx_printf(ctx, "%s.tmp.%ld", path, (long)getpid());
    if (w->path == NULL || w->temporary == NULL) {
        (void)io_writer_close(w, false, NULL);
        return error_memory(err, "opening a file for writing");
    }
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        int e = errno;
        (void)io_writer_close(w, false, NULL);
        return error_set(err, SPOOR_ERR_IO, "cannot write %s: %s", path, strerror(e));
    }
    *out = w;
    return SPOOR_OK;
}

spoor_status io_writer_put(io_writer *w, const void *data, size_t size, spoor_error *err) {
    const unsigned char *p = data;
    while (size > 0) {
        ssize_t put = write(w->fd, p, size);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return error_set(err, SPOOR_ERR_IO, "cannot write %s: %s", w->path, strerror(errno));
        }
        p += put;
        size -= (size_t)put;
    }
    return SPOOR_OK;
}

static void sync_folder_of(io_writer *w) {
    char *slash = strrchr(w->temporary, '/');
    if (slash != NULL) {
        slash[slash == w->temporary ? 1 : 0] = '\0';
    }
    int folder = open(slash == NULL ? "." : w->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        (void)fsync(folder);
        close(folder);
    }
}

spoor_status io_writer_close(io_writer *w, bool commit, spoor_error *err) {
    if (w == NULL) {
        return SPOOR_OK;
    }
    spoor_status status = SPOOR_OK;
    if (w->fd >= 0) {
        if (commit && (fsync(w->fd) != 0)) {
            status = error_set(err, SPOOR_ERR_IO, "cannot write %s: %s", w->path, strerror(errno));
        }
        if (close(w->fd) != 0 && commit && status == SPOOR_OK) {
            status = error_set(err, SPOOR_ERR_IO, "cannot write %s: %s", w->path, strerror(errno));
        }
        if (commit && status == SPOOR_OK && rename(w->temporary, w->path) != 0) {
            status = error_set(err, SPOOR_ERR_IO, "cannot write %s: %s", w->path, strerror(errno));
        }
        if (!commit || status != SPOOR_OK) {
            (void)unlink(w->temporary);
        } else {
            sync_folder_of(w);
        }
    }
    ctx_free(w->ctx, w->path);
    ctx_free(w->ctx, w->temporary);
    ctx_free(w->ctx, w);
    return status;
}

spoor_status io_write_file(spoor_context *ctx, const char *path, const void *data, size_t size, spoor_error *err) {
    io_writer *w;
    TRY(io_writer_open(ctx, path, &w, err));
    spoor_status status = io_writer_put(w, data, size, err);
    if (status != SPOOR_OK) {
        (void)io_writer_close(w, false, NULL);
        return status;
    }
    return io_writer_close(w, true, err);
}

spoor_status io_make_folder(const char *path, spoor_error *err) {
    char part[4096];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part) {
        return error_set(err, SPOOR_ERR_IO, "cannot make the folder %s: its name is empty or too long", path);
    }
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        struct stat st;
        if (mkdir(part, 0777) != 0 && !(stat(part, &st) == 0 && S_ISDIR(st.st_mode))) {
            return error_set(err, SPOOR_ERR_IO, "cannot make the folder %s: %s", part, strerror(errno));
        }
    }
    return SPOOR_OK;
}

void io_sha256(const void *data, size_t size, char hex[65]) {
    unsigned char hash[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256(hash, data, size);
    (void)sodium_bin2hex(hex, 65, hash, sizeof hash);
}

uint64_t io_sha256_number(const char hex[65]) {
    uint64_t number = 0;
    for (size_t i = 0; i < 16; i++) {
        number = number << 4 | (uint64_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
    }
    return number;
}

spoor_status io_sha256_file(const char *path, char hex[65], spoor_error *err) {
    int fd;
    struct stat st;
    TRY(regular_open(path, &fd, &st, err));
    crypto_hash_sha256_state state;
    (void)crypto_hash_sha256_init(&state);
    unsigned char buffer[65536];
    for (;;) {
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            int e = errno;
            close(fd);
            return error_set(err, SPOOR_ERR_IO, "cannot read %s: %s", path, strerror(e));
        }
        if (got == 0) {
            break;
        }
        (void)crypto_hash_sha256_update(&state, buffer, (unsigned long long)got);
    }
    close(fd);
    unsigned char hash[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256_final(&state, hash);
    (void)sodium_bin2hex(hex, 65, hash, sizeof hash);
    return SPOOR_OK;
}
