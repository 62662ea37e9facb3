/* conditions.h: a model under several conditions (`spoor eval --degrade`): the list of them, and their reports side by
 * side. */
#ifndef CLI_CONDITIONS_H
#define CLI_CONDITIONS_H
#include "audio/augment/degrade.h"

enum { CONDITIONS_MAX = 32 };

typedef struct conditions {
    spoor_context *ctx;
    degrade *each[CONDITIONS_MAX];
    size_t n;
} conditions;

/* "mp3-64,noise-20" or "all"; "clean" comes first, listed or not. SPOOR_ERR_USAGE for a name that is none or stands
 * twice. */
spoor_status conditions_parse(spoor_context *ctx, const char *list, uint64_t seed, conditions *out, spoor_error *err);
void conditions_clear(conditions *c);
/* One member of "conditions": {"name", "silence", "steps", "failed", "report"}; takes the report. NULL: out of
 * memory. */
json_t *conditions_entry(const degrade *d, size_t failed, json_t *report);
/* The score file of a condition: pattern with its name in the place of CONDITIONS_PLACE; the caller frees *path. */
#define CONDITIONS_PLACE "{condition}"
spoor_status conditions_path(spoor_context *ctx, const char *pattern, const degrade *d, char **path, spoor_error *err);
/* {"system", "conditions": [...]} to standard output: figures by condition. */
void conditions_print(spoor_context *ctx, const json_t *all);
#endif
