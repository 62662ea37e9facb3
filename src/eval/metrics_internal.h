/* metrics_internal.h: sorted scores and their runs, shared by the files of two-class figures. */
#ifndef EVAL_METRICS_INTERNAL_H
#define EVAL_METRICS_INTERNAL_H
#include "eval/metrics.h"
#include <math.h>

typedef struct detection_item {
    double score;
    uint32_t index;         /* in the caller's arrays, for weights */
    uint16_t target, right; /* 0 or 1; right: a target that is also classified rightly */
} detection_item;

/* Totals of the multiset that a weight makes. */
typedef struct detection_totals {
    double targets, others;
} detection_totals;

/* A run of equal scores with its weights; doubles hold whole numbers exactly up to 2^53. */
typedef struct detection_run {
    double score, targets, right, others; /* right: of the targets */
} detection_run;

struct detection {
    spoor_context *ctx;
    detection_item *items;  /* rising score */
    detection_run *scratch; /* [n] */
    size_t n, targets;
};

detection_totals detection_count_all(const detection *d, const uint32_t *weight);
/* Why figures that need both sides are undefined; NULL = they are not. */
const char *detection_missing(detection_totals t);
/* The next run of equal scores of positive weight, upwards from *at (0 at first); false at the end. */
bool detection_run_up(const detection *d, const uint32_t *weight, size_t *at, detection_run *r);
/* The same downwards: *at is one past the items that are left (n at first). */
bool detection_run_down(const detection *d, const uint32_t *weight, size_t *at, detection_run *r);

static inline metric_value metric_undefined(const char *reason) { return (metric_value){NAN, reason}; }
static inline metric_value metric_defined(double value) { return (metric_value){value, NULL}; }
static inline double detection_weight(const detection_item *x, const uint32_t *weight) {
    return weight == NULL ? 1.0 : (double)weight[x->index];
}
#endif
