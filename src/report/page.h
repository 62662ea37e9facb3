/* page.h: a self-contained HTML page that is being written: text is escaped, the file appears whole or not at all. */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H
#include "base/io.h"

typedef struct page page;

/* Begins <main> after a head with this title and style sheet (both trusted text). */
spoor_status page_open(spoor_context *ctx, const char *path, const char *title, const char *style, page **out,
                       spoor_error *err);
/* Markup as it is; a failed write is kept for page_status. putf: at most 1023 bytes. */
void page_put(page *p, const char *markup);
void page_putf(page *p, const char *format, ...) BASE_PRINTF(2, 3);
/* Any bytes as text: valid UTF-8, markup and control characters escaped. */
void page_text(page *p, const char *bytes);
spoor_context *page_context(const page *p);
spoor_status page_status(const page *p, spoor_error *err);
/* commit false throws the page away. Frees p (NULL is fine) either way. */
spoor_status page_close(page *p, bool commit, spoor_error *err);
#endif
