/* manifest.c: several CSV files as one table; a cell points into the bytes of its file. */
#include "data/manifest.h"
#include "data/delimited.h"
#include <string.h>
#include <unistd.h>

typedef struct source {
    delimited table; /* owns the cells */
    char *folder;    /* "" or ending in '/' */
    char *paths;     /* of its rows, joined */
    size_t columns, path_column;
    size_t column_map[MANIFEST_MAX_COLUMNS]; /* column of the file -> column of the table */
} source;

typedef struct row {
    const source *source;
    const char *path;
    const char *const *cells; /* of the source's columns */
} row;

struct manifest {
    spoor_context *ctx;
    source **sources;
    size_t n_sources, cap_sources;
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
        delimited_clear(&s->table);
        ctx_free(ctx, s->folder);
        ctx_free(ctx, s->paths);
        ctx_free(ctx, s);
    }
}

void manifest_free(manifest *m) {
    if (!m) {
        return;
    }
    for (size_t i = 0; i < m->n_sources; i++) {
        source_free(m->ctx, m->sources[i]);
    }
    for (size_t i = 0; i < m->n_columns; i++) {
        ctx_free(m->ctx, m->columns[i]);
    }
    ctx_free(m->ctx, m->sources);
    ctx_free(m->ctx, m->rows);
    ctx_free(m->ctx, m->columns);
    ctx_free(m->ctx, m);
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

static spoor_status read_header(manifest *m, source *s, const char *csv, spoor_error *err) {
    if (s->table.rows == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "%s is empty; its first line must name the columns", csv);
    }
    size_t columns = delimited_fields(&s->table, 0);
    if (columns > MANIFEST_MAX_COLUMNS) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s has more than %d columns", csv, MANIFEST_MAX_COLUMNS);
    }
    s->path_column = SIZE_MAX;
    for (; s->columns < columns; s->columns++) {
        const char *name = delimited_cell(&s->table, 0, s->columns);
        if (!*name) {
            return error_set(err, SPOOR_ERR_INPUT, "%s: column %zu of the header has no name", csv, s->columns + 1);
        }
        size_t index;
        TRY(add_column(m, name, &index, err));
        for (size_t i = 0; i < s->columns; i++) {
            if (s->column_map[i] == index) {
                return error_set(err, SPOOR_ERR_INPUT, "%s: the column %.80s is named twice", csv, name);
            }
        }
        if (strcmp(name, "path") == 0) {
            s->path_column = s->columns;
        }
        s->column_map[s->columns] = index;
    }
    if (s->path_column == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_INPUT, "%s has no column named path; its first line must name the columns", csv);
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

static spoor_status check_row(const source *s, size_t i, const char *csv, spoor_error *err) {
    size_t n = delimited_fields(&s->table, i), line = s->table.line[i];
    if (n != s->columns) {
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: %zu fields where the header names %zu", csv, line, n,
                         s->columns);
    }
    size_t length = strlen(delimited_cell(&s->table, i, s->path_column));
    if (length == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: the path is empty", csv, line);
    }
    if (length + strlen(s->folder) >= MANIFEST_MAX_PATH) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: the path is longer than %d bytes", csv, line,
                         MANIFEST_MAX_PATH);
    }
    return SPOOR_OK;
}

/* Rows behind the table's end, which take_rows makes part of it; *bytes: what their paths need. */
static spoor_status read_rows(manifest *m, const source *s, const char *csv, const manifest_where *where, size_t n_where,
                              size_t *n, size_t *bytes, spoor_error *err) {
    for (size_t i = 1; i < s->table.rows; i++) {
        const char *const *cells = s->table.cells + s->table.first[i];
        TRY(check_row(s, i, csv, err));
        if (!row_passes(m, s, cells, where, n_where)) {
            continue;
        }
        if (*n >= MANIFEST_MAX_ROWS) {
            return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: more than %d rows in all manifests", csv,
                             s->table.line[i], MANIFEST_MAX_ROWS);
        }
        if (!ctx_grow(m->ctx, (void **)&m->rows, &m->cap_rows, *n + 1, sizeof *m->rows)) {
            return error_memory(err, "reading a manifest");
        }
        m->rows[(*n)++] = (row){s, NULL, cells};
        *bytes += strlen(s->folder) + strlen(cells[s->path_column]) + 1;
    }
    return SPOOR_OK;
}

/* Takes the source and the n - n_rows rows behind the end into the table; only its allocations can fail. */
static spoor_status take_rows(manifest *m, source *s, size_t n, size_t bytes, spoor_error *err) {
    s->paths = ctx_alloc(m->ctx, bytes, 1);
    if (!s->paths || !ctx_grow(m->ctx, (void **)&m->sources, &m->cap_sources, m->n_sources + 1, sizeof *m->sources)) {
        return error_memory(err, "reading a manifest");
    }
    m->sources[m->n_sources++] = s;
    char *to = s->paths;
    for (; m->n_rows < n; m->n_rows++) {
        row *r = &m->rows[m->n_rows];
        const char *path = r->cells[s->path_column];
        size_t length = strlen(path), prefix = path[0] == '/' ? 0 : strlen(s->folder);
        memcpy(to, s->folder, prefix);
        memcpy(to + prefix, path, length + 1);
        r->path = to;
        to += prefix + length + 1;
    }
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

static spoor_status add_source(manifest *m, source *s, const char *csv, const char *root, const manifest_where *where,
                               size_t n_where, spoor_error *err) {
    s->folder = folder_of(m->ctx, csv, root);
    if (!s->folder) {
        return error_memory(err, "reading a manifest");
    }
    size_t n = m->n_rows, bytes = 1;
    TRY(delimited_read(m->ctx, csv, ',', &s->table, err));
    TRY(read_header(m, s, csv, err));
    TRY(read_rows(m, s, csv, where, n_where, &n, &bytes, err));
    return take_rows(m, s, n, bytes, err);
}

spoor_status manifest_add(manifest *m, const char *csv, const char *root, const manifest_where *where, size_t n_where,
                          spoor_error *err) {
    source *s = ctx_calloc(m->ctx, 1, sizeof *s);
    if (!s) {
        return error_memory(err, "reading a manifest");
    }
    size_t columns = m->n_columns;
    spoor_status status = add_source(m, s, csv, root, where, n_where, err);
    if (status != SPOOR_OK) {
        while (m->n_columns > columns) {
            ctx_free(m->ctx, m->columns[--m->n_columns]);
        }
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
    return r->cells[r->source->path_column];
}

const char *manifest_cell(const manifest *m, size_t i, size_t column) {
    const row *r = &m->rows[i];
    const source *s = r->source;
    for (size_t c = 0; c < s->columns; c++) {
        if (s->column_map[c] == column) {
            return r->cells[c];
        }
    }
    return "";
}

bool manifest_match(const manifest *m, size_t i, const manifest_where *where, size_t n_where) {
    const row *r = &m->rows[i];
    return row_passes(m, r->source, r->cells, where, n_where);
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
