/* target.h: what the fuzz targets share: the entry point, a check that stops the run, a context, and bytes as a file.
 */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H
#include "base/context.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                      \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline spoor_context *target_context(void) {
    spoor_context *ctx = NULL;
    CHECK(spoor_context_new(NULL, &ctx, NULL) == SPOOR_OK);
    return ctx;
}

/* A refusal has a status and a sentence. */
static inline void target_refused(spoor_status status, const spoor_error *err) {
    CHECK(status == SPOOR_OK || (err->status == status && err->message[0] != '\0' &&
                                 memchr(err->message, '\0', sizeof err->message) != NULL));
}

/* The bytes as a file in memory; path[32] opens it. Close the result. */
static inline int target_file(const uint8_t *data, size_t size, char *path) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    CHECK(fd >= 0);
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, data + done, size - done);
        CHECK(n > 0);
        done += (size_t)n;
    }
    (void)snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}
#endif
