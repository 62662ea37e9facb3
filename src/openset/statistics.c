/* statistics.c: see statistics.h; the covariance scorers are fitted in subspace.c. */
#include "openset/scorers.h"
#include "base/logsum.h"
#include "weights/safetensors.h"
#include <math.h>
#include <string.h>

#define BANK_KINDS \
    (OPENSET_BIT(OPENSET_KNN_COSINE) | OPENSET_BIT(OPENSET_KNN_EUCLIDEAN) | OPENSET_BIT(OPENSET_NNGUIDE))
#define ORIGIN_KINDS (OPENSET_BIT(OPENSET_MAHALANOBIS) | OPENSET_BIT(OPENSET_VIM))

void openset_fit_options_init(openset_fit_options *o) {
    *o = (openset_fit_options){.shrinkage = 0.1, .vim_dim = 0, .bank_per_class = 50};
}

void openset_stats_free(openset_stats *s) {
    if (s != NULL) {
        ctx_free(s->ctx, s->nsd);
        ctx_free(s->ctx, s->bank_unit);
        ctx_free(s->ctx, s->bank_length);
        ctx_free(s->ctx, s->bank_confidence);
        ctx_free(s->ctx, s->origin);
        ctx_free(s->ctx, s->factor);
        ctx_free(s->ctx, s->mean);
        ctx_free(s->ctx, s->basis);
        ctx_free(s->ctx, s);
    }
}

/* ---- fitting ---- */

static spoor_status check(const openset_train *t, spoor_error *err) {
    size_t labelled = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (t->label[i] >= 0 && (size_t)t->label[i] >= t->classes) {
            return error_set(err, SPOOR_ERR_INPUT, "train clip %zu has label %d, of %zu classes", i + 1,
                             (int)t->label[i], t->classes);
        }
        if (t->label[i] < 0) {
            continue;
        }
        labelled++;
        for (size_t k = 0; k < t->dim; k++) {
            if (!isfinite(t->embedding[i * t->dim + k])) {
                return error_set(err, SPOOR_ERR_INPUT, "the embedding of train clip %zu is not finite", i + 1);
            }
        }
        for (size_t k = 0; k < t->classes; k++) {
            if (!isfinite(t->logits[i * t->classes + k])) {
                return error_set(err, SPOOR_ERR_INPUT, "the logits of train clip %zu are not finite", i + 1);
            }
        }
    }
    return labelled > 0 ? SPOOR_OK
                        : error_set(err, SPOOR_ERR_INPUT, "no train clip has a known class, so that no open-set scorer "
                                                          "can be fitted");
}

/* c(x) of every labelled clip, counted from the offset. */
static void take_confidences(openset_stats *s, const openset_train *t, double *confidence) {
    double sum = 0, least = INFINITY;
    for (size_t i = 0; i < t->n; i++) {
        if (t->label[i] >= 0) {
            confidence[i] = log_sum_exp(t->logits + i * t->classes, t->classes, -1, 1);
            sum += confidence[i];
            least = confidence[i] < least ? confidence[i] : least;
        }
    }
    s->confidence_offset = sum < 0 ? least : 0;
    for (size_t i = 0; i < t->n; i++) {
        confidence[i] -= t->label[i] >= 0 ? s->confidence_offset : 0;
    }
}

/* score(x) = c(x) mean_i u . u_i c_i = c(x) u . mean_i(u_i c_i): the bank is one vector. */
static spoor_status fit_nsd(openset_stats *s, const openset_train *t, const double *confidence, spoor_error *err) {
    double *sum = ctx_calloc(s->ctx, t->dim, sizeof *sum);
    s->nsd = ctx_alloc(s->ctx, t->dim, sizeof *s->nsd);
    if (sum == NULL || s->nsd == NULL) {
        ctx_free(s->ctx, sum);
        return error_memory(err, "fitting an open-set scorer");
    }
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (t->label[i] >= 0) {
            const float *f = t->embedding + i * t->dim;
            double length = openset_length(f, t->dim);
            for (size_t k = 0; length > 0 && k < t->dim; k++) {
                sum[k] += confidence[i] * ((double)f[k] / length);
            }
            n++;
        }
    }
    for (size_t k = 0; k < t->dim; k++) {
        s->nsd[k] = (float)(sum[k] / (double)n);
    }
    ctx_free(s->ctx, sum);
    return SPOOR_OK;
}

static void add_to_bank(openset_stats *s, const openset_train *t, size_t clip, double confidence) {
    const float *f = t->embedding + clip * t->dim;
    double length = openset_length(f, t->dim);
    float *unit = s->bank_unit + s->bank * t->dim;
    for (size_t k = 0; k < t->dim; k++) {
        float u = length > 0 ? (float)((double)f[k] / length) : 0;
        unit[k] = safetensors_f16_to_f32(safetensors_f32_to_f16(u));
    }
    s->bank_length[s->bank] = (float)length;
    s->bank_confidence[s->bank++] = (float)confidence;
}

/* At most `most` clips of each class: the j-th of a class of n is taken where floor(j most / n) rises. */
static spoor_status fit_bank(openset_stats *s, const openset_train *t, const double *confidence, size_t most,
                             spoor_error *err) {
    size_t *count = ctx_calloc(s->ctx, t->classes, 2 * sizeof *count), *seen = count + t->classes, size = 0;
    if (count == NULL) {
        return error_memory(err, "fitting an open-set scorer");
    }
    for (size_t i = 0; i < t->n; i++) {
        count[t->label[i] >= 0 ? t->label[i] : 0] += t->label[i] >= 0;
    }
    for (size_t c = 0; c < t->classes; c++) {
        size += count[c] < most ? count[c] : most;
    }
    spoor_status status = SPOOR_OK;
    s->bank_unit = ctx_alloc(s->ctx, size, t->dim * sizeof *s->bank_unit);
    s->bank_length = ctx_alloc(s->ctx, size, sizeof *s->bank_length);
    s->bank_confidence = ctx_alloc(s->ctx, size, sizeof *s->bank_confidence);
    if (size > OPENSET_MAX_BANK) {
        status = error_set(err, SPOOR_ERR_LIMIT, "a bank of %zu train clips is over the limit of %d; keep fewer of "
                                                 "each class",
                           size, OPENSET_MAX_BANK);
    } else if (s->bank_unit == NULL || s->bank_length == NULL || s->bank_confidence == NULL) {
        status = error_memory(err, "fitting an open-set scorer");
    }
    for (size_t i = 0; status == SPOOR_OK && i < t->n; i++) {
        if (t->label[i] >= 0) {
            size_t c = (size_t)t->label[i], keep = count[c] < most ? count[c] : most, j = seen[c]++;
            if ((j + 1) * keep / count[c] > j * keep / count[c]) {
                add_to_bank(s, t, i, confidence[i]);
            }
        }
    }
    ctx_free(s->ctx, count);
    return status;
}

static spoor_status fit_origin(openset_stats *s, const openset_train *t, spoor_error *err) {
    double *sum = ctx_calloc(s->ctx, t->dim, sizeof *sum);
    s->origin = ctx_alloc(s->ctx, t->dim, sizeof *s->origin);
    if (sum == NULL || s->origin == NULL) {
        ctx_free(s->ctx, sum);
        return error_memory(err, "fitting an open-set scorer");
    }
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        for (size_t k = 0; t->label[i] >= 0 && k < t->dim; k++) {
            sum[k] += (double)t->embedding[i * t->dim + k];
        }
        n += t->label[i] >= 0;
    }
    for (size_t k = 0; k < t->dim; k++) {
        s->origin[k] = (float)(sum[k] / (double)n);
    }
    ctx_free(s->ctx, sum);
    return SPOOR_OK;
}

static spoor_status fit(openset_stats *s, const openset_train *t, const openset_fit_options *o, double *confidence,
                        spoor_error *err) {
    take_confidences(s, t, confidence);
    if (s->kinds & OPENSET_BIT(OPENSET_NSD)) {
        TRY(fit_nsd(s, t, confidence, err));
    }
    if (s->kinds & BANK_KINDS) {
        TRY(fit_bank(s, t, confidence, o->bank_per_class, err));
    }
    if (s->kinds & ORIGIN_KINDS) {
        TRY(fit_origin(s, t, err));
    }
    if (s->kinds & OPENSET_BIT(OPENSET_MAHALANOBIS)) {
        TRY(openset_fit_mahalanobis(s, t, o->shrinkage, err));
    }
    if (s->kinds & OPENSET_BIT(OPENSET_VIM)) {
        TRY(openset_fit_vim(s, t, o->vim_dim, err));
    }
    return SPOOR_OK;
}

spoor_status openset_fit(spoor_context *ctx, openset_kinds kinds, const openset_train *t, const openset_fit_options *o,
                         openset_stats **out, spoor_error *err) {
    *out = NULL;
    if (!(o->shrinkage >= 0 && o->shrinkage <= 1) || o->bank_per_class == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "the shrinkage must be 0 to 1, and the bank must hold clips of each "
                                               "class");
    }
    TRY(check(t, err));
    openset_stats *s = ctx_calloc(ctx, 1, sizeof *s);
    double *confidence = ctx_calloc(ctx, t->n, sizeof *confidence);
    if (s == NULL || confidence == NULL) {
        ctx_free(ctx, s);
        ctx_free(ctx, confidence);
        return error_memory(err, "fitting an open-set scorer");
    }
    *s = (openset_stats){.ctx = ctx, .dim = t->dim, .kinds = kinds & OPENSET_OF_TRAIN};
    if ((s->kinds & ORIGIN_KINDS) && (t->dim > OPENSET_MAX_DIM || t->dim < 2)) {
        ctx_log(ctx, SPOOR_LOG_WARN, "embeddings of %zu numbers: mahalanobis and vim take 2 to %d and are left out",
                t->dim, OPENSET_MAX_DIM);
        s->kinds &= ~ORIGIN_KINDS;
    }
    spoor_status status = fit(s, t, o, confidence, err);
    ctx_free(ctx, confidence);
    if (status != SPOOR_OK) {
        openset_stats_free(s);
        return status;
    }
    *out = s;
    return SPOOR_OK;
}

/* ---- in a model file ---- */

/* One place of an openset_stats that a tensor goes to. */
typedef struct slot {
    openset_tensor tensor;
    openset_kinds kinds;
    float **data;
} slot;

static void list_slots(openset_stats *s, slot out[OPENSET_MAX_TENSORS]) {
    int64_t dim = (int64_t)s->dim, bank = (int64_t)s->bank;
    const openset_kinds nsd = OPENSET_BIT(OPENSET_NSD), mahalanobis = OPENSET_BIT(OPENSET_MAHALANOBIS);
    const openset_kinds euclidean = OPENSET_BIT(OPENSET_KNN_EUCLIDEAN), guide = OPENSET_BIT(OPENSET_NNGUIDE);
    const slot all[OPENSET_MAX_TENSORS] = {
        {{"openset.nsd", 1, {dim, 0}, s->nsd, false}, nsd, &s->nsd},
        {{"openset.bank", 2, {bank, dim}, s->bank_unit, true}, BANK_KINDS, &s->bank_unit},
        {{"openset.bank.length", 1, {bank, 0}, s->bank_length, false}, euclidean, &s->bank_length},
        {{"openset.bank.confidence", 1, {bank, 0}, s->bank_confidence, false}, guide, &s->bank_confidence},
        {{"openset.origin", 1, {dim, 0}, s->origin, false}, ORIGIN_KINDS, &s->origin},
        {{"openset.factor", 1, {dim * (dim + 1) / 2, 0}, s->factor, false}, mahalanobis, &s->factor},
        {{"openset.means", 2, {(int64_t)s->means, dim}, s->mean, false}, mahalanobis, &s->mean},
        {{"openset.basis", 2, {(int64_t)s->vim_dim, dim}, s->basis, false}, OPENSET_BIT(OPENSET_VIM), &s->basis},
    };
    memcpy(out, all, sizeof all);
}

size_t openset_tensors(const openset_stats *s, openset_kinds kinds, openset_tensor out[OPENSET_MAX_TENSORS]) {
    openset_stats view = *s;
    slot slots[OPENSET_MAX_TENSORS];
    size_t n = 0;
    list_slots(&view, slots);
    for (size_t i = 0; i < OPENSET_MAX_TENSORS; i++) {
        if (slots[i].kinds & kinds & s->kinds) {
            out[n++] = slots[i].tensor;
        }
    }
    return n;
}

static int put(json_t *object, const char *key, json_t *value) { return json_object_set_new(object, key, value); }

json_t *openset_stats_to_json(const openset_stats *s, openset_kinds kinds) {
    json_t *o = json_object();
    int bad = put(o, "dim", json_integer((json_int_t)s->dim));
    bad |= put(o, "confidence_offset", json_real(s->confidence_offset));
    if (kinds & BANK_KINDS) {
        bad |= put(o, "bank", json_integer((json_int_t)s->bank));
    }
    if (kinds & OPENSET_BIT(OPENSET_MAHALANOBIS)) {
        bad |= put(o, "means", json_integer((json_int_t)s->means));
    }
    if (kinds & OPENSET_BIT(OPENSET_VIM)) {
        bad |= put(o, "vim_dim", json_integer((json_int_t)s->vim_dim)) | put(o, "vim_alpha", json_real(s->vim_alpha));
    }
    if (bad != 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* A count of rows in 1..most, if `wanted`; else 0. */
static spoor_status read_count(const json_t *json, const char *key, bool wanted, size_t most, size_t *out,
                               spoor_error *err) {
    const json_t *value = json_object_get(json, key);
    *out = 0;
    if (!wanted) {
        return SPOOR_OK;
    }
    json_int_t n = json_integer_value(value);
    if (n < 1 || (unsigned long long)n > most) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: statistics.%s is missing or not 1 to %zu", key, most);
    }
    *out = (size_t)n;
    return SPOOR_OK;
}

static spoor_status read_number(const json_t *json, const char *key, double *out, spoor_error *err) {
    const json_t *value = json_object_get(json, key);
    *out = json_number_value(value);
    if (!json_is_number(value) || !isfinite(*out)) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: statistics.%s is missing or no number", key);
    }
    return SPOOR_OK;
}

static spoor_status read_sizes(openset_stats *s, const json_t *json, size_t dim, size_t max_numel, spoor_error *err) {
    size_t stated, rows = dim > 0 ? max_numel / dim : 0, bank = rows < OPENSET_MAX_BANK ? rows : OPENSET_MAX_BANK;
    TRY(read_count(json, "dim", true, SIZE_MAX, &stated, err));
    if (stated != dim) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: the statistics are of embeddings of %zu numbers, the "
                                               "network's have %zu",
                         stated, dim);
    }
    if ((s->kinds & ORIGIN_KINDS) && (dim > OPENSET_MAX_DIM || dim < 2)) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: mahalanobis and vim take embeddings of 2 to %d numbers, not "
                                               "%zu",
                         OPENSET_MAX_DIM, dim);
    }
    s->dim = dim;
    TRY(read_number(json, "confidence_offset", &s->confidence_offset, err));
    TRY(read_count(json, "bank", (s->kinds & BANK_KINDS) != 0, bank, &s->bank, err));
    TRY(read_count(json, "means", (s->kinds & OPENSET_BIT(OPENSET_MAHALANOBIS)) != 0, rows, &s->means, err));
    TRY(read_count(json, "vim_dim", (s->kinds & OPENSET_BIT(OPENSET_VIM)) != 0, dim - 1, &s->vim_dim, err));
    return s->kinds & OPENSET_BIT(OPENSET_VIM) ? read_number(json, "vim_alpha", &s->vim_alpha, err) : SPOOR_OK;
}

static spoor_status read_tensors(openset_stats *s, size_t max_numel, openset_read_fn read, void *user,
                                 spoor_error *err) {
    slot slots[OPENSET_MAX_TENSORS];
    list_slots(s, slots);
    for (size_t i = 0; i < OPENSET_MAX_TENSORS; i++) {
        const openset_tensor *t = &slots[i].tensor;
        if (!(slots[i].kinds & s->kinds)) {
            continue;
        }
        /* both are at most max_numel or OPENSET_MAX_DIM^2: no overflow */
        size_t count = (size_t)t->shape[0] * (t->rank == 2 ? (size_t)t->shape[1] : 1);
        if (count > max_numel) {
            return error_set(err, SPOOR_ERR_MODEL, "open set: the tensor %s would be larger than the file", t->name);
        }
        *slots[i].data = ctx_alloc(s->ctx, count, sizeof(float));
        if (*slots[i].data == NULL) {
            return error_memory(err, "opening a model");
        }
        TRY(read(user, t->name, t->rank, t->shape, *slots[i].data, err));
    }
    return SPOOR_OK;
}

spoor_status openset_stats_read(spoor_context *ctx, const json_t *json, openset_kinds kinds, size_t dim,
                                size_t max_numel, openset_read_fn read, void *user, openset_stats **out,
                                spoor_error *err) {
    *out = NULL;
    openset_stats *s = ctx_calloc(ctx, 1, sizeof *s);
    if (s == NULL) {
        return error_memory(err, "opening a model");
    }
    *s = (openset_stats){.ctx = ctx, .kinds = kinds & OPENSET_OF_TRAIN};
    spoor_status status = read_sizes(s, json, dim, max_numel, err);
    if (status == SPOOR_OK) {
        status = read_tensors(s, max_numel, read, user, err);
    }
    if (status != SPOOR_OK) {
        openset_stats_free(s);
        return status;
    }
    *out = s;
    return SPOOR_OK;
}
