/* int8_measure.c: see int8_measure.h. Of one encoder:
 * 1. All recordings in float32. Of the input of each product that would be int8: the largest magnitude of each column,
 * and a random sample of rows.
 * 2. Each product alone in int8, the others float32: the squared error of the hidden states on some of the recordings,
 * its harm. (Its error at its own outputs says little about that: queries and keys of Whisper-tiny's first layer, with
 * the same error as the values, harm a twentieth as much.)
 * 3. For each place where factors can go (int8_folds): s_j = max|x_j|^a / max|w_j|^(1 - a) (Xiao et al. 2023, eq. 4)
 * for a few a, and none; the one with which the products behind it harm least. A product's harm grows as the squared
 * error of its outputs, which is measured on the sample.
 * 4. Products with the largest harm for each multiplication stay bfloat16, as many as `share` of all multiplications
 * allows.
 *
 * Clipping a row's range was tried and is not here: with 0.9 of it the errors of Whisper-tiny's products were 2 to 6
 * times as large, with less still larger. */
#include "frontend/int8_measure.h"
#include "frontend/int8.h"
#include "frontend/neural.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAMPLE = 256, /* rows of each input */
    PROBES = 4    /* recordings on which hidden states are compared */
};

static const double POWERS[] = {0.3, 0.4, 0.5, 0.6, 0.7, 0.8};
static const char WHAT[] = "calibrating int8";

typedef struct input { /* of one product, or of several that have the same */
    int64_t columns;
    float *rows, *top; /* [SAMPLE, columns] of which `kept` are there; [columns] */
    int64_t kept;
    uint64_t seen;
    rng random;
} input;

typedef struct product {
    param *item;
    const char *name;
    int64_t n, k;
    input *in;
    bool first;    /* `in` is fed by this one */
    uint64_t rows; /* that it multiplied */
    double error;  /* of its outputs on the sample, relative */
    double harm;   /* squared error of the hidden states, relative, summed over them */
    bool keep;     /* bfloat16 */
} product;

typedef struct probe {
    float *samples;
    size_t n, clip;
    tensor states[ENCODER_MAX_LAYERS + 1]; /* in float32; data NULL: not compared */
} probe;

typedef struct measure {
    spoor_context *ctx;
    const neural *fe;
    encoder *e;
    const encoder_sizes *sizes;
    const int8_options *o;
    neural_scratch *scratch;
    product *products;
    input *inputs;
    size_t n, n_inputs;
    probe probes[PROBES];
    size_t n_probes;
    bool compared[ENCODER_MAX_LAYERS + 1];
    json_t *plan;
    float *values; /* of the largest parameter */
    uint64_t done, total;
} measure;

void int8_options_init(int8_options *o) { *o = (int8_options){.share = 0.1}; }

/* ---- what there is to measure ---- */

static product *find_product(const measure *m, const char *base) {
    size_t length = strlen(base);
    for (size_t i = 0; i < m->n; i++) {
        if (strncmp(m->products[i].name, base, length) == 0 && strcmp(m->products[i].name + length, ".weight") == 0) {
            return &m->products[i];
        }
    }
    return NULL;
}

/* The input that this product shares with one before it; NULL: it has its own. */
static input *shared_input(const measure *m, const char *name) {
    for (int64_t layer = 0; layer < encoder_last(m->e); layer++) {
        int8_fold fold[INT8_FOLDS];
        int n = int8_folds(m->sizes, layer, fold);
        for (int f = 0; f < n; f++) {
            for (int i = 1; i < fold[f].products; i++) {
                if (strncmp(name, fold[f].product[i], strlen(fold[f].product[i])) == 0) {
                    const product *first = find_product(m, fold[f].product[0]);
                    return first == NULL ? NULL : first->in;
                }
            }
        }
    }
    return NULL;
}

static spoor_status add_product(measure *m, param *item, spoor_error *err) {
    product *p = &m->products[m->n];
    *p = (product){.item = item, .name = encoder_name(m->e, item), .n = item->value.dim[0]};
    p->k = p->n == 0 ? 0 : tensor_count(&item->value) / p->n;
    p->in = shared_input(m, p->name);
    m->n++;
    if (p->in != NULL) {
        return SPOOR_OK;
    }
    p->first = true;
    p->in = &m->inputs[m->n_inputs];
    *p->in = (input){.columns = p->k, .random = rng_make(1, m->n_inputs)};
    m->n_inputs++;
    p->in->rows = ctx_alloc(m->ctx, (size_t)(SAMPLE * p->k), sizeof *p->in->rows);
    p->in->top = ctx_calloc(m->ctx, (size_t)p->k, sizeof *p->in->top);
    return p->in->rows == NULL || p->in->top == NULL ? error_memory(err, WHAT) : SPOOR_OK;
}

static spoor_status collect(measure *m, spoor_error *err) {
    params *all = encoder_params(m->e);
    size_t count = params_count(all);
    int64_t most = 0;
    m->products = ctx_calloc(m->ctx, count, sizeof *m->products);
    m->inputs = ctx_calloc(m->ctx, count, sizeof *m->inputs);
    if (m->products == NULL || m->inputs == NULL) {
        return error_memory(err, WHAT);
    }
    for (size_t i = 0; i < count; i++) {
        param *item = params_at(all, i);
        int64_t numbers = tensor_count(&item->value);
        most = numbers > most ? numbers : most;
        if (item->product && encoder_precision(m->e, item, COMPUTE_INT8) == COMPUTE_INT8) {
            TRY(add_product(m, item, err));
        }
    }
    m->values = ctx_alloc(m->ctx, (size_t)most, sizeof *m->values);
    const int64_t *layers;
    int64_t n = neural_states(m->fe, &layers);
    for (int64_t i = 0; i <= encoder_last(m->e); i++) {
        m->compared[i] = m->o->every_state;
    }
    for (int64_t i = 0; i < n; i++) {
        m->compared[layers[i]] = true;
    }
    return m->values == NULL ? error_memory(err, WHAT) : SPOOR_OK;
}

/* ---- values ---- */

static spoor_status read_values(const measure *m, const param *item, spoor_error *err) {
    return m->o->read != NULL && !neural_has_checkpoint(m->fe)
               ? m->o->read(m->o->read_user, item->name, item->value.ndim, item->value.dim, m->values, err)
               : neural_read_checkpoint(m->fe, item, m->values, err);
}

/* Gives an entry its values anew, with the plan's factors if there is a plan. */
static spoor_status give(measure *m, param *item, compute_precision precision, spoor_error *err) {
    TRY(read_values(m, item, err));
    if (m->plan != NULL) {
        int8_fold_values(m->plan, m->sizes, encoder_name(m->e, item), &item->value, m->values);
    }
    return item->product ? params_pack(encoder_params(m->e), item, m->values, precision, err)
                         : params_give(encoder_params(m->e), item, m->values, err);
}

/* All of them: as asked for, but for those that are to be kept in bfloat16. */
static spoor_status give_all(measure *m, compute_precision asked, spoor_error *err) {
    params *all = encoder_params(m->e);
    for (size_t i = 0; i < params_count(all); i++) {
        param *item = params_at(all, i);
        compute_precision precision = encoder_precision(m->e, item, asked);
        for (size_t p = 0; asked == COMPUTE_INT8 && p < m->n; p++) {
            precision = m->products[p].item == item && m->products[p].keep ? COMPUTE_BF16 : precision;
        }
        TRY(ctx_check_cancel(m->ctx, err));
        TRY(give(m, item, precision, err));
    }
    return SPOOR_OK;
}

/* ---- 1: inputs ---- */

/* A compute_watch_fn. Any row is in the sample with the same probability (reservoir sampling, Vitter 1985). */
static void see(void *user, const compute_weight *w, int64_t rows, const real *x, int64_t ldx) {
    measure *m = user;
    product *p = NULL;
    for (size_t i = 0; i < m->n && p == NULL; i++) {
        p = m->products[i].item->value.packed == w ? &m->products[i] : NULL;
    }
    if (p == NULL) {
        return;
    }
    p->rows += (uint64_t)rows;
    input *in = p->in;
    for (int64_t i = 0; p->first && i < rows; i++) {
        const real *row = x + i * ldx;
        for (int64_t j = 0; j < in->columns; j++) {
            float v = (float)fabs((double)row[j]);
            in->top[j] = v > in->top[j] ? v : in->top[j];
        }
        in->seen++;
        int64_t at = in->kept < SAMPLE ? in->kept++ : (int64_t)rng_below(&in->random, in->seen);
        for (int64_t j = 0; at < SAMPLE && j < in->columns; j++) {
            in->rows[at * in->columns + j] = (float)row[j];
        }
    }
}

static void step(measure *m) { ctx_progress(m->ctx, ++m->done, m->total); }

/* Weights of which every value is finite can still be too large to compute with. */
static spoor_status check_states(const measure *m, tensor *const *hidden, size_t clip, const char *precision,
                                 spoor_error *err) {
    for (int64_t s = 0; s <= encoder_last(m->e); s++) {
        for (int64_t i = 0; i < tensor_count(hidden[s]); i++) {
            if (!isfinite(hidden[s]->data[i])) {
                return error_set(err, SPOOR_ERR_MODEL,
                                 "%s: recording %zu of %zu gives numbers in hidden state %lld, "
                                 "in %s, that are not finite; the weights of the encoder are unusable: take others",
                                 WHAT, clip + 1, m->o->clips, (long long)s, precision);
            }
        }
    }
    return SPOOR_OK;
}

static spoor_status keep_probe(measure *m, const float *samples, size_t n, size_t clip, tensor *const *hidden,
                               spoor_error *err) {
    probe *p = &m->probes[m->n_probes++];
    p->n = n;
    p->clip = clip;
    p->samples = ctx_alloc(m->ctx, n, sizeof *p->samples);
    if (p->samples == NULL) {
        return error_memory(err, WHAT);
    }
    memcpy(p->samples, samples, n * sizeof *samples);
    for (int64_t i = 0; i <= encoder_last(m->e); i++) {
        if (m->compared[i]) {
            size_t count = (size_t)tensor_count(hidden[i]);
            p->states[i] = *hidden[i];
            p->states[i].data = ctx_alloc(m->ctx, count, sizeof *p->states[i].data);
            if (p->states[i].data == NULL) {
                return error_memory(err, WHAT);
            }
            memcpy(p->states[i].data, hidden[i]->data, count * sizeof *hidden[i]->data);
        }
    }
    return SPOOR_OK;
}

static spoor_status observe(measure *m, spoor_error *err) {
    size_t probes = m->o->clips < PROBES ? m->o->clips : PROBES;
    compute_watch(neural_scratch_compute(m->scratch), see, m);
    for (size_t i = 0; i < m->o->clips; i++) {
        const float *samples;
        size_t n;
        tensor *hidden[ENCODER_MAX_LAYERS + 1];
        TRY(ctx_check_cancel(m->ctx, err));
        TRY(m->o->clip(m->o->user, i, &samples, &n, err));
        TRY(neural_hidden(m->fe, m->scratch, samples, n, 0, hidden, err));
        TRY(check_states(m, hidden, i, "float32", err));
        if (i == m->n_probes * m->o->clips / probes) { /* spread over all of them */
            TRY(keep_probe(m, samples, n, i, hidden, err));
        }
        step(m);
    }
    compute_watch(neural_scratch_compute(m->scratch), NULL, NULL);
    return SPOOR_OK;
}

/* ---- 2: harm ---- */

/* y[rows, n] of the sample times the values, both with the factors (NULL: none), in a precision. */
static spoor_status try_product(measure *m, const product *p, const double *factors, compute_precision precision,
                                float *y, spoor_error *err) {
    const input *in = p->in;
    compute_weight *w = NULL;
    float *rows = ctx_alloc(m->ctx, (size_t)(in->kept * p->k), sizeof *rows);
    float *values = ctx_alloc(m->ctx, (size_t)(p->n * p->k), sizeof *values);
    spoor_status status = rows == NULL || values == NULL ? error_memory(err, WHAT) : SPOOR_OK;
    if (status == SPOOR_OK) {
        for (int64_t i = 0; i < in->kept * p->k; i++) {
            rows[i] = in->rows[i] * (float)(factors == NULL ? 1 : 1 / factors[i % p->k]);
        }
        for (int64_t i = 0; i < p->n * p->k; i++) {
            values[i] = m->values[i] * (float)(factors == NULL ? 1 : factors[i % p->k]);
        }
        status = compute_weight_new(m->ctx, values, p->n, p->k, precision, &w, err);
    }
    if (status == SPOOR_OK) {
        status = compute_weight_apply(neural_scratch_compute(m->scratch), 0, w, in->kept, rows, p->k, NULL, y, p->n,
                                      err);
    }
    compute_weight_free(w);
    ctx_free(m->ctx, values);
    ctx_free(m->ctx, rows);
    return status;
}

/* Relative squared error of a product's outputs on the sample; 0 where they are all zero. */
static spoor_status sample_error(measure *m, const product *p, const double *factors, double *out, spoor_error *err) {
    size_t count = (size_t)(p->in->kept * p->n);
    float *exact = ctx_alloc(m->ctx, count, 2 * sizeof *exact), *got = exact == NULL ? NULL : exact + count;
    double noise = 0, signal = 0;
    spoor_status status = exact == NULL ? error_memory(err, WHAT) : read_values(m, p->item, err);
    status = status != SPOOR_OK ? status : try_product(m, p, NULL, COMPUTE_F32, exact, err);
    status = status != SPOOR_OK ? status : try_product(m, p, factors, COMPUTE_INT8, got, err);
    for (size_t i = 0; status == SPOOR_OK && i < count; i++) {
        double d = (double)got[i] - (double)exact[i];
        noise += d * d;
        signal += (double)exact[i] * (double)exact[i];
    }
    ctx_free(m->ctx, exact);
    *out = signal > 0 ? noise / signal : 0;
    return status;
}

/* Relative squared error of each hidden state that is compared, over all probes; their sum in *sum. */
static spoor_status state_errors(measure *m, double *errors, double *sum, spoor_error *err) {
    double noise[ENCODER_MAX_LAYERS + 1] = {0}, signal[ENCODER_MAX_LAYERS + 1] = {0};
    for (size_t i = 0; i < m->n_probes; i++) {
        const probe *p = &m->probes[i];
        tensor *hidden[ENCODER_MAX_LAYERS + 1];
        TRY(ctx_check_cancel(m->ctx, err));
        TRY(neural_hidden(m->fe, m->scratch, p->samples, p->n, 0, hidden, err));
        TRY(check_states(m, hidden, p->clip, "int8", err));
        for (int64_t s = 0; s <= encoder_last(m->e); s++) {
            const tensor *exact = &p->states[s];
            for (int64_t j = 0; exact->data != NULL && j < tensor_count(exact); j++) {
                double d = (double)hidden[s]->data[j] - (double)exact->data[j];
                noise[s] += d * d;
                signal[s] += (double)exact->data[j] * (double)exact->data[j];
            }
        }
        step(m);
    }
    *sum = 0;
    for (int64_t s = 0; s <= encoder_last(m->e); s++) {
        errors[s] = signal[s] > 0 ? noise[s] / signal[s] : 0;
        *sum += errors[s];
    }
    return SPOOR_OK;
}

static spoor_status measure_harm(measure *m, spoor_error *err) {
    for (size_t i = 0; i < m->n; i++) {
        product *p = &m->products[i];
        double errors[ENCODER_MAX_LAYERS + 1];
        TRY(sample_error(m, p, NULL, &p->error, err));
        p->error = sqrt(p->error);
        TRY(give(m, p->item, COMPUTE_INT8, err));
        TRY(state_errors(m, errors, &p->harm, err));
        TRY(give(m, p->item, COMPUTE_F32, err));
    }
    return SPOOR_OK;
}

/* ---- 3: factors ---- */

/* max|w_j| over the rows of all products of a fold, into top[columns]. */
static spoor_status weight_tops(measure *m, const int8_fold *f, float *top, spoor_error *err) {
    for (int i = 0; i < f->products; i++) {
        const product *p = find_product(m, f->product[i]);
        TRY(read_values(m, p->item, err));
        for (int64_t j = 0; j < p->n * p->k; j++) {
            float v = fabsf(m->values[j]);
            top[j % p->k] = v > top[j % p->k] ? v : top[j % p->k];
        }
    }
    return SPOOR_OK;
}

/* The codes of s_j for one power, around a geometric mean of 1 (a common factor of all columns changes nothing). */
static void make_codes(int64_t n, const float *x, const float *w, double power, char *codes, double *factors) {
    double sum = 0, most = 0;
    for (int64_t j = 0; j < n; j++) {
        most = (double)x[j] > most ? (double)x[j] : most;
    }
    for (int64_t j = 0; j < n; j++) { /* a column that is nearly always zero counts as a small one */
        double a = fmax((double)x[j], 1e-4 * most), b = fmax((double)w[j], 1e-6);
        factors[j] = most > 0 ? power * log2(a) - (1 - power) * log2(b) : 0;
        sum += factors[j];
    }
    for (int64_t j = 0; j < n; j++) {
        codes[j] = int8_code(exp2(factors[j] - sum / (double)n));
        factors[j] = int8_factor(codes[j]);
    }
    codes[n] = '\0';
}

/* The harm of the products of a fold, summed, and the relative squared error of each. */
static spoor_status fold_harm(measure *m, const int8_fold *f, const double *factors, double each[3], double *sum,
                              spoor_error *err) {
    *sum = 0;
    for (int i = 0; i < f->products; i++) {
        const product *p = find_product(m, f->product[i]);
        TRY(sample_error(m, p, factors, &each[i], err));
        *sum += p->harm / fmax(p->error * p->error, 1e-30) * each[i];
    }
    return SPOOR_OK;
}

typedef struct room { /* for the factors of a fold */
    float *top;
    double *factors;
    char *codes;
} room;

static spoor_status choose_fold(measure *m, const int8_fold *f, room r, spoor_error *err) {
    const input *in = find_product(m, f->product[0])->in;
    double least, each[3], best[3];
    memset(r.top, 0, (size_t)in->columns * sizeof *r.top);
    TRY(weight_tops(m, f, r.top, err));
    TRY(fold_harm(m, f, NULL, best, &least, err));
    for (size_t i = 0; i < sizeof POWERS / sizeof *POWERS; i++) {
        double sum;
        TRY(ctx_check_cancel(m->ctx, err));
        make_codes(in->columns, in->top, r.top, POWERS[i], r.codes, r.factors);
        TRY(fold_harm(m, f, r.factors, each, &sum, err));
        if (sum < least) {
            least = sum;
            memcpy(best, each, sizeof best);
            if (json_object_set_new(json_object_get(m->plan, "factors"), f->source, json_string(r.codes)) != 0) {
                return error_memory(err, WHAT);
            }
        }
    }
    for (int i = 0; i < f->products; i++) {
        product *p = find_product(m, f->product[i]);
        p->harm *= best[i] / fmax(p->error * p->error, 1e-30);
        p->error = sqrt(best[i]);
    }
    return SPOOR_OK;
}

static spoor_status choose_factors(measure *m, spoor_error *err) {
    size_t width = (size_t)m->sizes->width;
    room r = {ctx_alloc(m->ctx, width, sizeof *r.top), ctx_alloc(m->ctx, width, sizeof *r.factors),
              ctx_alloc(m->ctx, width + 1, 1)};
    spoor_status status = r.top == NULL || r.factors == NULL || r.codes == NULL ? error_memory(err, WHAT) : SPOOR_OK;
    for (int64_t layer = 0; layer < encoder_last(m->e) && status == SPOOR_OK; layer++) {
        int8_fold fold[INT8_FOLDS];
        int n = int8_folds(m->sizes, layer, fold);
        for (int i = 0; i < n && status == SPOOR_OK; i++) {
            status = choose_fold(m, &fold[i], r, err);
        }
    }
    ctx_free(m->ctx, r.top);
    ctx_free(m->ctx, r.factors);
    ctx_free(m->ctx, r.codes);
    return status;
}

/* ---- 4: precisions ---- */

static double multiplications(const product *p) { return (double)p->rows * (double)p->n * (double)p->k; }

static int by_harm(const void *a, const void *b) {
    const product *p = *(product *const *)a, *q = *(product *const *)b;
    double x = p->harm / fmax(multiplications(p), 1), y = q->harm / fmax(multiplications(q), 1);
    return x > y ? -1 : x < y ? 1 : strcmp(p->name, q->name);
}

/* From the most harmful on, each that still fits. */
static spoor_status choose_kept(measure *m, spoor_error *err) {
    product **order = ctx_alloc(m->ctx, m->n, sizeof *order);
    double all = 0, kept = 0;
    if (order == NULL) {
        return error_memory(err, WHAT);
    }
    for (size_t i = 0; i < m->n; i++) {
        order[i] = &m->products[i];
        all += multiplications(order[i]);
    }
    qsort(order, m->n, sizeof *order, by_harm);
    for (size_t i = 0; i < m->n; i++) {
        double own = multiplications(order[i]);
        order[i]->keep = order[i]->harm > 0 && kept + own <= m->o->share * all;
        kept += order[i]->keep ? own : 0;
    }
    ctx_free(m->ctx, order);
    return SPOOR_OK;
}

/* ---- the plan ---- */

static json_t *rounded(double v) { /* to three digits: it is for people */
    char text[32];
    (void)snprintf(text, sizeof text, "%.3g", v);
    return json_real(strtod(text, NULL));
}

static spoor_status write_errors(measure *m, const char *key, const double *errors, spoor_error *err) {
    json_t *list = json_array();
    int failed = json_object_set_new(m->plan, key, list);
    for (int64_t i = 0; failed == 0 && i <= encoder_last(m->e); i++) { /* a list that was not taken is gone */
        if (m->compared[i]) {
            failed |= json_array_append_new(list, errors == NULL ? json_integer(i) : rounded(sqrt(errors[i])));
        }
    }
    return failed != 0 ? error_memory(err, WHAT) : SPOOR_OK;
}

static spoor_status write_products(measure *m, spoor_error *err) {
    double all = 0;
    for (size_t i = 0; i < m->n; i++) {
        all += m->products[i].harm;
    }
    for (size_t i = 0; i < m->n; i++) {
        const product *p = &m->products[i];
        json_t *entry = json_pack("{s:s, s:o, s:o}", "precision", p->keep ? "bf16" : "int8", "error", rounded(p->error),
                                  "share", rounded(all > 0 ? p->harm / all : 0));
        if (json_object_set_new(json_object_get(m->plan, "products"), p->name, entry) != 0) {
            return error_memory(err, WHAT);
        }
    }
    return SPOOR_OK;
}

/* Of every parameter that has factors put into it or is a product. */
static spoor_status write_hashes(measure *m, spoor_error *err) {
    params *all = encoder_params(m->e);
    for (size_t i = 0; i < params_count(all); i++) {
        param *item = params_at(all, i);
        const char *name = encoder_name(m->e, item);
        char hex[17];
        if (json_object_get(json_object_get(m->plan, "products"), name) == NULL &&
            !int8_touches(m->plan, m->sizes, name)) {
            continue;
        }
        TRY(read_values(m, item, err));
        int8_hash(m->values, tensor_count(&item->value), hex);
        if (json_object_set_new(json_object_get(m->plan, "hashes"), name, json_string(hex)) != 0) {
            return error_memory(err, WHAT);
        }
    }
    return SPOOR_OK;
}

static spoor_status make_plan(measure *m, spoor_error *err) {
    double before[ENCODER_MAX_LAYERS + 1], after[ENCODER_MAX_LAYERS + 1], sum;
    m->total = m->o->clips + (m->n + 2) * (m->o->clips < PROBES ? m->o->clips : PROBES);
    TRY(neural_scratch_new(m->fe, &m->scratch, err));
    TRY(observe(m, err));
    TRY(give_all(m, COMPUTE_INT8, err));
    TRY(state_errors(m, before, &sum, err));
    TRY(give_all(m, COMPUTE_F32, err));
    TRY(measure_harm(m, err));
    m->plan = json_pack("{s:I, s:{}, s:{}, s:{}}", "clips", (json_int_t)m->o->clips, "factors", "products", "hashes");
    if (m->plan == NULL) {
        return error_memory(err, WHAT);
    }
    TRY(choose_factors(m, err));
    TRY(choose_kept(m, err));
    TRY(give_all(m, COMPUTE_INT8, err));
    TRY(state_errors(m, after, &sum, err));
    TRY(write_errors(m, "states", NULL, err));
    TRY(write_errors(m, "before", before, err));
    TRY(write_errors(m, "after", after, err));
    TRY(write_products(m, err));
    return write_hashes(m, err);
}

static void clear(measure *m) {
    for (size_t i = 0; i < m->n_inputs; i++) {
        ctx_free(m->ctx, m->inputs[i].rows);
        ctx_free(m->ctx, m->inputs[i].top);
    }
    for (size_t i = 0; i < m->n_probes; i++) {
        ctx_free(m->ctx, m->probes[i].samples);
        for (size_t s = 0; s <= ENCODER_MAX_LAYERS; s++) {
            ctx_free(m->ctx, m->probes[i].states[s].data);
        }
    }
    neural_scratch_free(m->scratch);
    ctx_free(m->ctx, m->products);
    ctx_free(m->ctx, m->inputs);
    ctx_free(m->ctx, m->values);
}

spoor_status neural_measure(spoor_context *ctx, neural *fe, const int8_options *o, json_t **out, spoor_error *err) {
    *out = NULL;
    encoder *e = neural_encoder(fe);
    measure m = {.ctx = ctx, .fe = fe, .e = e, .sizes = encoder_get_sizes(e), .o = o};
    if (o->clips < 1 || !(o->share >= 0 && o->share <= 1)) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "int8 is calibrated on at least one recording, and 0 to 1 of it may stay bfloat16");
    }
    spoor_status status = collect(&m, err);
    if (status == SPOOR_OK) {
        status = make_plan(&m, err);
    }
    clear(&m);
    if (status != SPOOR_OK) {
        json_decref(m.plan);
        return status;
    }
    *out = m.plan;
    return SPOOR_OK;
}
