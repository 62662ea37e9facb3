/* manifest.h: one or more lists of recordings joined into one in-memory table of clips: CSV files (RFC 4180, with a
 * header) or the protocols of data sets (protocol.h).
 * Every clip has a path; every other column is a label or a group ("source", "page", "speaker"). A missing label is
 * "". */
#ifndef DATA_MANIFEST_H
#define DATA_MANIFEST_H
#include "data/protocol.h"

enum {
    MANIFEST_MAX_ROWS = 20000000,  /* of all files */
    MANIFEST_MAX_COLUMNS = PROTOCOL_MAX_COLUMNS, /* of one file */
    MANIFEST_MAX_PATH = PROTOCOL_MAX_PATH /* bytes of a path, folder included */
};

typedef struct manifest manifest;

/* Keep only rows whose `column` has one of the values; a file without the column keeps none. */
typedef struct manifest_where {
    const char *column;
    const char *const *values;
    size_t n_values;
} manifest_where;

spoor_status manifest_new(spoor_context *ctx, manifest **out, spoor_error *err);
void manifest_free(manifest *m);

/* Add the rows of a CSV file. Paths in its column "path" are relative to `root`, or, where root is NULL, to the folder
 * of the file. What delimited_read refuses, a row with a wrong number of fields and an empty path are refused with file
 * and line. On failure the table is as it was before. */
spoor_status manifest_add(manifest *m, const char *csv, const char *root, const manifest_where *where, size_t n_where,
                          spoor_error *err);
/* The same for a list in any format. how = NULL: a CSV file. Some formats know where their paths begin (MLAAD's
 * meta.csv, a folder); `root` goes before that. */
spoor_status manifest_add_list(manifest *m, const char *list, const char *root, const protocol_options *how,
                               const manifest_where *where, size_t n_where, spoor_error *err);

size_t manifest_rows(const manifest *m);
size_t manifest_columns(const manifest *m);
/* Index of a column by its header name, or SIZE_MAX. Columns of several files with the same name are one column. */
size_t manifest_column(const manifest *m, const char *name);
const char *manifest_column_name(const manifest *m, size_t column);
/* The strings below live as long as the manifest. "" where the row's file lacks the column or column is SIZE_MAX. */
const char *manifest_cell(const manifest *m, size_t row, size_t column);
const char *manifest_id(const manifest *m, size_t row);   /* the path as the CSV has it */
const char *manifest_path(const manifest *m, size_t row); /* the path to open */
size_t manifest_list(const manifest *m, size_t row); /* which of the lists that were added, from 0 */
size_t manifest_line(const manifest *m, size_t row); /* its line in the list; 0: a folder has none */
/* True if a list says itself where its paths begin (a folder of recordings does). */
bool manifest_own_root(const manifest *m);
/* Another path of the row's list, as the row's own path is opened; freed with ctx_free, NULL = out of memory. */
char *manifest_join(const manifest *m, size_t row, const char *path);
/* True if the row passes all filters. */
bool manifest_match(const manifest *m, size_t row, const manifest_where *where, size_t n_where);

/* SPOOR_ERR_INPUT if some of the files of these rows (NULL: the first n rows) are not there or cannot be read: the
 * sentence has their number and the first names; all of them (up to 100) go to the log. */
spoor_status manifest_check_files(const manifest *m, const size_t *rows, size_t n, spoor_error *err);
#endif
