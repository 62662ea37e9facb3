/* html.h: one self-contained HTML file for a list of traced recordings: waveform, spectrogram, windows, ranked bars,
 * hashes, and a caution in plain words. No script, no network. */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H
#include "report/overview.h"
#include "report/page.h"
#include "trace/trace.h"

typedef page report_html;

/* The file appears whole at report_html_close, or not at all. */
spoor_status report_html_open(spoor_context *ctx, const char *path, const spoor_model *model, report_html **out,
                              spoor_error *err);
/* One section; overview may be NULL. Sections appear in the order of the calls. */
spoor_status report_html_add(report_html *h, const spoor_result *r, const overview *o, spoor_error *err);
/* A section for a file that could not be traced. */
spoor_status report_html_add_error(report_html *h, const char *file, const spoor_error *what, spoor_error *err);
/* commit false throws the report away. Frees h either way. */
spoor_status report_html_close(report_html *h, bool commit, spoor_error *err);
#endif
