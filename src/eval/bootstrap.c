/* bootstrap.c: percentile intervals by resampling items or whole clusters; see metrics.h. */
#include "eval/metrics.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CANCEL_EVERY = 64, MAX_REPLICATES = 1000000 };

void bootstrap_options_init(bootstrap_options *options) {
    *options = (bootstrap_options){.replicates = 1000, .level = 0.95};
}

double metric_between(double a, double b, double t) {
    if (a == b || t == 0) {
        return a;
    }
    if (isinf(a) || isinf(b)) { /* no way between: the nearer */
        return t >= 0.5 ? b : a;
    }
    return t >= 0.5 ? b - (b - a) * (1 - t) : a + (b - a) * t;
}

double metric_quantile(const double *rising, size_t n, double q) {
    if (n == 0) {
        return NAN;
    }
    double position = (double)(n - 1) * (q < 0 ? 0 : q > 1 ? 1 : q);
    size_t low = (size_t)position;
    return metric_between(rising[low], rising[low + 1 < n ? low + 1 : low], position - (double)low);
}

static spoor_status check(size_t n, const bootstrap_options *o, size_t count, spoor_error *err) {
    if (o->replicates == 0 || o->replicates > MAX_REPLICATES || !(o->level > 0 && o->level < 1) || count == 0) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "a bootstrap needs 1 to %d replicates, a level between 0 and 1 and a figure to compute",
                         MAX_REPLICATES);
    }
    for (size_t i = 0; o->cluster != NULL && i < n; i++) {
        if (o->cluster[i] < 0 || (size_t)o->cluster[i] >= o->clusters) {
            return error_set(err, SPOOR_ERR_USAGE, "item %zu is in cluster %d, but clusters are 0 to %zu", i,
                             (int)o->cluster[i], o->clusters == 0 ? 0 : o->clusters - 1);
        }
    }
    return SPOOR_OK;
}

/* weight[n] of one replicate. draws[clusters] is scratch where there are clusters. */
static void resample(size_t n, const bootstrap_options *o, uint64_t replicate, uint32_t *weight, uint32_t *draws) {
    rng r = rng_make(o->seed, replicate);
    if (o->cluster == NULL) {
        memset(weight, 0, n * sizeof *weight);
        for (size_t i = 0; i < n; i++) {
            weight[rng_below(&r, n)]++;
        }
        return;
    }
    memset(draws, 0, o->clusters * sizeof *draws);
    for (size_t i = 0; i < o->clusters; i++) {
        draws[rng_below(&r, o->clusters)]++;
    }
    for (size_t i = 0; i < n; i++) {
        weight[i] = draws[o->cluster[i]];
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* values[replicates] of one figure -> its interval. */
static metric_interval summarise(double *values, const bootstrap_options *o, size_t units) {
    size_t used = 0;
    if (units < 2) { /* every resample would be the same: no interval, rather than one of width 0 */
        return (metric_interval){NAN, NAN, 0, "an interval needs at least two items or clusters"};
    }
    for (size_t r = 0; r < o->replicates; r++) {
        if (!isnan(values[r])) {
            values[used++] = values[r];
        }
    }
    if (2 * used < o->replicates || used == 0) {
        return (metric_interval){NAN, NAN, used, "it is undefined in most resamples"};
    }
    qsort(values, used, sizeof *values, by_value);
    double tail = (1 - o->level) / 2;
    return (metric_interval){metric_quantile(values, used, tail), metric_quantile(values, used, 1 - tail), used, NULL};
}

spoor_status bootstrap_intervals(spoor_context *ctx, size_t n, const bootstrap_options *options, bootstrap_fn fn,
                                 void *arg, size_t count, metric_interval *out, spoor_error *err) {
    TRY(check(n, options, count, err));
    size_t replicates = options->replicates;
    double *values = ctx_alloc(ctx, count, replicates * sizeof *values);
    double *one = ctx_alloc(ctx, count, sizeof *one);
    uint32_t *weight = ctx_alloc(ctx, n, sizeof *weight);
    uint32_t *draws = ctx_alloc(ctx, options->cluster != NULL ? options->clusters : 0, sizeof *draws);
    spoor_status status = SPOOR_OK;
    if (values == NULL || one == NULL || weight == NULL || draws == NULL) {
        status = error_memory(err, "resampling for intervals");
    }
    for (size_t r = 0; status == SPOOR_OK && r < replicates; r++) {
        if (r % CANCEL_EVERY == 0) {
            status = ctx_check_cancel(ctx, err);
        }
        resample(n, options, r, weight, draws);
        fn(arg, weight, one);
        for (size_t k = 0; k < count; k++) {
            values[k * replicates + r] = one[k];
        }
    }
    for (size_t k = 0; status == SPOOR_OK && k < count; k++) {
        out[k] = summarise(values + k * replicates, options, options->cluster == NULL ? n : options->clusters);
    }
    ctx_free(ctx, values);
    ctx_free(ctx, one);
    ctx_free(ctx, weight);
    ctx_free(ctx, draws);
    return status;
}
