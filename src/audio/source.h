/* source.h: the bytes of a recording, whether they lie in a file, in memory or came through standard input. */
#ifndef AUDIO_SOURCE_H
#define AUDIO_SOURCE_H
#include "base/context.h"

typedef struct source {
    spoor_context *ctx;
    const unsigned char *data; /* NULL: read from fd */
    int fd;
    bool owns_fd;
    uint64_t base, size;       /* the bytes are [base, base + size) of fd */
    int error;                 /* errno of the first failed read, 0 if none */
} source;

/* `shown` is the printable name for error sentences. A folder, a device, a pipe, an unreadable file:
 * SPOOR_ERR_INPUT. */
spoor_status source_open_path(spoor_context *ctx, const char *path, const char *shown, source *out, spoor_error *err);
/* Standard input: used in place where it is a file, else put aside in an unlinked temporary file under $TMPDIR. */
spoor_status source_open_stdin(spoor_context *ctx, source *out, spoor_error *err);
source source_of_memory(spoor_context *ctx, const void *data, size_t size);
void source_close(source *s);
/* Up to n bytes from offset on; fewer only at the end or after a read error (s->error). */
size_t source_read(source *s, uint64_t offset, void *out, size_t n);
#endif
