/* error.h: filling a caller's spoor_error. Nothing here allocates. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H
#include "spoor/spoor.h"

#if defined(__GNUC__) || defined(__clang__)
#define BASE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define BASE_MUST_USE __attribute__((warn_unused_result))
#else
#define BASE_PRINTF(fmt, args)
#define BASE_MUST_USE
#endif

/* Write one sentence into *err (err may be NULL) and return `status`, so that callers can `return error_set(...)`.
 * Control characters in the arguments (file names are hostile) are replaced by '?'. */
spoor_status error_set(spoor_error *err, spoor_status status, const char *format, ...) BASE_PRINTF(3, 4);
/* "out of memory while WHAT (N bytes)" */
spoor_status error_memory(spoor_error *err, const char *what);

/* Return from the calling function if `expr` is not SPOOR_OK. */
#define TRY(expr)                             \
    do {                                      \
        spoor_status try_status_ = (expr);    \
        if (try_status_ != SPOOR_OK) {        \
            return try_status_;               \
        }                                     \
    } while (0)
#endif
