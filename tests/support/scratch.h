/* scratch.h: for tests of file readers: one context and one file to write over and over, in a folder of its own. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H
#include "base/io.h"
#include "support/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static spoor_context *ctx;
static spoor_error err;
static char *folder, path[4200];

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    folder = support_temporary();
    snprintf(path, sizeof path, "%s/scores.tsv", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
    return 0;
}

static void write_bytes(const void *data, size_t n) { support_ok(io_write_file(ctx, path, data, n, &err), &err); }
static inline void write_text(const char *text) { write_bytes(text, strlen(text)); }

static void refused(spoor_status got, spoor_status want, const char *words) {
    assert_int_equal(got, want);
    if (strstr(err.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    }
}
#endif
