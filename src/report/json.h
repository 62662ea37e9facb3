/* json.h: the documented JSON of one traced file (docs/json.md). Text from outside (file names) becomes valid UTF-8. */
#ifndef REPORT_JSON_H
#define REPORT_JSON_H
#include "trace/trace.h"
#include <jansson.h>

/* New references; NULL when out of memory. */
json_t *report_result_json(const spoor_result *r);
/* A file that could not be traced: {"file", "error": {"code", "message"}, "model", "version"}. model may be NULL. */
json_t *report_error_json(const char *file, const spoor_error *err, const spoor_model *model);
/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD. */
json_t *report_text(const char *bytes);
#endif
