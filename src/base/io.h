/* io.h: bounded reading, atomic writing, SHA-256. */
#ifndef BASE_IO_H
#define BASE_IO_H
#include "base/context.h"

/* Read a whole regular file of at most `limit` bytes; *data is NUL-terminated one past its end and freed with ctx_free.
 * A directory, a device, a missing or unreadable file: SPOOR_ERR_IO with a sentence; over the limit:
 * SPOOR_ERR_LIMIT. */
spoor_status io_read_file(spoor_context *ctx, const char *path, size_t limit, unsigned char **data, size_t *size,
                          spoor_error *err);

/* A regular file of at most `limit` bytes as read-only memory, its pages read when they are first touched; refusals as
 * io_read_file. Give it back with io_unmap. Who cuts the file short while it is mapped ends this process (SIGBUS), so
 * this is for files that a person keeps, never for what others may change. */
spoor_status io_map_file(const char *path, size_t limit, const unsigned char **data, size_t *size, spoor_error *err);
void io_unmap(const unsigned char *data, size_t size); /* NULL allowed */
/* A stretch of a mapped file is not needed for now: its pages no longer count as this process's memory. It can be read
 * again at any time. Never for memory that is not from io_map_file. */
void io_map_forget(const unsigned char *data, size_t size);
/* The first bytes of a regular file, up to size; *got is how many. */
spoor_status io_read_head(const char *path, void *head, size_t size, size_t *got, spoor_error *err);

/* Write a file so that readers see the old contents or the new, never a part: temporary file beside it, fsync, rename,
 * fsync of the folder. */
typedef struct io_writer io_writer;
spoor_status io_writer_open(spoor_context *ctx, const char *path, io_writer **out, spoor_error *err);
spoor_status io_writer_put(io_writer *w, const void *data, size_t size, spoor_error *err);
/* Finish (commit true) or throw away; frees the writer either way. */
spoor_status io_writer_close(io_writer *w, bool commit, spoor_error *err);
spoor_status io_write_file(spoor_context *ctx, const char *path, const void *data, size_t size, spoor_error *err);

/* mkdir -p */
spoor_status io_make_folder(const char *path, spoor_error *err);

/* SHA-256 as 64 hexadecimal digits and a NUL. */
void io_sha256(const void *data, size_t size, char hex[65]);
/* The first 16 of those digits as a number. */
uint64_t io_sha256_number(const char hex[65]);
spoor_status io_sha256_file(const char *path, char hex[65], spoor_error *err);
#endif
