/* manifest.c: the CSV reader and the table. Fields are unquoted in place: a cell points into the file's bytes. */
#include "data/manifest.h"
#include "base/checked.h"
#include "base/io.h"
#include <string.h>
#include <unistd.h>

typedef struct source {
    unsigned char *bytes;       /* the file, fields NUL-terminated in place */
    char *folder;               /* "" or ending in '/' */
    size_t columns, path_column;
    size_t column_map[MANIFEST_MAX_COLUMNS]; /* column of the file -> column of the table */
} source;

typedef struct row {
    size_t source;
    char *path;
    const char **cells; /* of the source's columns; a slice of its block */
} row;

struct manifest {
    spoor_context *ctx;
    source **sources;
    const char ***blocks; /* one a source: cells of its rows */
    char **paths;         /* one a source: paths of its rows, joined */
    size_t n_sources, cap_sources, cap_blocks, cap_paths;
    row *rows;
    size_t n_rows, cap_rows;
    char **columns;
    size_t n_columns, cap_columns;
};

spoor_status manifest_new(spoor_context *ctx, manifest **out, spoor_error *err) {
    *out = ctx_calloc(ctx, 1, sizeof **out);
    if (!*out) {
        return error_memory(err, "making a manifest");
    }
    (*out)->ctx = ctx;
    return SPOOR_OK;
}

static void source_free(spoor_context *ctx, source *s) {
    if (s) {
        ctx_free(ctx, s->bytes);
        ctx_free(ctx, s->folder);
        ctx_free(ctx, s);
    }
}

void manifest_free(manifest *m) {
    if (!m) {
        return;
    }
    for (size_t i = 0; i < m->n_sources; i++) {
        source_free(m->ctx, m->sources[i]);
        ctx_free(m->ctx, m->blocks[i]);
        ctx_free(m->ctx, m->paths[i]);
    }
    for (size_t i = 0; i < m->n_columns; i++) {
        ctx_free(m->ctx, m->columns[i]);
    }
    ctx_free(m->ctx, m->sources);
    ctx_free(m->ctx, m->blocks);
    ctx_free(m->ctx, m->paths);
    ctx_free(m->ctx, m->rows);
    ctx_free(m->ctx, m->columns);
    ctx_free(m->ctx, m);
}

/* ---- reading fields ---- */

typedef struct reader {
    const char *name;
    unsigned char *at, *end; /* bytes[size] is a NUL that may be written over */
    size_t line;
} reader;

typedef enum field_end { FIELD_MORE, FIELD_ROW, FIELD_FILE } field_end;

/* Steps over the separator at r->at, which becomes the NUL of the field that ends at `stop`. */
static spoor_status field_close(reader *r, unsigned char *stop, field_end *end, spoor_error *err) {
    if (r->at == r->end) {
        *end = FIELD_FILE;
    } else if (*r->at == ',') {
        *end = FIELD_MORE;
        r->at++;
    } else if (*r->at == '\n' || (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n')) {
        *end = FIELD_ROW;
        r->at += *r->at == '\r' ? 2 : 1;
        r->line++;
    } else if (*r->at == '\r' && r->at + 1 == r->end) {
        *end = FIELD_FILE;
        r->at++;
    } else {
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: text after the closing quote of a field; write a quote "
                         "inside a field twice", r->name, r->line);
    }
    *stop = '\0';
    return SPOOR_OK;
}

static spoor_status quoted_field(reader *r, char **field, field_end *end, spoor_error *err) {
    size_t opened = r->line;
    unsigned char *to = ++r->at;
    *field = (char *)to;
    while (r->at < r->end) {
        if (*r->at == '"') {
            if (r->at + 1 < r->end && r->at[1] == '"') {
                r->at++;
            } else {
                r->at++;
                return field_close(r, to, end, err);
            }
        }
        r->line += *r->at == '\n';
        *to++ = *r->at++;
        if (to - (unsigned char *)*field > MANIFEST_MAX_FIELD) {
            break;
        }
    }
    if (r->at < r->end) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: a field is longer than %d bytes; is a closing quote missing?",
                         r->name, opened, MANIFEST_MAX_FIELD);
    }
    return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: a quoted field is never closed", r->name, opened);
}

static spoor_status next_field(reader *r, char **field, field_end *end, spoor_error *err) {
    if (r->at < r->end && *r->at == '"') {
        return quoted_field(r, field, end, err);
    }
    unsigned char *begin = r->at;
    *field = (char *)begin;
    while (r->at < r->end && *r->at != ',' && *r->at != '\n' &&
           !(*r->at == '\r' && (r->at + 1 == r->end || r->at[1] == '\n'))) {
        if (*r->at == '"') {
            return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: a quote inside a field that does not begin with one; put "
                             "the whole field in quotes and write the quote twice", r->name, r->line);
        }
        r->at++;
    }
    if (r->at - begin > MANIFEST_MAX_FIELD) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: a field is longer than %d bytes", r->name, r->line,
                         MANIFEST_MAX_FIELD);
    }
    return field_close(r, r->at, end, err);
}

static bool blank_line(reader *r) {
    if (r->at < r->end && *r->at == '\n') {
        r->at++;
    } else if (r->at + 1 < r->end && r->at[0] == '\r' && r->at[1] == '\n') {
        r->at += 2;
    } else {
        return false;
    }
    r->line++;
    return true;
}

/* ---- header ---- */

size_t manifest_column(const manifest *m, const char *name) {
    for (size_t i = 0; i < m->n_columns; i++) {
        if (strcmp(m->columns[i], name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

static spoor_status add_column(manifest *m, const char *name, size_t *index, spoor_error *err) {
    *index = manifest_column(m, name);
    if (*index != SIZE_MAX) {
        return SPOOR_OK;
    }
    if (!ctx_grow(m->ctx, (void **)&m->columns, &m->cap_columns, m->n_columns + 1, sizeof *m->columns)) {
        return error_memory(err, "reading a manifest");
    }
    char *copy = ctx_strdup(m->ctx, name);
    if (!copy) {
        return error_memory(err, "reading a manifest");
    }
    *index = m->n_columns;
    m->columns[m->n_columns++] = copy;
    return SPOOR_OK;
}

static spoor_status read_header(manifest *m, reader *r, source *s, spoor_error *err) {
    while (blank_line(r)) {
    }
    if (r->at == r->end) {
        return error_set(err, SPOOR_ERR_INPUT, "%s is empty; its first line must name the columns", r->name);
    }
    s->path_column = SIZE_MAX;
    for (field_end end = FIELD_MORE; end == FIELD_MORE;) {
        char *name;
        TRY(next_field(r, &name, &end, err));
        if (s->columns == MANIFEST_MAX_COLUMNS) {
            return error_set(err, SPOOR_ERR_LIMIT, "%s has more than %d columns", r->name, MANIFEST_MAX_COLUMNS);
        }
        if (!*name) {
            return error_set(err, SPOOR_ERR_INPUT, "%s: column %zu of the header has no name", r->name, s->columns + 1);
        }
        size_t index;
        TRY(add_column(m, name, &index, err));
        for (size_t i = 0; i < s->columns; i++) {
            if (s->column_map[i] == index) {
                return error_set(err, SPOOR_ERR_INPUT, "%s: the column %.80s is named twice", r->name, name);
            }
        }
        if (strcmp(name, "path") == 0) {
            s->path_column = s->columns;
        }
        s->column_map[s->columns++] = index;
    }
    if (s->path_column == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_INPUT, "%s has no column named path; its first line must name the columns", r->name);
    }
    return SPOOR_OK;
}

/* ---- rows ---- */

static bool row_passes(const manifest *m, const source *s, const char *const *cells, const manifest_where *where,
                       size_t n_where) {
    for (size_t w = 0; w < n_where; w++) {
        const char *cell = NULL;
        for (size_t c = 0; c < s->columns; c++) {
            if (strcmp(m->columns[s->column_map[c]], where[w].column) == 0) {
                cell = cells[c];
            }
        }
        bool found = false;
        for (size_t v = 0; cell && v < where[w].n_values; v++) {
            found = found || strcmp(cell, where[w].values[v]) == 0;
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static spoor_status read_cells(reader *r, const source *s, const char **cells, spoor_error *err) {
    size_t n = 0, line = r->line;
    for (field_end end = FIELD_MORE; end == FIELD_MORE; n++) {
        char *field;
        TRY(next_field(r, &field, &end, err));
        if (n < s->columns) {
            cells[n] = field;
        }
    }
    if (n != s->columns) {
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: %zu fields where the header names %zu", r->name, line, n,
                         s->columns);
    }
    size_t length = strlen(cells[s->path_column]);
    if (length == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: the path is empty", r->name, line);
    }
    if (length + strlen(s->folder) >= MANIFEST_MAX_PATH) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: the path is longer than %d bytes", r->name, line,
                         MANIFEST_MAX_PATH);
    }
    return SPOOR_OK;
}

typedef struct block {
    const char **cells;
    size_t capacity, rows;
} block;

static spoor_status read_rows(manifest *m, reader *r, const source *s, const manifest_where *where, size_t n_where,
                              block *b, spoor_error *err) {
    while (r->at < r->end) {
        if (blank_line(r)) {
            continue;
        }
        if (m->n_rows + b->rows >= MANIFEST_MAX_ROWS) {
            return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: more than %d rows in all manifests", r->name, r->line,
                             MANIFEST_MAX_ROWS);
        }
        if (!ctx_grow(m->ctx, (void **)&b->cells, &b->capacity, (b->rows + 1) * s->columns, sizeof *b->cells)) {
            return error_memory(err, "reading a manifest");
        }
        const char **cells = b->cells + b->rows * s->columns;
        TRY(read_cells(r, s, cells, err));
        b->rows += row_passes(m, s, cells, where, n_where);
    }
    return SPOOR_OK;
}

/* Takes the rows into the table: after the last allocation nothing can fail. */
static spoor_status take_rows(manifest *m, source *s, block *b, spoor_error *err) {
    size_t bytes = 1, folder = strlen(s->folder);
    for (size_t i = 0; i < b->rows; i++) {
        bytes += strlen(b->cells[i * s->columns + s->path_column]) + folder + 1;
    }
    char *paths = ctx_alloc(m->ctx, bytes, 1);
    if (!paths || !ctx_grow(m->ctx, (void **)&m->sources, &m->cap_sources, m->n_sources + 1, sizeof *m->sources) ||
        !ctx_grow(m->ctx, (void **)&m->blocks, &m->cap_blocks, m->n_sources + 1, sizeof *m->blocks) ||
        !ctx_grow(m->ctx, (void **)&m->paths, &m->cap_paths, m->n_sources + 1, sizeof *m->paths) ||
        !ctx_grow(m->ctx, (void **)&m->rows, &m->cap_rows, m->n_rows + b->rows, sizeof *m->rows)) {
        ctx_free(m->ctx, paths);
        return error_memory(err, "reading a manifest");
    }
    m->sources[m->n_sources] = s;
    m->blocks[m->n_sources] = b->cells;
    m->paths[m->n_sources] = paths;
    for (size_t i = 0; i < b->rows; i++) {
        const char **cells = b->cells + i * s->columns;
        const char *path = cells[s->path_column];
        size_t length = strlen(path), prefix = path[0] == '/' ? 0 : folder;
        memcpy(paths, s->folder, prefix);
        memcpy(paths + prefix, path, length + 1);
        m->rows[m->n_rows++] = (row){m->n_sources, paths, cells};
        paths += prefix + length + 1;
    }
    m->n_sources++;
    return SPOOR_OK;
}

static char *folder_of(spoor_context *ctx, const char *csv, const char *root) {
    if (root) {
        size_t n = strlen(root);
        return ctx_printf(ctx, "%s%s", root, n == 0 || root[n - 1] == '/' ? "" : "/");
    }
    const char *slash = strrchr(csv, '/');
    return ctx_strndup(ctx, csv, slash ? (size_t)(slash - csv) + 1 : 0);
}

static spoor_status add_source(manifest *m, source *s, block *b, const char *csv, const char *root,
                               const manifest_where *where, size_t n_where, spoor_error *err) {
    size_t size;
    TRY(io_read_file(m->ctx, csv, MANIFEST_MAX_BYTES, &s->bytes, &size, err));
    s->folder = folder_of(m->ctx, csv, root);
    if (!s->folder) {
        return error_memory(err, "reading a manifest");
    }
    unsigned char *nul = memchr(s->bytes, 0, size);
    if (nul) {
        return error_set(err, SPOOR_ERR_INPUT, "%s is not a text file: a zero byte at %zu", csv, (size_t)(nul - s->bytes));
    }
    reader r = {csv, s->bytes, s->bytes + size, 1};
    if (size >= 3 && memcmp(s->bytes, "\xEF\xBB\xBF", 3) == 0) {
        r.at += 3;
    }
    TRY(read_header(m, &r, s, err));
    TRY(read_rows(m, &r, s, where, n_where, b, err));
    return take_rows(m, s, b, err);
}

spoor_status manifest_add(manifest *m, const char *csv, const char *root, const manifest_where *where, size_t n_where,
                          spoor_error *err) {
    source *s = ctx_calloc(m->ctx, 1, sizeof *s);
    if (!s) {
        return error_memory(err, "reading a manifest");
    }
    block b = {NULL, 0, 0};
    size_t columns = m->n_columns;
    spoor_status status = add_source(m, s, &b, csv, root, where, n_where, err);
    if (status != SPOOR_OK) {
        while (m->n_columns > columns) {
            ctx_free(m->ctx, m->columns[--m->n_columns]);
        }
        ctx_free(m->ctx, b.cells);
        source_free(m->ctx, s);
    }
    return status;
}

/* ---- the table ---- */

size_t manifest_rows(const manifest *m) { return m->n_rows; }
size_t manifest_columns(const manifest *m) { return m->n_columns; }
const char *manifest_column_name(const manifest *m, size_t column) { return m->columns[column]; }
const char *manifest_path(const manifest *m, size_t i) { return m->rows[i].path; }

const char *manifest_id(const manifest *m, size_t i) {
    const row *r = &m->rows[i];
    return r->cells[m->sources[r->source]->path_column];
}

const char *manifest_cell(const manifest *m, size_t i, size_t column) {
    const row *r = &m->rows[i];
    const source *s = m->sources[r->source];
    for (size_t c = 0; c < s->columns; c++) {
        if (s->column_map[c] == column) {
            return r->cells[c];
        }
    }
    return "";
}

bool manifest_match(const manifest *m, size_t i, const manifest_where *where, size_t n_where) {
    const row *r = &m->rows[i];
    return row_passes(m, m->sources[r->source], r->cells, where, n_where);
}

spoor_status manifest_check_files(const manifest *m, const size_t *rows, size_t n, spoor_error *err) {
    enum { NAMED = 3, LOGGED = 100 };
    const char *named[NAMED] = {"", "", ""};
    size_t missing = 0;
    for (size_t i = 0; i < n; i++) {
        const char *path = manifest_path(m, rows ? rows[i] : i);
        if (access(path, R_OK) == 0) {
            continue;
        }
        if (missing < NAMED) {
            named[missing] = path;
        }
        if (missing < LOGGED) {
            ctx_log(m->ctx, SPOOR_LOG_ERROR, "missing or unreadable: %s", path);
        }
        missing++;
    }
    if (missing == 0) {
        return SPOOR_OK;
    }
    return error_set(err, SPOOR_ERR_INPUT, "%zu of %zu audio files of the manifest are missing or unreadable: %.100s%s%.100s"
                     "%s%.100s%s; is the root folder right?", missing, n, named[0], missing > 1 ? ", " : "", named[1],
                     missing > 2 ? ", " : "", named[2], missing > NAMED ? ", ..." : "");
}
