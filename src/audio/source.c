/* source.c: see source.h. Positioned reads only: nothing is mapped, so a file that shrinks meanwhile is a short
 * read. */
#define _GNU_SOURCE
#include "audio/source.h"
#include "audio/audio.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPOOL_PIECE = 1 << 16 };

spoor_status source_open_path(spoor_context *ctx, const char *path, const char *shown, source *out, spoor_error *err) {
    *out = (source){.ctx = ctx, .fd = -1};
    /* O_NONBLOCK: opening a pipe without a writer must not wait for one */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return error_set(err, SPOOR_ERR_INPUT, "cannot read %s: %s", shown, strerror(errno));
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int e = errno;
        close(fd);
        return error_set(err, SPOOR_ERR_INPUT, "cannot read %s: %s", shown, strerror(e));
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return error_set(err, SPOOR_ERR_INPUT, "cannot read %s: it is %s", shown,
                         S_ISDIR(st.st_mode)    ? "a folder, not a file"
                         : S_ISFIFO(st.st_mode) ? "a pipe; send it to standard input and give the name -"
                                                : "a device or socket, not a file");
    }
    out->fd = fd;
    out->owns_fd = true;
    out->size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
    return SPOOR_OK;
}

static int temporary_file(void) {
    const char *folder = getenv("TMPDIR");
    char path[4096];
    if (folder == NULL || folder[0] == '\0' || strlen(folder) > sizeof path - 32) {
        folder = "/tmp";
    }
    (void)stpcpy(stpcpy(path, folder), "/spoor-XXXXXX");
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) {
        (void)unlink(path);
    }
    return fd;
}

static bool write_all(int fd, const unsigned char *p, size_t n) {
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return false;
        }
        p += put;
        n -= (size_t)put;
    }
    return true;
}

static spoor_status spool(spoor_context *ctx, int fd, unsigned char *buffer, uint64_t *size, spoor_error *err) {
    for (*size = 0;;) {
        TRY(ctx_check_cancel(ctx, err));
        ssize_t got = read(STDIN_FILENO, buffer, SPOOL_PIECE);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_set(err, SPOOR_ERR_INPUT, "cannot read standard input: %s", strerror(errno));
        }
        if (got == 0) {
            return SPOOR_OK;
        }
        if ((uint64_t)got > AUDIO_SPOOL_MAX - *size) {
            return error_set(err, SPOOR_ERR_LIMIT,
                             "standard input has more than the %llu GiB that are kept of a pipe; give it as a file",
                             AUDIO_SPOOL_MAX >> 30);
        }
        if (!write_all(fd, buffer, (size_t)got)) {
            return error_set(err, SPOOR_ERR_IO, "cannot put standard input aside in a temporary file: %s",
                             strerror(errno));
        }
        *size += (uint64_t)got;
    }
}

spoor_status source_open_stdin(spoor_context *ctx, source *out, spoor_error *err) {
    *out = (source){.ctx = ctx, .fd = -1};
    struct stat st;
    if (fstat(STDIN_FILENO, &st) != 0) {
        return error_set(err, SPOOR_ERR_INPUT, "cannot read standard input: %s", strerror(errno));
    }
    if (S_ISREG(st.st_mode)) {
        off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
        out->fd = STDIN_FILENO;
        out->base = at > 0 ? (uint64_t)at : 0;
        out->size = st.st_size > at && st.st_size > 0 ? (uint64_t)st.st_size - out->base : 0;
        return SPOOR_OK;
    }
    unsigned char *buffer = ctx_alloc(ctx, SPOOL_PIECE, 1);
    if (buffer == NULL) {
        return error_memory(err, "reading standard input");
    }
    spoor_status status;
    int fd = temporary_file();
    if (fd < 0) {
        status = error_set(err, SPOOR_ERR_IO, "cannot make a temporary file for standard input: %s", strerror(errno));
    } else {
        status = spool(ctx, fd, buffer, &out->size, err);
    }
    ctx_free(ctx, buffer);
    if (status != SPOOR_OK) {
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    out->fd = fd;
    out->owns_fd = true;
    return SPOOR_OK;
}

source source_of_memory(spoor_context *ctx, const void *data, size_t size) {
    return (source){.ctx = ctx, .data = data, .fd = -1, .size = size};
}

void source_close(source *s) {
    if (s->owns_fd) {
        close(s->fd);
    }
    *s = (source){.fd = -1};
}

size_t source_read(source *s, uint64_t offset, void *out, size_t n) {
    if (offset >= s->size) {
        return 0;
    }
    if (n > s->size - offset) {
        n = (size_t)(s->size - offset);
    }
    if (s->data != NULL) {
        memcpy(out, s->data + offset, n);
        return n;
    }
    size_t have = 0;
    while (have < n) {
        ssize_t got = pread(s->fd, (unsigned char *)out + have, n - have, (off_t)(s->base + offset + have));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && s->error == 0) {
            s->error = errno;
        }
        if (got <= 0) {
            break;
        }
        have += (size_t)got;
    }
    return have;
}
