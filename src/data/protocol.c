/* protocol.c: see protocol.h: which formats there are, and what is done to every table after its reader. */
#define _GNU_SOURCE
#include "base/config.h"
#include "base/io.h"
#include "data/protocol_internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const protocol_format *const FORMATS[] = {
    &PROTOCOL_CSV,      &PROTOCOL_TSV,   &PROTOCOL_JSONL,  &PROTOCOL_MLAAD,  &PROTOCOL_MLAAD_META,
    &PROTOCOL_ASV19,    &PROTOCOL_ASV21, &PROTOCOL_ASV5,   &PROTOCOL_ADD23,  &PROTOCOL_ST_CODECFAKE,
    &PROTOCOL_STOPA,    &PROTOCOL_TADA,  &PROTOCOL_PAIRS,  &PROTOCOL_CLAIMS, &PROTOCOL_IN_THE_WILD,
    &PROTOCOL_WAVEFAKE, &PROTOCOL_DFADD, &PROTOCOL_FOLDER, &PROTOCOL_KALDI,  &PROTOCOL_LHOTSE,
    &PROTOCOL_CODECFAKE};
enum { N_FORMATS = sizeof FORMATS / sizeof *FORMATS };

static const char *const COLUMNS[P_COUNT] = {
    "path",    "id",    "label",    "source",   "family",   "acoustic", "vocoder", "codec",         "vq",
    "aux",     "dec",   "speaker",  "gender",   "language", "text",     "seconds", "subset",        "corpus",
    "channel", "trim",  "original", "training", "path_b",   "source_b", "same",    "same_acoustic", "same_vocoder",
    "trial",   "claim", "rank",     "page",     "split"};

const char *protocol_format_name(size_t i) { return i < N_FORMATS ? FORMATS[i]->name : NULL; }
const char *protocol_format_summary(size_t i) { return i < N_FORMATS ? FORMATS[i]->summary : NULL; }

static const protocol_format *find_format(const char *name) {
    for (size_t i = 0; i < N_FORMATS; i++) {
        if (strcmp(FORMATS[i]->name, name) == 0) {
            return FORMATS[i];
        }
    }
    return NULL;
}

spoor_status protocol_check_format(const char *name, spoor_error *err) {
    const char *names[N_FORMATS + 1] = {0};
    for (size_t i = 0; i < N_FORMATS; i++) {
        names[i] = FORMATS[i]->name;
    }
    return find_format(name) ? SPOOR_OK
                             : error_set(err, SPOOR_ERR_USAGE, "there is no format \"%.64s\"; did you mean \"%s\"?",
                                         name, config_nearest(name, names));
}

/* ---- what readers share ---- */

spoor_status protocol_refuse(const protocol_table *t, size_t line, spoor_error *err, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: %s", t->path, line, text);
}

const char *protocol_text(protocol_table *t, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : arena_alloc(t->strings, (size_t)n + 1, 1);
    if (text) {
        (void)vsnprintf(text, (size_t)n + 1, format, again);
    }
    va_end(again);
    return text;
}

bool protocol_same_word(const char *a, const char *b) { return strcasecmp(a, b) == 0; }

static bool one_of(const char *text, const char *const *words) {
    for (; *words; words++) {
        if (strcasecmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

const char *protocol_label(const char *text) {
    static const char *const BONAFIDE[] = {"bonafide", "bona-fide", "bona_fide", "bona fide", "genuine",
                                           "real",     "human",     "original",  NULL};
    static const char *const SPOOF[] = {"spoof", "spoofs", "spoofed", "fake", "deepfake", "synthetic", NULL};
    return one_of(text, BONAFIDE) ? "bonafide" : one_of(text, SPOOF) ? "spoof" : NULL;
}

spoor_status protocol_set_label(protocol_line *l, const char *label, const char *source, spoor_error *err) {
    const char *known = protocol_label(label);
    if (!known) {
        return protocol_refuse(l->table, l->number, err, "the label \"%.60s\" is neither bonafide nor spoof", label);
    }
    bool bonafide = known[0] == 'b';
    l->cell[P_LABEL] = known;
    l->cell[P_SOURCE] = bonafide ? "bonafide" : strcmp(source, "-") == 0 ? "" : source;
    return SPOOR_OK;
}

const char *protocol_split_word(const char *name) {
    static const char *const WORDS[][6] = {{"train", "training", NULL},
                                           {"dev", "development", "val", "valid", "validation", NULL},
                                           {"eval", "evaluation", "evl", NULL},
                                           {"test", "testing", NULL}};
    for (const char *p = name; *p;) {
        size_t n = 0;
        while ((p[n] >= 'a' && p[n] <= 'z') || (p[n] >= 'A' && p[n] <= 'Z') || (p[n] >= '0' && p[n] <= '9')) {
            n++;
        }
        char word[16] = "";
        if (n > 0 && n < sizeof word) {
            memcpy(word, p, n);
        }
        for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
            if (one_of(word, WORDS[i])) {
                return WORDS[i][0];
            }
        }
        p += n + (p[n] != '\0');
    }
    return NULL;
}

const char *protocol_plain_path(const char *path) {
    while (path[0] == '.' && path[1] == '/') {
        path += 2;
        path += strspn(path, "/");
    }
    return path;
}

size_t protocol_find(const protocol_table *t, const char *name) {
    for (size_t i = 0; i < t->columns; i++) {
        if (strcmp(t->names[i], name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* ---- rows ---- */

spoor_status protocol_name(protocol_table *t, const char *name, spoor_error *err) {
    if (t->columns == PROTOCOL_MAX_COLUMNS) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s has more than %d columns", t->path, PROTOCOL_MAX_COLUMNS);
    }
    const char *copy = protocol_text(t, "%s", name);
    if (!copy || !ctx_grow(t->ctx, (void **)&t->names, &t->name_capacity, t->columns + 1, sizeof *t->names)) {
        return error_memory(err, "reading a list");
    }
    t->names[t->columns++] = copy;
    return SPOOR_OK;
}

spoor_status protocol_row(protocol_table *t, size_t line, const char ***cells, spoor_error *err) {
    if (t->rows >= DELIMITED_MAX_LINES) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s has more than %zu rows", t->path, DELIMITED_MAX_LINES);
    }
    if (!ctx_grow(t->ctx, (void **)&t->own, &t->own_capacity, (t->rows + 1) * t->columns, sizeof *t->own) ||
        !ctx_grow(t->ctx, (void **)&t->own_lines, &t->line_capacity, t->rows + 1, sizeof *t->own_lines)) {
        return error_memory(err, "reading a list");
    }
    *cells = t->own + t->rows * t->columns;
    for (size_t i = 0; i < t->columns; i++) {
        (*cells)[i] = "";
    }
    t->own_lines[t->rows++] = line;
    t->cells = t->own;
    t->lines = t->own_lines;
    return SPOOR_OK;
}

spoor_status protocol_columns(protocol_table *t, spoor_error *err) {
    for (unsigned c = 0; c < P_COUNT; c++) {
        if (t->format->columns & P_BIT(c)) {
            TRY(protocol_name(t, COLUMNS[c], err));
        }
    }
    return SPOOR_OK;
}

spoor_status protocol_add(protocol_table *t, size_t line, const protocol_cells cell, spoor_error *err) {
    const char **cells;
    TRY(protocol_row(t, line, &cells, err));
    for (unsigned c = 0; c < P_COUNT; c++) {
        if (t->format->columns & P_BIT(c)) {
            *cells++ = cell[c] ? cell[c] : "";
        }
    }
    return SPOOR_OK;
}

/* One more column, empty in every row; the cells are the table's own after it. */
static spoor_status widen(protocol_table *t, const char *name, size_t *column, spoor_error *err) {
    size_t before = t->columns;
    TRY(protocol_name(t, name, err));
    const char **wide = ctx_alloc(t->ctx, t->rows * t->columns, sizeof *wide);
    if (!wide) {
        t->columns = before;
        return error_memory(err, "reading a list");
    }
    for (size_t i = 0; i < t->rows; i++) {
        memcpy(wide + i * t->columns, t->cells + i * before, before * sizeof *wide);
        wide[i * t->columns + before] = "";
    }
    ctx_free(t->ctx, t->own);
    t->own = wide;
    t->own_capacity = t->rows * t->columns;
    t->cells = wide;
    *column = before;
    return SPOOR_OK;
}

/* Cells that can be changed. */
static spoor_status make_own(protocol_table *t, spoor_error *err) {
    if (t->own || t->rows == 0) {
        return SPOOR_OK;
    }
    t->own = ctx_alloc(t->ctx, t->rows * t->columns, sizeof *t->own);
    if (!t->own) {
        return error_memory(err, "reading a list");
    }
    t->own_capacity = t->rows * t->columns;
    memcpy(t->own, t->cells, t->own_capacity * sizeof *t->own);
    t->cells = t->own;
    return SPOOR_OK;
}

/* ---- delimited lists whose columns the format knows ---- */

static spoor_status find_header(const protocol_table *t, size_t *at, spoor_error *err) {
    const protocol_format *f = t->format;
    for (size_t i = 0; f->header[i]; i++) {
        at[i] = SIZE_MAX;
        for (size_t c = 0; c < delimited_fields(&t->text, 0); c++) {
            if (strcmp(delimited_cell(&t->text, 0, c), f->header[i]) == 0) {
                at[i] = c;
            }
        }
        if (at[i] == SIZE_MAX) {
            return error_set(err, SPOOR_ERR_INPUT,
                             "%s: the first line of a list in the format %s names the column %s, this one "
                             "does not; it should read %s",
                             t->path, f->name, f->header[i], f->form);
        }
    }
    return SPOOR_OK;
}

static spoor_status read_line(protocol_table *t, size_t row, const size_t *at, const taxonomy *tree, spoor_error *err) {
    const protocol_format *f = t->format;
    protocol_line l = {.table = t,
                       .number = t->text.line[row],
                       .field = t->text.cells + t->text.first[row],
                       .n = delimited_fields(&t->text, row),
                       .at = f->header ? at : NULL,
                       .taxonomy = tree};
    size_t min = f->min ? f->min : delimited_fields(&t->text, 0), max = f->max ? f->max : min;
    if (l.n < min || l.n > max) {
        return protocol_refuse(t, l.number, err, "%zu fields; a line of the format %s reads %s", l.n, f->name, f->form);
    }
    for (size_t c = 0; c < P_COUNT; c++) {
        l.cell[c] = "";
    }
    TRY(f->line(&l, err));
    return l.skip ? SPOOR_OK : protocol_add(t, l.number, l.cell, err);
}

static spoor_status read_lines(protocol_table *t, const taxonomy *tree, spoor_error *err) {
    const protocol_format *f = t->format;
    size_t at[PROTOCOL_MAX_COLUMNS];
    TRY(protocol_columns(t, err));
    TRY(f->unquoted ? delimited_read_unquoted(t->ctx, t->path, f->separator, &t->text, err)
                    : delimited_read(t->ctx, t->path, f->separator, &t->text, err));
    if (t->text.rows == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "%s is empty; a line of the format %s reads %s", t->path, f->name,
                         f->form);
    }
    if (f->header) {
        TRY(find_header(t, at, err));
    }
    for (size_t i = f->header ? 1 : 0; i < t->text.rows; i++) {
        TRY(read_line(t, i, at, tree, err));
    }
    return SPOOR_OK;
}

/* ---- after the reader ---- */

static spoor_status rename_columns(protocol_table *t, const protocol_options *o, spoor_error *err) {
    for (size_t i = 0; i < o->n_renames; i++) {
        size_t from = protocol_find(t, o->rename[i].from), there = protocol_find(t, o->rename[i].column);
        if (from == SIZE_MAX) {
            return error_set(err, SPOOR_ERR_INPUT, "%s has no column %.80s, from which %.80s should come", t->path,
                             o->rename[i].from, o->rename[i].column);
        }
        const char *copy = protocol_text(t, "%s", o->rename[i].column);
        if (!copy) {
            return error_memory(err, "reading a list");
        }
        if (there != SIZE_MAX && there != from) { /* gives way, under a name that says what it was */
            t->names[there] = protocol_text(t, "%s.listed", o->rename[i].column);
            if (!t->names[there]) {
                return error_memory(err, "reading a list");
            }
        }
        t->names[from] = copy;
    }
    return SPOOR_OK;
}

static spoor_status check_names(const protocol_table *t, spoor_error *err) {
    for (size_t i = 0; i < t->columns; i++) {
        if (!*t->names[i]) {
            return error_set(err, SPOOR_ERR_INPUT, "%s: column %zu of the header has no name", t->path, i + 1);
        }
        if (protocol_find(t, t->names[i]) != i) {
            return error_set(err, SPOOR_ERR_INPUT, "%s: the column %.80s is named twice", t->path, t->names[i]);
        }
    }
    return SPOOR_OK;
}

/* {column} in the pattern becomes the row's cell; {id} is the path where the list has no ids. */
static spoor_status expand(protocol_table *t, size_t row, const char *pattern, bool listed, const char **out,
                           spoor_error *err) {
    char path[PROTOCOL_MAX_PATH];
    size_t n = 0;
    const char *const *cells = t->cells + row * t->columns;
    for (const char *p = pattern; *p;) {
        const char *close = *p == '{' ? strchr(p, '}') : NULL, *piece = p;
        size_t length = 1, step = 1;
        if (close) {
            char name[64];
            (void)snprintf(name, sizeof name, "%.*s", (int)(close - p - 1), p + 1);
            size_t c = protocol_find(t, name);
            c = c == SIZE_MAX && listed && strcmp(name, "id") == 0 ? protocol_find(t, "path") : c;
            if (c == SIZE_MAX) {
                return error_set(err, SPOOR_ERR_USAGE,
                                 "the pattern of files %.200s names {%s}, but %s has no such column", pattern, name,
                                 t->path);
            }
            piece = cells[c];
            length = strlen(piece);
            step = (size_t)(close - p) + 1;
        }
        if (n + length >= sizeof path) {
            return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: the path is longer than %d bytes", t->path,
                             t->lines[row], PROTOCOL_MAX_PATH);
        }
        memcpy(path + n, piece, length);
        n += length;
        p += step;
    }
    path[n] = '\0';
    *out = protocol_text(t, "%s", path);
    return *out ? SPOOR_OK : error_memory(err, "reading a list");
}

static spoor_status place_files(protocol_table *t, const protocol_options *o, spoor_error *err) {
    size_t column = protocol_find(t, "path");
    bool listed = column != SIZE_MAX;
    if (!listed) {
        TRY(widen(t, "path", &column, err));
    }
    TRY(make_own(t, err));
    for (size_t i = 0; i < t->rows; i++) {
        TRY(expand(t, i, o->files, listed, &t->own[i * t->columns + column], err));
    }
    return SPOOR_OK;
}

static spoor_status set_split(protocol_table *t, const protocol_options *o, spoor_error *err) {
    size_t column = protocol_find(t, "split");
    if (!o->split && (column != SIZE_MAX || !*t->split)) {
        return SPOOR_OK;
    }
    if (column == SIZE_MAX) {
        TRY(widen(t, "split", &column, err));
    }
    TRY(make_own(t, err));
    const char *copy = protocol_text(t, "%s", t->split);
    if (!copy) {
        return error_memory(err, "reading a list");
    }
    for (size_t i = 0; i < t->rows; i++) {
        t->own[i * t->columns + column] = copy;
    }
    return SPOOR_OK;
}

/* The attributes of a row's source, where the list has none. */
static spoor_status fill_attributes(protocol_table *t, const taxonomy *from, spoor_error *err) {
    size_t source = protocol_find(t, "source"), label = protocol_find(t, "label");
    if (source == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_INPUT, "%s has no column source, by which a taxonomy could be asked", t->path);
    }
    for (size_t a = 0; a < taxonomy_attributes(from); a++) {
        size_t column = protocol_find(t, taxonomy_attribute_name(from, a));
        if (column == SIZE_MAX) {
            TRY(widen(t, taxonomy_attribute_name(from, a), &column, err));
        }
        TRY(make_own(t, err));
        const char *names[TAXONOMY_MAX_VALUES];
        for (size_t v = 0; v < taxonomy_values(from, a); v++) {
            names[v] = protocol_text(t, "%s", taxonomy_value_name(from, a, v));
            if (!names[v]) {
                return error_memory(err, "reading a list");
            }
        }
        for (size_t i = 0; i < t->rows; i++) {
            const char **cells = t->own + i * t->columns;
            bool human =
                strcmp(cells[source], "bonafide") == 0 || (label != SIZE_MAX && strcmp(cells[label], "bonafide") == 0);
            if (*cells[column] || human) {
                continue;
            }
            size_t found = taxonomy_find(from, cells[source]),
                   v = found == SIZE_MAX ? SIZE_MAX : taxonomy_of(from, found, a);
            cells[column] = v == SIZE_MAX ? "" : names[v];
        }
    }
    return SPOOR_OK;
}

static spoor_status check_paths(protocol_table *t, spoor_error *err) {
    t->path_column = protocol_find(t, "path");
    if (t->path_column == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_INPUT, "%s has no column named path; its first line must name the columns",
                         t->path);
    }
    for (size_t i = 0; i < t->rows; i++) {
        size_t length = strlen(t->cells[i * t->columns + t->path_column]);
        if (length == 0) {
            return protocol_refuse(t, t->lines[i], err, "the path is empty");
        }
        if (length >= PROTOCOL_MAX_PATH) {
            return error_set(err, SPOOR_ERR_LIMIT, "%s, line %zu: the path is longer than %d bytes", t->path,
                             t->lines[i], PROTOCOL_MAX_PATH);
        }
    }
    return SPOOR_OK;
}

/* ---- the whole ---- */

/* Packed lists are no text; the reader's own sentence would be about a NUL byte. */
static spoor_status refuse_packed(const char *path, spoor_error *err) {
    static const struct {
        const char *magic, *name, *how;
    } KINDS[] = {{"\xfd"
                  "7zXZ",
                  "an xz file", "xz -dk"},
                 {"\x1f\x8b", "a gzip file", "gzip -dk"},
                 {"\x28\xb5\x2f\xfd", "a zstd file", "zstd -dk"},
                 {"BZh", "a bzip2 file", "bzip2 -dk"},
                 {"PK\x03\x04", "a zip archive", "unzip"},
                 {"PAR1", "a Parquet table", NULL}};
    char head[8];
    size_t got;
    if (io_read_head(path, head, sizeof head, &got, NULL) != SPOOR_OK) {
        return SPOOR_OK; /* the reader says what is wrong, or it is a folder */
    }
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        size_t n = strlen(KINDS[i].magic);
        if (got >= n && memcmp(head, KINDS[i].magic, n) == 0) {
            return KINDS[i].how ? error_set(err, SPOOR_ERR_INPUT, "%s is %s; unpack it first: %s %s", path,
                                            KINDS[i].name, KINDS[i].how, path)
                                : error_set(err, SPOOR_ERR_INPUT, "%s is %s; write it as CSV or JSON lines first", path,
                                            KINDS[i].name);
        }
    }
    return SPOOR_OK;
}

static const char *split_of(const protocol_table *t, const protocol_options *o) {
    if (o->split) {
        return o->split;
    }
    const char *slash = strrchr(t->path, '/'), *word = protocol_split_word(slash ? slash + 1 : t->path);
    if (!word && slash && t->format == &PROTOCOL_KALDI) { /* data/train/wav.scp */
        const char *folder = slash;
        while (folder > t->path && folder[-1] != '/') {
            folder--;
        }
        char name[64];
        (void)snprintf(name, sizeof name, "%.*s", (int)(slash - folder), folder);
        word = protocol_split_word(name);
    }
    return word ? word : t->format->split ? t->format->split : "";
}

static spoor_status read_all(protocol_table *t, const protocol_options *o, const taxonomy *tree, spoor_error *err) {
    TRY(t->format->read ? t->format->read(t, o, err) : read_lines(t, tree, err));
    TRY(rename_columns(t, o, err));
    TRY(check_names(t, err));
    TRY(set_split(t, o, err));
    if (tree && !t->format->taxonomy) {
        TRY(fill_attributes(t, tree, err));
    }
    if (o->files) {
        TRY(place_files(t, o, err));
    }
    return check_paths(t, err);
}

spoor_status protocol_read(spoor_context *ctx, const char *path, const protocol_options *options, protocol_table *out,
                           spoor_error *err) {
    static const protocol_options NONE = {0};
    const protocol_options *o = options ? options : &NONE;
    *out = (protocol_table){
        .ctx = ctx, .path = path, .format = find_format(o->format ? o->format : "csv"), .path_column = SIZE_MAX};
    if (!out->format) {
        return protocol_check_format(o->format, err);
    }
    out->split = split_of(out, o);
    TRY(arena_new(ctx, &out->strings, err));
    TRY(refuse_packed(path, err));
    taxonomy *tree = NULL;
    if (o->taxonomy || out->format->taxonomy) {
        TRY(taxonomy_open(ctx, o->taxonomy, &tree, err));
    }
    spoor_status status = read_all(out, o, tree, err);
    taxonomy_free(tree);
    return status;
}

void protocol_clear(protocol_table *t) {
    if (t->ctx) {
        delimited_clear(&t->text);
        ctx_free(t->ctx, t->names);
        ctx_free(t->ctx, t->own);
        ctx_free(t->ctx, t->own_lines);
        ctx_free(t->ctx, t->root);
        arena_free(t->strings);
    }
    *t = (protocol_table){0};
}
