/* support.h: what every test needs: cmocka, a context, an allocator that fails at the n-th call. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "base/context.h"
#include "tensor/tensor.h"

/* A plain context; free with spoor_context_free. */
spoor_context *support_context(void);

/* A context whose allocator fails from the n-th allocation on (n counts from 1; 0 = never). *count gets the number of
 * allocations made so far. Leaks are counted: support_failing_live(ctx) must be 0 after everything was freed. */
typedef struct support_failing {
    size_t fail_at, count, live;
} support_failing;
spoor_context *support_failing_context(support_failing *state);

/* Fails the test with the sentence if status is not SPOOR_OK. */
void support_ok(spoor_status status, const spoor_error *err);
/* |got - want| <= tolerance * max(1, |want|) */
void support_close(double got, double want, double tolerance, const char *what);
/* max |a-b| / max(max |b|, tiny) over n values; NAN where any is */
double support_relative_error(const real *a, const double *b, size_t n);
/* Path under the source tree, in a rotating static buffer: support_path("tests/torch/x.npy"). */
const char *support_path(const char *relative);
/* A fresh empty temporary folder; removed with support_remove. Freed by the caller with free(). */
char *support_temporary(void);
void support_remove(const char *folder);
#endif
