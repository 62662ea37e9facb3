/* check.h: what lists of recordings hold and what is wrong with them, as JSON for `spoor data check` (docs/data.md). */
#ifndef DATA_CHECK_H
#define DATA_CHECK_H
#include "data/manifest.h"
#include <jansson.h>

enum { CHECK_MAX_SETS = 256, CHECK_MAX_NAMED = 10000 /* files that are named in one list of the report */ };

typedef struct check_options {
    bool files; /* are the files there? */
    bool audio; /* and can they be decoded, with half a second of sound? */
} check_options;

/* lists[n_lists]: the names of what was added to the manifest, in order. A set is the rows of one list with one split.
 * *faults: how many files are missing or cannot be used, or have two different descriptions in one set. *out is a new
 * reference. SPOOR_ERR_INPUT without any row, SPOOR_ERR_LIMIT over CHECK_MAX_SETS, SPOOR_ERR_CANCELLED. */
spoor_status check_lists(spoor_context *ctx, const manifest *m, const char *const *lists, const check_options *options,
                         json_t **out, size_t *faults, spoor_error *err);
/* Do two source names look like the same system: the last parts of their paths are equal, or one goes on where the
 * other ends ("x/bark", "y/bark-small")? Letters count without case. */
bool check_near_names(const char *a, const char *b);
#endif
