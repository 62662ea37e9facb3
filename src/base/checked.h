/* checked.h: arithmetic on sizes that came from outside. Each returns false instead of overflowing. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool checked_add(size_t a, size_t b, size_t *out) {
    if (a > SIZE_MAX - b) {
        return false;
    }
    *out = a + b;
    return true;
}

static inline bool checked_mul(size_t a, size_t b, size_t *out) {
    if (b != 0 && a > SIZE_MAX / b) {
        return false;
    }
    *out = a * b;
    return true;
}

static inline bool checked_mul_i64(int64_t a, int64_t b, int64_t *out) { /* for a, b >= 0 */
    if (a < 0 || b < 0 || (b != 0 && a > INT64_MAX / b)) {
        return false;
    }
    *out = a * b;
    return true;
}
#endif
