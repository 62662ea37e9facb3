/* report_tables.h: everything `spoor eval` says about an evaluated set, as JSON and as text. */
#ifndef EVAL_REPORT_TABLES_H
#define EVAL_REPORT_TABLES_H
#include "eval/eval_set.h"
#include "eval/metrics.h"
#include <jansson.h>

typedef struct eval_options {
    uint64_t seed;        /* of the bootstrap */
    size_t replicates;    /* 1000; 0 = no intervals */
    bool by_page;         /* resample whole pages instead of files */
    bool confusion;       /* with confusion matrices (default on) */
    const char *system;   /* name of the model or score file, for the heading; NULL = none */
} eval_options;
void eval_options_init(eval_options *options);

/* The whole evaluation. *out is a new reference (json_decref). A figure is {"value", "low", "high"} or
 * {"value": null, "reason"}; docs/eval.md lists the members. */
spoor_status eval_report(spoor_context *ctx, const eval_set *set, const eval_options *options, json_t **out,
                         spoor_error *err);
/* The same as aligned text of at most 100 columns; *out is freed with ctx_free. Reads only what eval_report wrote. */
spoor_status eval_report_text(spoor_context *ctx, const json_t *report, char **out, spoor_error *err);
#endif
