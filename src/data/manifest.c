/* manifest.c: several lists as one table; a cell points into the table of its list. */
#include "data/manifest.h"
#include <string.h>
#include <unistd.h>

typedef struct source {
    protocol_table table; /* owns the cells */
    size_t index;         /* among the lists */
    char *folder;         /* "" or ending in '/' */
    char *paths;          /* of its rows, joined */
    size_t columns;
    size_t column_map[MANIFEST_MAX_COLUMNS]; /* column of the file -> column of the table */
} source;

typedef struct row {
    const source *source;
    const char *path;
    const char *const *cells; /* of the source's columns */
    size_t line;
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
        protocol_clear(&s->table);
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

static spoor_status add_columns(manifest *m, source *s, spoor_error *err) {
    for (; s->columns < s->table.columns; s->columns++) {
        TRY(add_column(m, s->table.names[s->columns], &s->column_map[s->columns], err));
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

/* Rows behind the table's end, which take_rows makes part of it; *bytes: what their paths need. */
static spoor_status read_rows(manifest *m, const source *s, const char *list, const manifest_where *where,
                              size_t n_where, size_t *n, size_t *bytes, spoor_error *err) {
    const protocol_table *t = &s->table;
    for (size_t i = 0; i < t->rows; i++) {
        const char *const *cells = t->cells + i * t->columns;
        size_t length = strlen(s->folder) + strlen(cells[t->path_column]);
        if (length >= MANIFEST_MAX_PATH) {
            return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: the path is longer than %d bytes", list, t->lines[i],
                             MANIFEST_MAX_PATH);
        }
        if (!row_passes(m, s, cells, where, n_where)) {
            continue;
        }
        if (*n >= MANIFEST_MAX_ROWS) {
            return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: more than %d rows in all manifests", list,
                             t->lines[i], MANIFEST_MAX_ROWS);
        }
        if (!ctx_grow(m->ctx, (void **)&m->rows, &m->cap_rows, *n + 1, sizeof *m->rows)) {
            return error_memory(err, "reading a manifest");
        }
        m->rows[(*n)++] = (row){s, NULL, cells, t->lines[i]};
        *bytes += length + 1;
    }
    return SPOOR_OK;
}

/* Takes the source and the n - n_rows rows behind the end into the table; only its allocations can fail. */
static spoor_status take_rows(manifest *m, source *s, size_t n, size_t bytes, spoor_error *err) {
    s->paths = ctx_alloc(m->ctx, bytes, 1);
    if (!s->paths || !ctx_grow(m->ctx, (void **)&m->sources, &m->cap_sources, m->n_sources + 1, sizeof *m->sources)) {
        return error_memory(err, "reading a manifest");
    }
    s->index = m->n_sources;
    m->sources[m->n_sources++] = s;
    char *to = s->paths;
    for (; m->n_rows < n; m->n_rows++) {
        row *r = &m->rows[m->n_rows];
        const char *path = r->cells[s->table.path_column];
        size_t length = strlen(path), prefix = path[0] == '/' ? 0 : strlen(s->folder);
        memcpy(to, s->folder, prefix);
        memcpy(to + prefix, path, length + 1);
        r->path = to;
        to += prefix + length + 1;
    }
    return SPOOR_OK;
}

static char *folder_of(spoor_context *ctx, const char *list, const char *root) {
    if (root) {
        size_t n = strlen(root);
        return ctx_printf(ctx, "%s%s", root, n == 0 || root[n - 1] == '/' ? "" : "/");
    }
    const char *slash = strrchr(list, '/');
    return ctx_strndup(ctx, list, slash ? (size_t)(slash - list) + 1 : 0);
}

static spoor_status add_source(manifest *m, source *s, const char *list, const char *root, const protocol_options *how,
                               const manifest_where *where, size_t n_where, spoor_error *err) {
    TRY(protocol_read(m->ctx, list, how, &s->table, err));
    s->folder = folder_of(m->ctx, list, root ? root : s->table.root);
    if (!s->folder) {
        return error_memory(err, "reading a manifest");
    }
    size_t n = m->n_rows, bytes = 1;
    TRY(add_columns(m, s, err));
    TRY(read_rows(m, s, list, where, n_where, &n, &bytes, err));
    return take_rows(m, s, n, bytes, err);
}

spoor_status manifest_add(manifest *m, const char *csv, const char *root, const manifest_where *where, size_t n_where,
                          spoor_error *err) {
    return manifest_add_list(m, csv, root, NULL, where, n_where, err);
}

spoor_status manifest_add_list(manifest *m, const char *list, const char *root, const protocol_options *how,
                               const manifest_where *where, size_t n_where, spoor_error *err) {
    source *s = ctx_calloc(m->ctx, 1, sizeof *s);
    if (!s) {
        return error_memory(err, "reading a manifest");
    }
    size_t columns = m->n_columns;
    spoor_status status = add_source(m, s, list, root, how, where, n_where, err);
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
size_t manifest_list(const manifest *m, size_t i) { return m->rows[i].source->index; }
size_t manifest_line(const manifest *m, size_t i) { return m->rows[i].line; }

const char *manifest_id(const manifest *m, size_t i) {
    const row *r = &m->rows[i];
    return r->cells[r->source->table.path_column];
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

bool manifest_own_root(const manifest *m) {
    for (size_t i = 0; i < m->n_sources; i++) {
        if (m->sources[i]->table.root) {
            return true;
        }
    }
    return false;
}

char *manifest_join(const manifest *m, size_t i, const char *path) {
    return ctx_printf(m->ctx, "%s%s", path[0] == '/' ? "" : m->rows[i].source->folder, path);
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
    return error_set(err, SPOOR_ERR_INPUT,
                     "%zu of %zu audio files of the manifest are missing or unreadable: "
                     "%.100s%s%.100s%s%.100s%s; is the root folder right?",
                     missing, n, named[0], missing > 1 ? ", " : "", named[1], missing > 2 ? ", " : "", named[2],
                     missing > NAMED ? ", ..." : "");
}
