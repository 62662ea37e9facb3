/* eval_html.h: an evaluation as one self-contained HTML page: the figures of eval_report and their pictures (ROC, DET,
 * OSCR, score histograms, reliability, confusion). No script, no network; light and dark. */
#ifndef REPORT_EVAL_HTML_H
#define REPORT_EVAL_HTML_H
#include "eval/report_tables.h"

/* `report` is what eval_report made of `set`. The file appears whole or not at all. */
spoor_status report_eval_html(spoor_context *ctx, const char *path, const eval_set *set, const json_t *report,
                              spoor_error *err);
#endif
