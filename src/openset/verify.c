/* verify.c: see verify.h. */
#include "openset/verify.h"
#include "openset/scorers.h"
#include <math.h>
#include <string.h>

void verify_init(verify *v) { *v = (verify){.space = VERIFY_COSINE}; }

bool verify_whitens(const openset_stats *stats) {
    return stats != NULL && (stats->kinds & OPENSET_BIT(OPENSET_MAHALANOBIS)) != 0;
}

/* ---- vectors ---- */

double verify_dot(const double *a, const double *b, size_t dim) {
    double lane[8] = {0}; /* a fixed order of sums, whatever vectors the compiler takes */
    size_t i = 0;
    for (; i + 8 <= dim; i += 8) {
        for (size_t k = 0; k < 8; k++) {
            lane[k] += a[i + k] * b[i + k];
        }
    }
    for (size_t k = 0; i + k < dim; k++) {
        lane[k] += a[i + k] * b[i + k];
    }
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static void normalise(double *u, size_t dim) {
    double length = sqrt(verify_dot(u, u, dim));
    for (size_t i = 0; i < dim; i++) {
        u[i] = length > 0 ? u[i] / length : 0;
    }
}

spoor_status verify_unit(const openset_stats *stats, const float *embedding, size_t dim, double *u, spoor_error *err) {
    for (size_t i = 0; i < dim; i++) {
        if (!isfinite(embedding[i])) {
            return error_set(err, SPOOR_ERR_INPUT, "number %zu of %zu of an embedding is not finite", i + 1, dim);
        }
    }
    if (!verify_whitens(stats)) {
        for (size_t i = 0; i < dim; i++) {
            u[i] = (double)embedding[i];
        }
    } else {
        TRY(openset_whiten(stats, embedding, u, err));
    }
    normalise(u, dim);
    return SPOOR_OK;
}

void verify_centroid(const double *u, size_t n, size_t dim, double *c) {
    for (size_t k = 0; k < dim; k++) {
        c[k] = 0;
        for (size_t i = 0; i < n; i++) {
            c[k] += u[i * dim + k];
        }
    }
    normalise(c, dim);
}

double verify_known(const openset_stats *stats, const double *u) {
    if (!verify_whitens(stats)) {
        return NAN;
    }
    double best = -1;
    for (size_t c = 0; c < stats->means; c++) {
        const float *mean = stats->mean + c * stats->dim;
        double length = openset_length(mean, stats->dim),
               cosine = length > 0 ? openset_dot(u, mean, stats->dim) / length : 0;
        best = cosine > best ? cosine : best;
    }
    return best;
}

double verify_enrolled_score(double cosine, double known) {
    return isnan(known) ? cosine : cosine - VERIFY_KNOWN_WEIGHT * known;
}

/* ---- what scores say ---- */

const verify_shot *verify_shot_of(const verify *v, size_t files) {
    const verify_shot *found = NULL;
    for (size_t i = 0; v->calibrated && i < v->n_shots; i++) {
        if (v->shot[i].files <= files) {
            found = &v->shot[i];
        }
    }
    return found;
}

double verify_enrolled_llr(const verify *v, size_t files, double score) {
    const verify_shot *shot = verify_shot_of(v, files);
    return shot == NULL ? NAN : calibrate_logistic_llr(&shot->map, score);
}

double verify_pair_llr(const verify *v, double cosine) {
    return v->calibrated ? calibrate_logistic_llr(&v->pair, cosine) : NAN;
}

double verify_threshold(const verify *v, bool whitened, size_t files, size_t sources) {
    const verify_shot *shot = verify_shot_of(v, files);
    if (shot == NULL) {
        return whitened ? VERIFY_DEFAULT_WHITENED : VERIFY_DEFAULT_COSINE;
    }
    double rate = v->false_acceptance / (double)(sources > 0 ? sources : 1);
    if (rate >= v->rate[0] || v->n_rates == 1) {
        return shot->threshold[0];
    }
    size_t i = 1;
    while (i + 1 < v->n_rates && v->rate[i] > rate) {
        i++;
    }
    double t = log(v->rate[i - 1] / rate) / log(v->rate[i - 1] / v->rate[i]);
    return shot->threshold[i - 1] + t * (shot->threshold[i] - shot->threshold[i - 1]);
}

/* ---- in a model file ---- */

static const char *const SPACES[] = {"cosine", "own"};

static json_t *numbers(const double *x, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        if (json_array_append_new(list, json_real(x[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *verify_to_json(const verify *v) {
    json_t *shots = json_array();
    int bad = shots == NULL;
    for (size_t i = 0; i < v->n_shots; i++) {
        const verify_shot *s = &v->shot[i];
        bad |= json_array_append_new(shots, json_pack("{s:I, s:o, s:o}", "files", (json_int_t)s->files, "map",
                                                      calibrate_logistic_to_json(&s->map), "thresholds",
                                                      numbers(s->threshold, v->n_rates)));
    }
    if (bad != 0) {
        json_decref(shots);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:f, s:o, s:o}", "space", SPACES[v->space], "pair",
                     calibrate_logistic_to_json(&v->pair), "false_acceptance", v->false_acceptance, "rates",
                     numbers(v->rate, v->n_rates), "enrolled", shots);
}

/* n numbers in order: rising, or falling and between 0 and 1. */
static spoor_status read_numbers(const json_t *list, const char *what, bool rising, size_t n, double *out,
                                 spoor_error *err) {
    bool good = json_array_size(list) == n;
    for (size_t i = 0; good && i < n; i++) {
        const json_t *item = json_array_get(list, i);
        out[i] = json_number_value(item);
        good = json_is_number(item) && isfinite(out[i]) && (rising ? i == 0 || out[i] >= out[i - 1]
                                                                   : out[i] > 0 && out[i] < (i == 0 ? 1 : out[i - 1]));
    }
    return good ? SPOOR_OK
                : error_set(err, SPOOR_ERR_MODEL, "verification: \"%s\" is missing or not %s", what,
                            rising ? "a rising number for each rate" : "1 to 16 falling numbers between 0 and 1");
}

static spoor_status read_shot(verify *v, const json_t *json, spoor_error *err) {
    verify_shot *s = &v->shot[v->n_shots];
    json_int_t files = json_integer_value(json_object_get(json, "files"));
    if (files < 1 || files > VERIFY_MAX_FILES || (v->n_shots == 0 ? files != 1 : files <= (json_int_t)s[-1].files)) {
        return error_set(err, SPOOR_ERR_MODEL, "verification: \"enrolled\" does not rise from 1 file to at most %d",
                         VERIFY_MAX_FILES);
    }
    s->files = (size_t)files;
    TRY(calibrate_logistic_from_json(json_object_get(json, "map"), &s->map, err));
    TRY(read_numbers(json_object_get(json, "thresholds"), "thresholds", true, v->n_rates, s->threshold, err));
    v->n_shots++;
    return SPOOR_OK;
}

spoor_status verify_from_json(const json_t *json, verify *out, spoor_error *err) {
    verify v = {.calibrated = true};
    const char *space = json_string_value(json_object_get(json, "space"));
    size_t i = 0, n = sizeof SPACES / sizeof *SPACES;
    while (i < n && (space == NULL || strcmp(space, SPACES[i]) != 0)) {
        i++;
    }
    if (i == n) {
        return error_set(err, SPOOR_ERR_MODEL, "verification: \"space\" is neither cosine nor own");
    }
    v.space = (verify_space)i;
    TRY(calibrate_logistic_from_json(json_object_get(json, "pair"), &v.pair, err));
    v.false_acceptance = json_number_value(json_object_get(json, "false_acceptance"));
    if (!(v.false_acceptance > 0 && v.false_acceptance < 1)) {
        return error_set(err, SPOOR_ERR_MODEL, "verification: \"false_acceptance\" is missing or not between 0 and 1");
    }
    const json_t *rates = json_object_get(json, "rates"), *shots = json_object_get(json, "enrolled");
    v.n_rates = json_array_size(rates);
    if (v.n_rates < 1 || v.n_rates > VERIFY_MAX_RATES) {
        return error_set(err, SPOOR_ERR_MODEL, "verification: \"rates\" is missing or not 1 to %d numbers",
                         VERIFY_MAX_RATES);
    }
    TRY(read_numbers(rates, "rates", false, v.n_rates, v.rate, err));
    if (json_array_size(shots) < 1 || json_array_size(shots) > VERIFY_MAX_SHOTS) {
        return error_set(err, SPOOR_ERR_MODEL, "verification: \"enrolled\" is missing or not 1 to %d parts",
                         VERIFY_MAX_SHOTS);
    }
    for (i = 0; i < json_array_size(shots); i++) {
        TRY(read_shot(&v, json_array_get(shots, i), err));
    }
    *out = v;
    return SPOOR_OK;
}
