/* int8.c: see int8.h: checking a plan, and putting it into the values of an encoder's parameters. */
#include "frontend/int8.h"
#include "base/config.h"
#include "frontend/store_format.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char WHERE[] = "the calibration of int8";

/* ---- factors ---- */

double int8_factor(char code) { return exp2((code - INT8_ONE) / 4.0); }

char int8_code(double factor) {
    double steps = factor > 0 && isfinite(factor) ? round(4 * log2(factor)) : 0;
    steps = steps > INT8_RANGE ? INT8_RANGE : steps < -INT8_RANGE ? -INT8_RANGE : steps;
    return (char)(INT8_ONE + (int)steps);
}

static void add_fold(int8_fold *out, int *n, const char *layer, const char *source, const char *const *products,
                     int count) {
    int8_fold *f = &out[(*n)++];
    f->products = count;
    (void)snprintf(f->source, INT8_NAME, "%.40s%.40s", layer, source);
    for (int i = 0; i < count; i++) {
        (void)snprintf(f->product[i], INT8_NAME, "%.40s%.40s", layer, products[i]);
    }
}

int int8_folds(const encoder_sizes *s, int64_t layer, int8_fold out[INT8_FOLDS]) {
    static const char *const whisper[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                          "self_attn.out_proj", "fc1"};
    static const char *const wav2vec2[] = {"attention.q_proj", "attention.k_proj", "attention.v_proj",
                                           "attention.out_proj", "feed_forward.intermediate_dense"};
    bool is_whisper = s->kind == ENCODER_WHISPER;
    const char *const *names = is_whisper ? whisper : wav2vec2;
    char base[40];
    int n = 0;
    (void)snprintf(base, sizeof base, "%slayers.%d.", is_whisper ? "" : "encoder.", (int)layer);
    bool before = is_whisper || s->pre_norm;
    if (before && s->kind != ENCODER_WAVLM) {
        add_fold(out, &n, base, is_whisper ? "self_attn_layer_norm" : "layer_norm", names, 3);
    }
    if (before) {
        add_fold(out, &n, base, "final_layer_norm", names + 4, 1);
    }
    add_fold(out, &n, base, names[2], names + 3, 1);
    return n;
}

/* The layer that a name belongs to; -1: none. */
static int64_t layer_of(const char *name) {
    const char *at = strstr(name, "layers.");
    char *end;
    if (at == NULL || at[7] < '0' || at[7] > '9') {
        return -1;
    }
    long n = strtol(at + 7, &end, 10);
    return *end == '.' && n < ENCODER_MAX_LAYERS ? n : -1;
}

static int folds_of(const encoder_sizes *s, const char *name, int8_fold out[INT8_FOLDS]) {
    int64_t layer = layer_of(name);
    return layer < 0 || layer >= s->layers ? 0 : int8_folds(s, layer, out);
}

/* ---- checks ---- */

static spoor_status wrong(spoor_error *err, const char *what, const char *name) {
    char shown[INT8_NAME]; /* a name from outside */
    (void)snprintf(shown, sizeof shown, "%.80s", name);
    for (unsigned char *p = (unsigned char *)shown; *p != '\0'; p++) {
        *p = *p < 0x20 || *p >= 0x7f ? '?' : *p;
    }
    return error_set(err, SPOOR_ERR_USAGE, "%s is damaged (%s %s): make it again with spoor calibrate", WHERE, what,
                     shown);
}

static bool is_factors(const json_t *value, int64_t width) {
    const char *text = json_string_value(value);
    bool good = text != NULL && json_string_length(value) == (size_t)width;
    for (int64_t i = 0; good && i < width; i++) {
        good = text[i] >= INT8_ONE - INT8_RANGE && text[i] <= INT8_ONE + INT8_RANGE;
    }
    return good;
}

static spoor_status check_factors(const json_t *factors, const encoder_sizes *s, spoor_error *err) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)factors, name, value) {
        int8_fold fold[INT8_FOLDS];
        int n = folds_of(s, name, fold);
        bool known = false;
        for (int i = 0; i < n; i++) {
            known |= strcmp(fold[i].source, name) == 0;
        }
        if (!known || !is_factors(value, s->width)) {
            return wrong(err, "factors of", name);
        }
    }
    return json_is_object(factors) ? SPOOR_OK : wrong(err, "it has no", "factors");
}

static spoor_status check_products(const json_t *products, spoor_error *err) {
    static const char *const keys[] = {"precision", "error", "share", NULL}, *const precisions[] = {"int8", "bf16",
                                                                                                    NULL};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)products, name, value) {
        int precision;
        double number;
        bool good = json_is_object(value) && json_object_get(value, "precision") != NULL &&
                    config_keys(value, WHERE, keys, NULL) == SPOOR_OK &&
                    config_choice(value, WHERE, "precision", precisions, 0, &precision, NULL) == SPOOR_OK &&
                    config_number(value, WHERE, "error", 0, 0, HUGE_VAL, &number, NULL) == SPOOR_OK &&
                    config_number(value, WHERE, "share", 0, 0, 1, &number, NULL) == SPOOR_OK;
        if (!good) {
            return wrong(err, "the product", name);
        }
    }
    return json_is_object(products) ? SPOOR_OK : wrong(err, "it has no", "products");
}

static spoor_status check_hashes(const json_t *hashes, spoor_error *err) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)hashes, name, value) {
        const char *hex = json_string_value(value);
        if (hex == NULL || strlen(hex) != 16 || strspn(hex, "0123456789abcdef") != 16) {
            return wrong(err, "the hash of", name);
        }
    }
    return json_is_object(hashes) ? SPOOR_OK : wrong(err, "it has no", "hashes");
}

spoor_status int8_check(const json_t *plan, const encoder_sizes *s, spoor_error *err) {
    static const char *const keys[] = {"clips", "states", "before", "after", "factors", "products", "hashes", NULL};
    static const char *const lists[] = {"states", "before", "after"};
    int64_t clips;
    if (!json_is_object(plan)) {
        return wrong(err, "it is no", "object");
    }
    TRY(config_keys(plan, WHERE, keys, err));
    TRY(config_int(plan, WHERE, "clips", 0, 0, INT32_MAX, &clips, err));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        double values[ENCODER_MAX_LAYERS + 1];
        size_t n = 0;
        config_list rule = {.most = ENCODER_MAX_LAYERS + 1, .min = 0, .max = 1e30};
        TRY(config_numbers(plan, WHERE, lists[i], &rule, values, &n, err));
    }
    TRY(check_factors(json_object_get(plan, "factors"), s, err));
    TRY(check_products(json_object_get(plan, "products"), err));
    return check_hashes(json_object_get(plan, "hashes"), err);
}

spoor_status int8_parse(const char *text, const encoder_sizes *s, json_t **out, spoor_error *err) {
    *out = NULL;
    json_t *plan = strlen(text) > INT8_TEXT_MAX ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    spoor_status status = plan == NULL ? wrong(err, "it is no", "JSON") : int8_check(plan, s, err);
    if (status != SPOOR_OK) {
        json_decref(plan);
        return status;
    }
    *out = plan;
    return SPOOR_OK;
}

/* ---- values ---- */

void int8_hash(const float *values, int64_t count, char hex[17]) {
    (void)snprintf(hex, 17, "%016" PRIx64, store_hash(values, (size_t)count * sizeof *values));
}

/* Whether name is "BASE.weight" or, with bias, also "BASE.bias". */
static bool belongs(const char *name, const char *base, bool bias) {
    size_t n = strlen(base);
    return strncmp(name, base, n) == 0 &&
           (strcmp(name + n, ".weight") == 0 || (bias && strcmp(name + n, ".bias") == 0));
}

static bool is_product_of(const int8_fold *f, const char *name) {
    for (int i = 0; i < f->products; i++) {
        if (belongs(name, f->product[i], false)) {
            return true;
        }
    }
    return false;
}

/* The factors of a fold in the plan if this parameter is at one of its ends; NULL. */
static const char *factors_at(const json_t *plan, const int8_fold *f, const char *name) {
    bool touched = belongs(name, f->source, true) || is_product_of(f, name);
    return touched ? json_string_value(json_object_get(json_object_get(plan, "factors"), f->source)) : NULL;
}

void int8_fold_values(const json_t *plan, const encoder_sizes *s, const char *name, const tensor *shape,
                      float *values) {
    int8_fold fold[INT8_FOLDS];
    int n = folds_of(s, name, fold);
    for (int i = 0; i < n; i++) {
        const char *codes = factors_at(plan, &fold[i], name);
        if (codes == NULL) {
            continue;
        }
        bool source = belongs(name, fold[i].source, true);
        float factor[2 * INT8_RANGE + 1]; /* of each code, once: a matrix has millions of numbers */
        for (int k = 0; k <= 2 * INT8_RANGE; k++) {
            double f = int8_factor((char)(INT8_ONE - INT8_RANGE + k));
            factor[k] = (float)(source ? 1 / f : f);
        }
        int64_t rows = shape->dim[0], columns = shape->ndim == 2 ? shape->dim[1] : 1;
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t c = 0; c < columns; c++) {
                values[r * columns + c] *= factor[codes[source ? r : c] - (INT8_ONE - INT8_RANGE)];
            }
        }
    }
}

bool int8_touches(const json_t *plan, const encoder_sizes *s, const char *name) {
    int8_fold fold[INT8_FOLDS];
    int n = folds_of(s, name, fold);
    bool touched = false;
    for (int i = 0; i < n; i++) {
        touched |= factors_at(plan, &fold[i], name) != NULL;
    }
    return touched;
}

static spoor_status check_hash(const json_t *plan, const char *name, const tensor *shape, const float *values,
                               spoor_error *err) {
    const char *expected = json_string_value(json_object_get(json_object_get(plan, "hashes"), name));
    char hex[17];
    int8_hash(values, tensor_count(shape), hex);
    if (expected == NULL) {
        return error_set(err, SPOOR_ERR_MODEL,
                         "%s does not cover the weights %.150s: make it again with spoor calibrate", WHERE, name);
    }
    if (strcmp(expected, hex) != 0) {
        return error_set(err, SPOOR_ERR_MODEL,
                         "%s was made with other weights (%.150s differs): make it again with spoor calibrate", WHERE,
                         name);
    }
    return SPOOR_OK;
}

spoor_status int8_apply(const json_t *plan, const encoder_sizes *s, const char *name, bool product, const tensor *shape,
                        float *values, compute_precision *precision, spoor_error *err) {
    if (!product && !int8_touches(plan, s, name)) {
        return SPOOR_OK;
    }
    TRY(check_hash(plan, name, shape, values, err));
    if (product) {
        const json_t *entry = json_object_get(json_object_get(plan, "products"), name);
        const char *chosen = json_string_value(json_object_get(entry, "precision"));
        if (chosen == NULL) {
            return error_set(err, SPOOR_ERR_MODEL,
                             "%s does not cover the product %.150s: make it again with spoor calibrate", WHERE, name);
        }
        *precision = strcmp(chosen, "bf16") == 0 ? COMPUTE_BF16 : COMPUTE_INT8;
    }
    int8_fold_values(plan, s, name, shape, values);
    return SPOOR_OK;
}
