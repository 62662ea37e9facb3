/* eigen.c: see eigen.h. */
#include "openset/eigen.h"
#include <lapacke.h>

spoor_status eigen_symmetric(spoor_context *ctx, double *s, size_t dim, double *value, spoor_error *err) {
    lapack_int n = (lapack_int)dim, whole = 0;
    double size = 0;
    lapack_int info = LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'U', n, s, n, value, &size, -1, &whole, -1);
    double *work = ctx_alloc(ctx, (size_t)size, sizeof *work);
    lapack_int *numbers = ctx_alloc(ctx, (size_t)whole, sizeof *numbers);
    spoor_status status = SPOOR_OK;
    if (work == NULL || numbers == NULL) {
        status = error_memory(err, "finding the eigenvectors of a covariance");
    } else if (info != 0 || LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'U', n, s, n, value, work, (lapack_int)size,
                                                numbers, whole) != 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "the eigenvectors of a covariance of embeddings cannot be computed");
    }
    ctx_free(ctx, work);
    ctx_free(ctx, numbers);
    return status;
}
