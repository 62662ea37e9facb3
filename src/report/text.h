/* text.h: the answer for a person at a terminal. */
#ifndef REPORT_TEXT_H
#define REPORT_TEXT_H
#include "trace/trace.h"
#include <stdio.h>

/* A few lines for one traced file; `top` sources are listed. */
void report_text_result(FILE *out, const spoor_result *r, size_t top);
/* Name of a file with control characters replaced, as a new string of ctx (NULL when out of memory). */
char *report_plain_name(spoor_context *ctx, const char *name);
#endif
