/* verify_fit.h: what verify.h keeps, fitted on dev. */
#ifndef OPENSET_VERIFY_FIT_H
#define OPENSET_VERIFY_FIT_H
#include "openset/verify.h"

/* MAX_PAIRED: recordings of which all pairs are taken; evenly, of more. */
enum { VERIFY_FIT_DRAWS = 5, VERIFY_FIT_MAX_PAIRED = 4096 };

/* Synthetic dev recordings. */
typedef struct verify_data {
    const double *u;             /* [n, dim] verify_unit */
    const double *known;         /* [n] verify_known; NAN: without statistics */
    const int32_t *source;       /* [n] number of the source, in 0..sources-1 */
    const int32_t *page;         /* [n] number of the page */
    const unsigned char *is_known; /* [n] 1: a source that the model knows */
    size_t n, dim, sources;
} verify_data;

/* Into *v (its space is the caller's):
 *  - pair: all pairs of recordings; of one source those from two pages, where the source has two;
 *  - enrolled: for 1, 2, 3 and 5 files and five draws, as many recordings of each unknown source (with more than that)
 *  are enrolled
 *    and its others, those of other unknown sources and those of known sources are scored against it: the map from all,
 *    the
 *    thresholds from the known ones.
 * The same data and seed, the same bits. SPOOR_ERR_INPUT with what dev lacks: pairs of one source, unknown sources with
 * two recordings, recordings of known sources. */
spoor_status verify_fit(spoor_context *ctx, const verify_data *d, double false_acceptance, double prior, uint64_t seed,
                        verify *v, spoor_error *err);
#endif
