/* verify.h: are two recordings from one source, and is a recording from an enrolled one? Cosines between embeddings,
 * and what they say as natural-log likelihood ratios. docs/enroll.md has the formulas and why they are these.
 *
 * f is an embedding. With statistics of the train set (statistics.h) y = L^-1 (f - o), o their mean, L L' their
 * covariance within classes: what varies within a source counts little. Without, y = f. u = y / |y| (0 where y is 0).
 *  - a pair:              cos = u_a . u_b
 *  - an enrolled source:  c = unit(mean of the u of its files); score = u . c - VERIFY_KNOWN_WEIGHT k(u), where k(u) is
 *  the
 *                         greatest cosine of u to the mean of a class that the model knows (without statistics: no such
 * term) Not here: the fit (verify_fit.h), the file of enrolled sources (gallery.h). */
#ifndef OPENSET_VERIFY_H
#define OPENSET_VERIFY_H
#include "openset/calibrate.h"
#include "openset/statistics.h"

enum { VERIFY_MAX_SHOTS = 8, VERIFY_MAX_RATES = 16, VERIFY_MAX_FILES = 50 /* of an enrolled source */ };
#define VERIFY_KNOWN_WEIGHT 0.5
/* What an enrolled source must score where nothing was fitted: not a rate of anything (docs/enroll.md). */
#define VERIFY_DEFAULT_WHITENED 0.1
#define VERIFY_DEFAULT_COSINE 0.6

/* Where the embeddings are compared. */
typedef enum verify_space {
    VERIFY_COSINE, /* as they are */
    VERIFY_OWN     /* whitened by statistics of its own, tensors "verify.origin", "verify.factor", "verify.means" */
} verify_space;

/* The score of a source with so many enrolled files (or more, up to the next verify_shot). */
typedef struct verify_shot {
    size_t files;
    calibrate_logistic map;              /* score -> llr */
    double threshold[VERIFY_MAX_RATES];  /* of the score; one enrolled source is taken for a known one at rate[i] */
} verify_shot;

/* What was fitted on dev and is kept in the model's metadata ("verify"). */
typedef struct verify {
    bool calibrated; /* false: nothing below means anything */
    verify_space space;
    calibrate_logistic pair;   /* cosine of two recordings -> llr */
    double false_acceptance;   /* share of recordings of known sources that a whole gallery may take */
    size_t n_rates, n_shots;
    double rate[VERIFY_MAX_RATES]; /* falling */
    verify_shot shot[VERIFY_MAX_SHOTS]; /* by rising files, the first of one file */
} verify;

void verify_init(verify *v); /* not calibrated */
/* Can embeddings be whitened by these (NULL: no)? */
bool verify_whitens(const openset_stats *stats);

/* u of an embedding; stats NULL: as it is. A number that is not finite: SPOOR_ERR_INPUT. */
spoor_status verify_unit(const openset_stats *stats, const float *embedding, size_t dim, double *u, spoor_error *err);
double verify_dot(const double *a, const double *b, size_t dim); /* the same bits with a and b exchanged */
/* c of n unit vectors u[n, dim]; n = 0 or vectors that cancel each other: 0. */
void verify_centroid(const double *u, size_t n, size_t dim, double *c);
/* k(u); NAN without statistics. */
double verify_known(const openset_stats *stats, const double *u);
double verify_enrolled_score(double cosine, double known); /* known may be NAN */

/* The part of v for a source with so many files; NULL: not calibrated. */
const verify_shot *verify_shot_of(const verify *v, size_t files);
/* LLR of an enrolled score, or of a pair's cosine; NAN: not calibrated. */
double verify_enrolled_llr(const verify *v, size_t files, double score);
double verify_pair_llr(const verify *v, double cosine);
/* The score from which on one of `sources` enrolled ones, with so many files, is named: each may take false_acceptance
 * / sources of the known recordings (Bonferroni), the threshold linear in ln(rate) between and beyond the fitted
 * rates. */
double verify_threshold(const verify *v, bool whitened, size_t files, size_t sources);

/* {"space", "pair", "false_acceptance", "rates", "enrolled": [{"files", "map", "thresholds"}]}; NULL: out of memory. */
json_t *verify_to_json(const verify *v);
spoor_status verify_from_json(const json_t *json, verify *out, spoor_error *err);
#endif
