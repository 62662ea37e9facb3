/* config.c: see config.h. */
#include "base/config.h"
#include <math.h>
#include <string.h>

enum { CONFIG_NAME_MAX = 64 };

/* Levenshtein distance of two short names, for "did you mean". */
static size_t distance(const char *a, const char *b) {
    size_t row[CONFIG_NAME_MAX + 1];
    size_t n = strlen(b);
    if (strlen(a) > CONFIG_NAME_MAX || n > CONFIG_NAME_MAX) {
        return CONFIG_NAME_MAX;
    }
    for (size_t j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

const char *config_nearest(const char *name, const char *const *known) {
    const char *best = known[0];
    for (size_t i = 0; known[i] != NULL; i++) {
        if (distance(name, known[i]) < distance(name, best)) {
            best = known[i];
        }
    }
    return best;
}

spoor_status config_keys(const json_t *object, const char *where, const char *const *known, spoor_error *err) {
    if (object == NULL) {
        return SPOOR_OK;
    }
    if (!json_is_object(object)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s must be a mapping of names to values", where);
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        bool found = false;
        for (size_t i = 0; known[i] != NULL && !found; i++) {
            found = strcmp(key, known[i]) == 0;
        }
        if (!found) {
            return error_set(err, SPOOR_ERR_USAGE, "%s has no setting \"%.64s\"; did you mean \"%s\"?", where, key,
                             config_nearest(key, known));
        }
    }
    return SPOOR_OK;
}

spoor_status config_int(const json_t *object, const char *where, const char *key, int64_t fallback, int64_t min,
                        int64_t max, int64_t *out, spoor_error *err) {
    const json_t *v = json_object_get(object, key);
    *out = fallback;
    if (v == NULL) {
        return SPOOR_OK;
    }
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.%s must be a whole number from %lld to %lld", where, key,
                         (long long)min, (long long)max);
    }
    *out = json_integer_value(v);
    return SPOOR_OK;
}

spoor_status config_number(const json_t *object, const char *where, const char *key, double fallback, double min,
                           double max, double *out, spoor_error *err) {
    const json_t *v = json_object_get(object, key);
    *out = fallback;
    if (v == NULL) {
        return SPOOR_OK;
    }
    double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= min && x <= max)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.%s must be a number from %g to %g", where, key, min, max);
    }
    *out = x;
    return SPOOR_OK;
}

spoor_status config_bool(const json_t *object, const char *where, const char *key, bool fallback, bool *out,
                         spoor_error *err) {
    const json_t *v = json_object_get(object, key);
    *out = fallback;
    if (v == NULL) {
        return SPOOR_OK;
    }
    if (!json_is_boolean(v)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.%s must be true or false", where, key);
    }
    *out = json_is_true(v);
    return SPOOR_OK;
}

spoor_status config_numbers(const json_t *object, const char *where, const char *key, const config_list *rule,
                            double *values, size_t *n, spoor_error *err) {
    const json_t *list = json_object_get(object, key);
    if (list == NULL) {
        return SPOOR_OK;
    }
    size_t count = json_array_size(list);
    bool good = count >= 1 && count <= rule->most && (!rule->fixed || count == *n);
    for (size_t i = 0; i < count && good; i++) {
        const json_t *v = json_array_get(list, i);
        values[i] = json_number_value(v);
        good =
            (rule->whole ? json_is_integer(v) : json_is_number(v)) && values[i] >= rule->min && values[i] <= rule->max;
    }
    if (!good) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.%s must be a list of %s%zu %s from %g to %g", where, key,
                         rule->fixed ? "" : "1 to ", rule->fixed ? *n : rule->most,
                         rule->whole ? "whole numbers" : "numbers", rule->min, rule->max);
    }
    *n = count;
    return SPOOR_OK;
}

spoor_status config_string(const json_t *object, const char *where, const char *key, const char *fallback,
                           const char **out, spoor_error *err) {
    const json_t *v = json_object_get(object, key);
    *out = fallback;
    if (v == NULL) {
        return SPOOR_OK;
    }
    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.%s must be a text", where, key);
    }
    *out = json_string_value(v);
    return SPOOR_OK;
}

spoor_status config_choice(const json_t *object, const char *where, const char *key, const char *const *choices,
                           int fallback, int *out, spoor_error *err) {
    const char *text;
    *out = fallback;
    TRY(config_string(object, where, key, choices[fallback], &text, err));
    char list[256] = "";
    for (int i = 0; choices[i] != NULL; i++) {
        if (strcmp(text, choices[i]) == 0) {
            *out = i;
            return SPOOR_OK;
        }
        if (strlen(list) + strlen(choices[i]) + 3 < sizeof list) {
            strcat(list, i == 0 ? "" : ", ");
            strcat(list, choices[i]);
        }
    }
    return error_set(err, SPOOR_ERR_USAGE, "%s.%s is \"%.64s\", but must be one of: %s", where, key, text, list);
}
