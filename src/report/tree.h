/* tree.h: the tree of a verdict (trace/tree.h) for programs, terminals and reports. */
#ifndef REPORT_TREE_H
#define REPORT_TREE_H
#include "report/page.h"
#include "trace/trace.h"
#include <jansson.h>
#include <stdio.h>

/* docs/json.md, "tree"; a new reference, NULL when out of memory. */
json_t *report_tree_json(const spoor_result *r);
/* Lines for a terminal; `top` sources. Nothing where the result has no tree. */
void report_tree_text(FILE *out, const spoor_result *r, size_t top);
/* How many of the best sources are worth a line. */
size_t report_tree_sources(const trace_tree *t, size_t top);
/* Rules for the style sheet of a page that report_tree_html is to go into. */
extern const char REPORT_TREE_STYLE[];
void report_tree_html(page *h, const spoor_result *r, size_t top);
#endif
