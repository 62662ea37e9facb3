/* npy.h: float32 matrices as NumPy .npy files, with the names of their rows beside them (`spoor embed`). */
#ifndef EVAL_NPY_H
#define EVAL_NPY_H
#include "base/context.h"

#define NPY_MAX_BYTES ((size_t)1 << 36)

/* data[rows, cols], row-major, little-endian, format version 1.0; written whole or not at all. */
spoor_status npy_write_f32(spoor_context *ctx, const char *path, const float *data, size_t rows, size_t cols,
                           spoor_error *err);
/* Reads '<f4' or '<f8' in C order with one or two dimensions (one: cols = 1), versions 1.0 to 3.0, at most `limit`
 * bytes. *data is freed with ctx_free. Anything else: SPOOR_ERR_INPUT with a sentence. */
spoor_status npy_read_f32(spoor_context *ctx, const char *path, size_t limit, float **data, size_t *rows, size_t *cols,
                          spoor_error *err);
/* One id a line beside the matrix: for NAME.npy the file NAME.ids.txt (any other name gets .ids.txt appended). Line
 * breaks in an id become '?'. */
spoor_status npy_write_ids(spoor_context *ctx, const char *npy_path, const char *const *ids, size_t n,
                           spoor_error *err);
#endif
