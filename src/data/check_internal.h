/* check_internal.h: what the parts of the check share. */
#ifndef DATA_CHECK_INTERNAL_H
#define DATA_CHECK_INTERNAL_H
#include "data/check.h"

typedef struct check_set {
    size_t list;
    const char *split;
    size_t rows, files, duplicates, conflicts, bonafide;
    json_t *json; /* in report "sets" */
} check_set;

typedef struct check {
    spoor_context *ctx;
    const manifest *m;
    const char *const *lists;
    size_t n; /* rows */
    check_set *sets;
    size_t n_sets;
    int32_t *set;  /* [n] */
    int32_t *path; /* [n] the number of its path */
    size_t n_paths;
    size_t *order;   /* [n] rows by path, then as listed */
    bool *first;     /* [n] the first of its set with this path */
    int32_t *source; /* [n] the number of its source; -1: none, or bona fide */
    size_t n_sources;
    const char **source_name; /* [n_sources] */
    json_t *report, *warnings;
    size_t faults;
} check;

spoor_status check_warn(check *c, spoor_error *err, const char *format, ...) BASE_PRINTF(3, 4);
/* "eval.csv" or "all.csv (eval)" */
const char *check_set_name(const check *c, size_t set, char text[200]);
/* Adds a value to an object or array and takes the reference; false = out of memory. */
bool check_put(json_t *object, const char *key, json_t *value);
/* The text as JSON, with '?' where it is no UTF-8; NULL = out of memory. */
json_t *check_text(check *c, const char *s);
/* Sources, known and unknown, of every set; their warnings. */
spoor_status check_sources(check *c, spoor_error *err);
/* Missing files, and such as cannot be decoded. */
spoor_status check_files(check *c, bool audio, spoor_error *err);
#endif
