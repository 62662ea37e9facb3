/* config.h: reading a JSON object (a recipe section, a model file's metadata) with every key and range checked.
 * `where` names the object in error sentences ("network"). */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H
#include "base/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Refuse keys that are not in `known` (NULL-terminated); the sentence names the nearest known key. NULL object is
 * fine. */
spoor_status config_keys(const json_t *object, const char *where, const char *const *known, spoor_error *err);
/* The name of `known` (NULL-terminated, not empty) that is most like this one, for "did you mean". */
const char *config_nearest(const char *name, const char *const *known);
/* Missing key: the default. Wrong type or out of [min, max]: SPOOR_ERR_USAGE. */
spoor_status config_int(const json_t *object, const char *where, const char *key, int64_t fallback, int64_t min,
                        int64_t max, int64_t *out, spoor_error *err);
spoor_status config_number(const json_t *object, const char *where, const char *key, double fallback, double min,
                           double max, double *out, spoor_error *err);
spoor_status config_bool(const json_t *object, const char *where, const char *key, bool fallback, bool *out,
                         spoor_error *err);
/* One of `choices` (NULL-terminated); *out is its index. */
spoor_status config_choice(const json_t *object, const char *where, const char *key, const char *const *choices,
                           int fallback, int *out, spoor_error *err);
/* A list of *n numbers from min to max, of at least one and at most `most`; without the key, values and *n stay as they
 * are.
 * whole: only whole numbers. fixed: exactly *n of them. */
typedef struct config_list {
    size_t most;
    bool whole, fixed;
    double min, max;
} config_list;
spoor_status config_numbers(const json_t *object, const char *where, const char *key, const config_list *rule,
                            double *values, size_t *n, spoor_error *err);
/* A string; *out lives as long as the object (or is `fallback`). */
spoor_status config_string(const json_t *object, const char *where, const char *key, const char *fallback,
                           const char **out, spoor_error *err);
#endif
