/* page.c: see page.h. */
#include "report/page.h"
#include "report/json.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct page {
    spoor_context *ctx;
    io_writer *out;
    spoor_status status; /* sticky: the first failed write */
    spoor_error err;
    size_t used; /* bytes of the buffer that are not written yet */
    char buffer[1 << 16];
};

static void flush(page *p) {
    if (p->status == SPOOR_OK) {
        p->status = io_writer_put(p->out, p->buffer, p->used, &p->err);
    }
    p->used = 0;
}

void page_put(page *p, const char *s) {
    for (size_t left = strlen(s), n; left > 0; left -= n, s += n) {
        size_t room = sizeof p->buffer - p->used;
        n = left < room ? left : room;
        memcpy(p->buffer + p->used, s, n);
        p->used += n;
        if (p->used == sizeof p->buffer) {
            flush(p);
        }
    }
}

void page_putf(page *p, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    page_put(p, text);
}

void page_text(page *p, const char *bytes) {
    json_t *s = report_text(bytes);
    for (const char *c = s == NULL ? "" : json_string_value(s); *c != '\0'; c++) {
        char one[2] = {*c, '\0'};
        switch (*c) {
        case '<': page_put(p, "&lt;"); break;
        case '>': page_put(p, "&gt;"); break;
        case '&': page_put(p, "&amp;"); break;
        case '"': page_put(p, "&quot;"); break;
        default: page_put(p, (unsigned char)*c < 0x20 || *c == 0x7f ? "\xef\xbf\xbd" : one);
        }
    }
    json_decref(s);
}

spoor_status page_open(spoor_context *ctx, const char *path, const char *title, const char *style, page **out,
                       spoor_error *err) {
    *out = NULL;
    page *p = ctx_calloc(ctx, 1, sizeof *p);
    if (p == NULL) {
        return error_memory(err, "writing a report");
    }
    p->ctx = ctx;
    spoor_status status = io_writer_open(ctx, path, &p->out, err);
    if (status != SPOOR_OK) {
        ctx_free(ctx, p);
        return status;
    }
    page_put(p, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                "content=\"width=device-width,initial-scale=1\"><title>");
    page_put(p, title);
    page_put(p, "</title><style>");
    page_put(p, style);
    page_put(p, "</style></head><body><main>");
    *out = p;
    return SPOOR_OK;
}

spoor_context *page_context(const page *p) { return p->ctx; }

spoor_status page_status(const page *p, spoor_error *err) {
    if (p->status != SPOOR_OK && err != NULL) {
        *err = p->err;
    }
    return p->status;
}

spoor_status page_close(page *p, bool commit, spoor_error *err) {
    if (p == NULL) {
        return SPOOR_OK;
    }
    page_put(p, "</main></body></html>\n");
    flush(p);
    spoor_status status = page_status(p, err);
    spoor_status closed = io_writer_close(p->out, commit && status == SPOOR_OK, status == SPOOR_OK ? err : NULL);
    ctx_free(p->ctx, p);
    return status != SPOOR_OK ? status : closed;
}
