/* delimited.h: a whole delimited text file in memory: TSV, CSV (RFC 4180 quoting), semicolons, bars or blanks. Lines
 * may have different numbers of fields; what they mean is the caller's business. */
#ifndef DATA_DELIMITED_H
#define DATA_DELIMITED_H
#include "base/context.h"

enum { DELIMITED_MAX_COLUMNS = 4096, DELIMITED_MAX_FIELD = 65536 };
#define DELIMITED_MAX_BYTES ((size_t)1 << 30)
#define DELIMITED_MAX_CELLS ((size_t)1 << 27)
#define DELIMITED_MAX_LINES ((size_t)20000000)

typedef struct delimited {
    spoor_context *ctx;
    unsigned char *bytes; /* cells point into it */
    const char *comment;  /* the first line where it begins with '#', else "" */
    const char **cells;
    size_t *first;        /* [rows + 1]: where a row's cells begin */
    size_t *line;         /* [rows]: its line number, from 1 */
    size_t rows, cell_count, cell_capacity, first_capacity, line_capacity;
    char separator;
} delimited;

/* separator 0: the first of tab, comma, semicolon and bar that the first line has, else runs of blanks (' ', without
 * quoting). Blank lines are skipped. SPOOR_ERR_INPUT with file and line for a NUL byte, a quote that is not closed,
 * text after a closing one, and, between commas, a quote inside a field that does not begin with one (RFC 4180);
 * SPOOR_ERR_LIMIT over a limit above; SPOOR_ERR_IO where the file cannot be read. */
spoor_status delimited_read(spoor_context *ctx, const char *path, char separator, delimited *out, spoor_error *err);
/* The same where a quote is a character like any other (MLAAD's meta.csv). */
spoor_status delimited_read_unquoted(spoor_context *ctx, const char *path, char separator, delimited *out,
                                     spoor_error *err);
void delimited_clear(delimited *d);
static inline size_t delimited_fields(const delimited *d, size_t row) { return d->first[row + 1] - d->first[row]; }
static inline const char *delimited_cell(const delimited *d, size_t row, size_t column) {
    return d->cells[d->first[row] + column];
}
#endif
