/* report_tables.h: everything `spoor eval` says about an evaluated set, as JSON and as text. */
#ifndef EVAL_REPORT_TABLES_H
#define EVAL_REPORT_TABLES_H
#include "eval/eval_set.h"
#include "eval/merge.h"
#include "eval/metrics.h"
#include <jansson.h>

/* What the bootstrap draws: recordings, or whole pages or sources (a recording without one is one of its own). */
typedef enum eval_by { EVAL_BY_FILE, EVAL_BY_PAGE, EVAL_BY_CLASS } eval_by;
const char *eval_by_name(eval_by by); /* "file", "page", "class" */

/* Accept where score >= value; from = where the threshold is from, for the report. value NaN = none. */
typedef struct eval_threshold {
    double value;
    const char *from;
} eval_threshold;

typedef struct eval_options {
    uint64_t seed;        /* of the bootstrap */
    size_t replicates;    /* 1000; 0 = no intervals */
    eval_by by;
    bool confusion;       /* with confusion matrices (default on) */
    const char *system;   /* name of the model or score file, for the heading; NULL = none */
    dcf_profile dcf;      /* of minDCF and actDCF (default asvspoof5) */
    eval_threshold known, bonafide; /* fixed beforehand: accuracy, FRR and FAR are reported there (default none) */
    const char *open_task; /* whose answers are right or wrong in EERc, OSCR and CCR; NULL: "source" if there is one,
                              else the first task */
    const eval_merge_pair *merged; /* [n_merged] labels that were merged in the set, for the heading */
    size_t n_merged;
} eval_options;
void eval_options_init(eval_options *options);

/* The whole evaluation. *out is a new reference (json_decref). A figure is {"value", "low", "high"} or
 * {"value": null, "reason"}; docs/eval.md lists the members. */
spoor_status eval_report(spoor_context *ctx, const eval_set *set, const eval_options *options, json_t **out,
                         spoor_error *err);
/* The same as aligned text of at most 100 columns; *out is freed with ctx_free. Reads only what eval_report wrote. */
spoor_status eval_report_text(spoor_context *ctx, const json_t *report, char **out, spoor_error *err);

/* A threshold from another set (dev): of the known score, or of the bona fide score. acceptance 0: where the EER lies
 * (form asvspoof); else the greatest threshold that accepts at least that share of the targets. No labelled score of
 * both sides (with an acceptance: no target): SPOOR_ERR_INPUT. */
spoor_status eval_fix_threshold(spoor_context *ctx, const eval_set *set, bool known, double acceptance, double *out,
                                spoor_error *err);
/* AUROC of the known or of the bona fide score; NaN where a side is missing. */
spoor_status eval_set_auroc(spoor_context *ctx, const eval_set *set, bool known, double *out, spoor_error *err);
#endif
