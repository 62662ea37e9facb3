/* eval_plots.h: the pictures of eval_html.c. */
#ifndef REPORT_EVAL_PLOTS_H
#define REPORT_EVAL_PLOTS_H
#include "eval/report_tables.h"
#include "report/plot.h"

/* ROC, DET, histograms and, where the open set was measured, OSCR of the part "known" or "bonafide" of the report. */
spoor_status eval_plots_detection(spoor_context *ctx, page *p, const eval_set *set, const json_t *part, bool known,
                                  spoor_error *err);
/* "reliability" of a task. */
void eval_plots_reliability(page *p, const json_t *bins);
/* "confusion" of a task, each row by its share. */
void eval_plots_confusion(page *p, const json_t *confusion);
#endif
