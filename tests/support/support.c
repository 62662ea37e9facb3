/* support.c: see support.h. */
#define _GNU_SOURCE
#include "support/support.h"
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

spoor_context *support_context(void) {
    spoor_context *ctx = NULL;
    spoor_error err = {0};
    support_ok(spoor_context_new(NULL, &ctx, &err), &err);
    return ctx;
}

static bool must_fail(support_failing *s) {
    s->count++;
    return s->fail_at != 0 && s->count >= s->fail_at;
}

static void *failing_alloc(void *user, size_t size) {
    support_failing *s = user;
    void *p = must_fail(s) ? NULL : malloc(size);
    s->live += p != NULL;
    return p;
}

static void *failing_realloc(void *user, void *block, size_t size) {
    support_failing *s = user;
    void *p = must_fail(s) ? NULL : realloc(block, size);
    s->live += p != NULL && block == NULL;
    return p;
}

static void failing_free(void *user, void *block) {
    support_failing *s = user;
    s->live -= block != NULL;
    free(block);
}

spoor_context *support_failing_context(support_failing *state) {
    spoor_context_options o;
    spoor_context_options_init(&o);
    o.allocator = (spoor_allocator){failing_alloc, failing_realloc, failing_free, state};
    size_t fail_at = state->fail_at;
    *state = (support_failing){0};
    spoor_context *ctx = NULL;
    spoor_error err = {0};
    support_ok(spoor_context_new(&o, &ctx, &err), &err);
    *state = (support_failing){.fail_at = fail_at};
    return ctx;
}

void support_ok(spoor_status status, const spoor_error *err) {
    if (status != SPOOR_OK) {
        fail_msg("status %s: %s", spoor_status_name(status), err == NULL ? "" : err->message);
    }
}

void support_close(double got, double want, double tolerance, const char *what) {
    double scale = fabs(want) > 1 ? fabs(want) : 1;
    if (!(fabs(got - want) <= tolerance * scale)) {
        fail_msg("%s: got %.12g, want %.12g (tolerance %g)", what, got, want, tolerance);
    }
}

double support_relative_error(const real *a, const double *b, size_t n) {
    double worst = 0, scale = 1e-30;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        if (!(d <= worst) && !isnan(worst)) { /* a NAN stays */
            worst = d;
        }
        if (fabs(b[i]) > scale) {
            scale = fabs(b[i]);
        }
    }
    return worst / scale;
}

const char *support_path(const char *relative) {
    static char buffers[8][4096];
    static unsigned next;
    char *b = buffers[next++ % 8];
    snprintf(b, 4096, "%s/%s", SPOOR_SOURCE_DIR, relative);
    return b;
}

char *support_temporary(void) {
    char *path = strdup("/tmp/spoor-test-XXXXXX");
    if (path == NULL || mkdtemp(path) == NULL) {
        fail_msg("cannot make a temporary folder");
    }
    return path;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void support_remove(const char *folder) { (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); }
