/* openset.c: see openset.h. */
#include "openset/openset.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[OPENSET_KINDS] = {"energy", "max_logit", "msp"};

void openset_init(openset *o) {
    *o = (openset){.kind = OPENSET_ENERGY, .temperature = 1, .threshold = -INFINITY, .acceptance = 0};
}

const char *openset_kind_name(openset_kind kind) {
    return (unsigned)kind < OPENSET_KINDS ? kind_names[kind] : "unknown";
}

spoor_status openset_kind_parse(const char *name, openset_kind *out, spoor_error *err) {
    for (unsigned k = 0; k < OPENSET_KINDS; k++) {
        if (strcmp(name, kind_names[k]) == 0) {
            *out = (openset_kind)k;
            return SPOOR_OK;
        }
    }
    return error_set(err, SPOOR_ERR_USAGE, "there is no open-set scorer called \"%.60s\"; choose energy, max_logit or msp",
                     name);
}

spoor_status openset_score(const openset *o, const float *logits, size_t classes, const float *embedding, size_t dim,
                           double *score, spoor_error *err) {
    (void)embedding;
    (void)dim;
    if (classes == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "an open-set score needs the logits of at least one class");
    }
    double most = -INFINITY, sum = 0;
    for (size_t k = 0; k < classes; k++) {
        if (!isfinite(logits[k])) {
            return error_set(err, SPOOR_ERR_INPUT, "logit %zu of %zu is not a finite number", k + 1, classes);
        }
        most = logits[k] > most ? (double)logits[k] : most;
    }
    for (size_t k = 0; k < classes; k++) {
        sum += exp(((double)logits[k] - most) / o->temperature);
    }
    switch (o->kind) {
    case OPENSET_ENERGY: *score = most + o->temperature * log(sum); break;
    case OPENSET_MAX_LOGIT: *score = most; break;
    case OPENSET_MSP: *score = 1 / sum; break;
    case OPENSET_KINDS: return error_set(err, SPOOR_ERR_MODEL, "the open-set scorer is not one that this version knows");
    }
    return SPOOR_OK;
}

static int falling(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

spoor_status openset_fix_threshold(spoor_context *ctx, openset *o, const double *known, size_t n, double acceptance,
                                   spoor_error *err) {
    if (!(acceptance > 0 && acceptance <= 1)) {
        return error_set(err, SPOOR_ERR_USAGE, "the share of known sources to accept must be above 0 and at most 1, not %g",
                         acceptance);
    }
    if (n == 0) {
        return error_set(err, SPOOR_ERR_INPUT,
                         "no recording of a known source is in the set, so that no threshold can be fixed on it");
    }
    for (size_t i = 0; i < n; i++) {
        if (isnan(known[i])) {
            return error_set(err, SPOOR_ERR_INPUT, "known score %zu of %zu is not a number", i + 1, n);
        }
    }
    double *sorted = ctx_alloc(ctx, n, sizeof *sorted);
    if (sorted == NULL) {
        return error_memory(err, "fixing a threshold");
    }
    memcpy(sorted, known, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, falling);
    double accepted = ceil(acceptance * (double)n - 1e-9); /* the product may be a hair above a whole number */
    size_t k = accepted < 1 ? 1 : accepted > (double)n ? n : (size_t)accepted;
    o->threshold = sorted[k - 1];
    o->acceptance = acceptance;
    ctx_free(ctx, sorted);
    return SPOOR_OK;
}

json_t *openset_to_json(const openset *o) {
    json_t *threshold = isfinite(o->threshold) ? json_real(o->threshold) : json_null();
    return json_pack("{s:s, s:f, s:o, s:f}", "scorer", openset_kind_name(o->kind), "temperature", o->temperature,
                     "threshold", threshold, "acceptance", o->acceptance);
}

spoor_status openset_from_json(const json_t *json, openset *out, spoor_error *err) {
    openset o;
    openset_init(&o);
    const json_t *scorer = json_object_get(json, "scorer"), *temperature = json_object_get(json, "temperature"),
                 *threshold = json_object_get(json, "threshold"), *acceptance = json_object_get(json, "acceptance");
    if (!json_is_string(scorer) || openset_kind_parse(json_string_value(scorer), &o.kind, NULL) != SPOOR_OK) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: \"scorer\" is missing or none that this version knows");
    }
    o.temperature = json_number_value(temperature);
    if (!(o.temperature > 0) || !isfinite(o.temperature)) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: \"temperature\" is missing or not above 0");
    }
    if (json_is_number(threshold)) {
        o.threshold = json_number_value(threshold);
    } else if (!json_is_null(threshold)) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: \"threshold\" is missing or no number");
    }
    o.acceptance = json_number_value(acceptance);
    if (!json_is_number(acceptance) || !(o.acceptance >= 0 && o.acceptance <= 1)) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: \"acceptance\" is missing or outside 0..1");
    }
    *out = o;
    return SPOOR_OK;
}
