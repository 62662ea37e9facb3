/* delimited.c: see delimited.h. Fields are unquoted in place. */
#include "data/delimited.h"
#include "base/io.h"
#include <string.h>

typedef struct reader {
    const char *path;
    unsigned char *at, *end;
    size_t line;
    char separator;
    bool quotes; /* '"' has a meaning */
} reader;

void delimited_clear(delimited *d) {
    if (d->ctx != NULL) {
        ctx_free(d->ctx, d->bytes);
        ctx_free(d->ctx, d->cells);
        ctx_free(d->ctx, d->first);
        ctx_free(d->ctx, d->line);
    }
    memset(d, 0, sizeof *d);
}

static char find_separator(const reader *r) {
    const unsigned char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
    size_t n = (size_t)((stop == NULL ? r->end : stop) - r->at);
    for (const char *s = "\t,;|"; *s != '\0'; s++) {
        if (memchr(r->at, *s, n) != NULL) {
            return *s;
        }
    }
    return ' ';
}

static bool blank(unsigned char c) { return c == ' ' || c == '\t'; }

static bool at_line_end(const reader *r) {
    return r->at == r->end || *r->at == '\n' || (*r->at == '\r' && (r->at + 1 == r->end || r->at[1] == '\n'));
}

/* A quoted field: its text is moved down over the quotes. r->at begins after the opening quote. */
static spoor_status quoted(reader *r, unsigned char **stop, spoor_error *err) {
    size_t began = r->line;
    unsigned char *to = r->at;
    for (;; r->at++) {
        if (r->at == r->end) {
            return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: a quote is opened and never closed; write a quote "
                             "inside a field twice", r->path, began);
        }
        if (*r->at == '"') {
            r->at++;
            if (r->at == r->end || *r->at != '"') {
                break;
            }
        }
        r->line += *r->at == '\n';
        *to++ = *r->at;
    }
    *stop = to;
    if (!at_line_end(r) && *r->at != (unsigned char)r->separator) {
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: text after the closing quote of a field; write a quote "
                         "inside a field twice", r->path, r->line);
    }
    return SPOOR_OK;
}

/* One field; leaves r->at on what ended it. */
static spoor_status field(reader *r, unsigned char **start, unsigned char **stop, spoor_error *err) {
    if (r->quotes && r->separator != ' ' && r->at < r->end && *r->at == '"') {
        *start = ++r->at;
        TRY(quoted(r, stop, err));
    } else {
        *start = r->at;
        while (!at_line_end(r) && (r->separator == ' ' ? !blank(*r->at) : *r->at != (unsigned char)r->separator)) {
            if (r->quotes && *r->at == '"' && r->separator == ',') {
                return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: a quote inside a field that does not begin with "
                                 "one; put the whole field in quotes and write the quote twice", r->path, r->line);
            }
            r->at++;
        }
        *stop = r->at;
    }
    if (*stop - *start > DELIMITED_MAX_FIELD) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: a field has more than %d bytes", r->path, r->line,
                         DELIMITED_MAX_FIELD);
    }
    return SPOOR_OK;
}

static void skip_blanks(reader *r) {
    while (r->separator == ' ' && r->at < r->end && blank(*r->at)) {
        r->at++;
    }
}

static spoor_status add_cell(delimited *d, reader *r, const unsigned char *cell, spoor_error *err) {
    if (d->cell_count >= DELIMITED_MAX_CELLS || d->cell_count - d->first[d->rows] >= DELIMITED_MAX_COLUMNS) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: more than %d fields in a line or %zu in the file",
                         r->path, r->line, DELIMITED_MAX_COLUMNS, DELIMITED_MAX_CELLS);
    }
    if (!ctx_grow(d->ctx, (void **)&d->cells, &d->cell_capacity, d->cell_count + 1, sizeof *d->cells)) {
        return error_memory(err, "reading a table");
    }
    d->cells[d->cell_count++] = (const char *)cell;
    return SPOOR_OK;
}

/* One line that is not blank. The byte that ends a field becomes its NUL (the file's bytes end with one already). */
static spoor_status row(delimited *d, reader *r, spoor_error *err) {
    size_t line = r->line;
    for (;;) {
        unsigned char *start = NULL, *stop = NULL;
        TRY(field(r, &start, &stop, err));
        TRY(add_cell(d, r, start, err));
        bool last = at_line_end(r);
        if (last) {
            r->at += r->at < r->end && *r->at == '\r';
            r->line += r->at < r->end;
        }
        r->at += r->at < r->end;
        *stop = '\0';
        if (!last && r->separator == ' ') { /* blanks before the line's end end no further field */
            skip_blanks(r);
            if (at_line_end(r)) {
                r->at += r->at < r->end && *r->at == '\r';
                r->line += r->at < r->end;
                r->at += r->at < r->end;
                last = true;
            }
        }
        if (last) {
            break;
        }
    }
    d->line[d->rows] = line;
    d->first[++d->rows] = d->cell_count;
    return SPOOR_OK;
}

static bool skip_blank_line(reader *r) {
    unsigned char *p = r->at;
    while (p < r->end && (blank(*p) || *p == '\r') && !(r->separator == '\t' && *p == '\t')) {
        p++;
    }
    if (p < r->end && *p != '\n') {
        return false;
    }
    r->at = p + (p < r->end);
    r->line++;
    return true;
}

static spoor_status rows(delimited *d, reader *r, spoor_error *err) {
    if (!ctx_grow(d->ctx, (void **)&d->first, &d->first_capacity, 1, sizeof *d->first)) {
        return error_memory(err, "reading a table");
    }
    d->first[0] = 0;
    while (r->at < r->end) {
        if (skip_blank_line(r)) {
            continue;
        }
        if (d->rows >= DELIMITED_MAX_LINES) {
            return error_set(err, SPOOR_ERR_LIMIT, "%s has more than %zu lines", r->path, DELIMITED_MAX_LINES);
        }
        if (!ctx_grow(d->ctx, (void **)&d->first, &d->first_capacity, d->rows + 2, sizeof *d->first) ||
            !ctx_grow(d->ctx, (void **)&d->line, &d->line_capacity, d->rows + 1, sizeof *d->line)) {
            return error_memory(err, "reading a table");
        }
        skip_blanks(r);
        TRY(row(d, r, err));
    }
    return SPOOR_OK;
}

static void take_comment(delimited *d, reader *r) {
    d->comment = "";
    if (r->at < r->end && *r->at == '#') {
        unsigned char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
        d->comment = (const char *)r->at;
        r->at = stop == NULL ? r->end : stop + 1;
        r->line++;
        if (stop != NULL) {
            *stop = '\0';
        }
    }
}

static spoor_status read_table(spoor_context *ctx, const char *path, char separator, bool quotes, delimited *out,
                               spoor_error *err) {
    memset(out, 0, sizeof *out);
    size_t size;
    TRY(io_read_file(ctx, path, DELIMITED_MAX_BYTES, &out->bytes, &size, err));
    out->ctx = ctx;
    reader r = {path, out->bytes, out->bytes + size, 1, separator, quotes};
    unsigned char *nul = memchr(out->bytes, '\0', size);
    if (nul != NULL) {
        size_t line = 1;
        for (unsigned char *p = out->bytes; p < nul; p++) {
            line += *p == '\n';
        }
        delimited_clear(out);
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: a NUL byte; this is no text file", path, line);
    }
    r.at += size >= 3 && memcmp(r.at, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* byte order mark */
    take_comment(out, &r);
    r.separator = separator == 0 ? find_separator(&r) : separator;
    out->separator = r.separator;
    spoor_status status = rows(out, &r, err);
    if (status != SPOOR_OK) {
        delimited_clear(out);
    }
    return status;
}

spoor_status delimited_read(spoor_context *ctx, const char *path, char separator, delimited *out, spoor_error *err) {
    return read_table(ctx, path, separator, true, out, err);
}

spoor_status delimited_read_unquoted(spoor_context *ctx, const char *path, char separator, delimited *out,
                                     spoor_error *err) {
    return read_table(ctx, path, separator, false, out, err);
}
