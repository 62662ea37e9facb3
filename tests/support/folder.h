/* folder.h: for tests that keep files: a folder of their own, there before the first test and removed behind the last. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H
#include "base/io.h"
#include "support/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *folder;

/* The setup and the teardown of a group of tests, or the beginning and the end of them. */
static inline int folder_new(void **state) {
    (void)state;
    folder = support_temporary();
    return 0;
}

static inline int folder_remove(void **state) {
    (void)state;
    support_remove(folder);
    free(folder);
    return 0;
}

/* FOLDER/NAME, in one of eight buffers that take turns. */
static inline const char *folder_path(const char *name) {
    static char path[8][1400];
    static int next;
    char *p = path[next++ % 8];
    (void)snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static inline void folder_write(const char *name, const char *text) {
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    support_ok(io_write_file(ctx, folder_path(name), text, strlen(text), &err), &err);
    spoor_context_free(ctx);
}
#endif
