/* statistics.h: what open-set scorers remember of the train set: fitted once, kept in the model file as tensors whose
 * names begin with "openset.", described by "statistics" in the file's metadata. Immutable once made, shared between
 * threads. */
#ifndef OPENSET_STATISTICS_H
#define OPENSET_STATISTICS_H
#include "openset/openset.h"

enum {
    OPENSET_MAX_DIM = 4096,     /* of an embedding for scorers with a covariance: Mahalanobis, ViM */
    OPENSET_MAX_BANK = 1 << 20, /* clips of the bank */
    OPENSET_MAX_TENSORS = 8
};

struct openset_stats {
    spoor_context *ctx;
    openset_kinds kinds;      /* scorers that these serve */
    size_t dim;               /* E */
    double confidence_offset; /* c(x) = lse(z) - this, see openset_fit */
    double vim_alpha;
    size_t bank, means, vim_dim;
    float *nsd;               /* [E] mean of u_i c_i over all train clips */
    float *bank_unit;         /* [bank, E] u_i, rounded to half precision */
    float *bank_length;       /* [bank] |f_i| */
    float *bank_confidence;   /* [bank] c_i */
    float *origin;            /* [E] mean of all f_i; Mahalanobis and ViM count from it */
    float *factor;            /* [E (E + 1) / 2] rows of the inverse of L, covariance = L L' */
    float *mean;              /* [means, E] factor (class mean - origin) */
    float *basis;             /* [vim_dim, E] orthonormal rows: the principal subspace */
};

typedef struct openset_fit_options {
    double shrinkage;      /* of the tied covariance S: (1 - shrinkage) S + shrinkage tr(S) / E I; 0..1 */
    size_t vim_dim;        /* of the principal subspace; 0: 1000 of 2048 dimensions, 512 of 768, half of fewer (the
                            * paper's), and at
                              most half as many as there are clips */
    size_t bank_per_class; /* clips of each class in the bank, evenly over the class's clips in their order */
} openset_fit_options;
void openset_fit_options_init(openset_fit_options *o); /* 0.1, 0, 50 */

/* The train clips: embedding[n, dim], logits[n, classes], label[n] in -1..classes-1, -1 = left out. */
typedef struct openset_train {
    const float *embedding, *logits;
    const int32_t *label;
    size_t n, dim, classes;
} openset_train;

/* Fit the statistics of `kinds`. Those that the data do not allow (an embedding of more than OPENSET_MAX_DIM or fewer
 * than two dimensions has no covariance scorers) are logged and missing in (*out)->kinds. Same data, same bits.
 * confidence_offset is 0, as in the papers, unless the mean lse(z) of the clips is negative, as it is for logits that
 * are log probabilities: a product of two confidences would then rise with doubt, so the least lse(z) counts as 0.
 * No labelled clip, a label out of range, a number that is not finite: SPOOR_ERR_INPUT. */
spoor_status openset_fit(spoor_context *ctx, openset_kinds kinds, const openset_train *train,
                         const openset_fit_options *o, openset_stats **out, spoor_error *err);
void openset_stats_free(openset_stats *s);

/* ---- in a model file ---- */

typedef struct openset_tensor {
    const char *name;
    int rank;
    int64_t shape[2];
    float *data;
    bool half; /* stored as F16, which loses nothing */
} openset_tensor;

/* The tensors that `kinds` need, in a fixed order; returns how many. */
size_t openset_tensors(const openset_stats *s, openset_kinds kinds, openset_tensor out[OPENSET_MAX_TENSORS]);

/* {"dim", "confidence_offset", and where `kinds` need them "bank", "means", "vim_dim", "vim_alpha"}; NULL: out of
 * memory. */
json_t *openset_stats_to_json(const openset_stats *s, openset_kinds kinds);
/* Reads one tensor of exactly this name and shape into out. */
typedef spoor_status (*openset_read_fn)(void *user, const char *name, int rank, const int64_t *shape, float *out,
                                        spoor_error *err);
/* What openset_stats_to_json described, for embeddings of width dim. max_numel: elements that all tensors of the file
 * have together, so that a description cannot ask for more memory than its file. SPOOR_ERR_MODEL names what is
 * wrong. */
spoor_status openset_stats_read(spoor_context *ctx, const json_t *json, openset_kinds kinds, size_t dim,
                                size_t max_numel, openset_read_fn read, void *user, openset_stats **out,
                                spoor_error *err);
#endif
