/* data_convert.c: `spoor data convert`: lists in any format as one manifest in CSV. */
#include "base/io.h"
#include "cli/data.h"
#include "data/labels.h"
#include <string.h>
#include <unistd.h>

typedef struct output {
    io_writer *w;
    const manifest *m;
    const char **trained; /* sources of the split train, sorted; NULL: no such split */
    size_t n_trained;
    bool full;       /* paths from / on */
    char here[4096]; /* the current folder, where they are full; it holds no comma or quote */
} output;

static spoor_status put_cell(io_writer *w, const char *text, bool last, spoor_error *err) {
    if (strpbrk(text, ",\"\r\n")) {
        TRY(io_writer_put(w, "\"", 1, err));
        for (const char *quote; (quote = strchr(text, '"')); text = quote + 1) {
            TRY(io_writer_put(w, text, (size_t)(quote - text) + 1, err));
            TRY(io_writer_put(w, "\"", 1, err));
        }
        TRY(io_writer_put(w, text, strlen(text), err));
        TRY(io_writer_put(w, "\"", 1, err));
    } else {
        TRY(io_writer_put(w, text, strlen(text), err));
    }
    return io_writer_put(w, last ? "\n" : ",", 1, err);
}

static spoor_status put_path(const output *out, size_t row, bool last, spoor_error *err) {
    const char *path = manifest_path(out->m, row);
    if (out->full && path[0] != '/') {
        TRY(io_writer_put(out->w, out->here, strlen(out->here), err));
        TRY(io_writer_put(out->w, "/", 1, err));
    }
    return put_cell(out->w, out->full ? path : manifest_id(out->m, row), last, err);
}

static spoor_status put_row(const output *out, size_t row, spoor_error *err) {
    const manifest *m = out->m;
    size_t columns = manifest_columns(m), path = manifest_column(m, "path");
    for (size_t c = 0; c < columns; c++) {
        bool last = c + 1 == columns && !out->trained;
        TRY(c == path ? put_path(out, row, last, err) : put_cell(out->w, manifest_cell(m, row, c), last, err));
    }
    if (out->trained) {
        const char *source = manifest_cell(m, row, manifest_column(m, "source"));
        TRY(put_cell(out->w,
                     !*source                                                 ? ""
                     : labels_find(out->trained, out->n_trained, source) >= 0 ? "id"
                                                                              : "ood",
                     true, err));
    }
    return SPOOR_OK;
}

static spoor_status put_all(const output *out, spoor_error *err) {
    const manifest *m = out->m;
    for (size_t c = 0; c < manifest_columns(m); c++) {
        TRY(put_cell(out->w, manifest_column_name(m, c), c + 1 == manifest_columns(m) && !out->trained, err));
    }
    TRY(out->trained ? put_cell(out->w, "known", true, err) : SPOOR_OK);
    for (size_t i = 0; i < manifest_rows(m); i++) {
        TRY(put_row(out, i, err));
    }
    return SPOOR_OK;
}

/* The sources of train; none where there is no such split, or `known` is a column already. */
static spoor_status find_trained(spoor_context *ctx, output *out, spoor_error *err) {
    static const char *const TRAIN[] = {"train"};
    static const char *const SOURCE[] = {"source"};
    const manifest_where where = {"split", TRAIN, 1};
    const labels_task task = {.name = "source", .columns = SOURCE, .n_columns = 1};
    size_t *rows = NULL, n = 0;
    if (manifest_column(out->m, "source") == SIZE_MAX || manifest_column(out->m, "known") != SIZE_MAX) {
        return SPOOR_OK;
    }
    TRY(labels_select(ctx, out->m, &where, 1, &rows, &n, err));
    if (n > 0 &&
        labels_classes(ctx, out->m, rows, n, &task, 1, &out->trained, &out->n_trained, err) == SPOOR_ERR_LIMIT) {
        ctx_free(ctx, rows);
        return SPOOR_ERR_LIMIT;
    }
    ctx_free(ctx, rows);
    return SPOOR_OK; /* a train split without sources knows none */
}

static spoor_status write_out(spoor_context *ctx, const data_options *o, output *out, spoor_error *err) {
    TRY(find_trained(ctx, out, err));
    TRY(io_writer_open(ctx, o->out, &out->w, err));
    spoor_status status = put_all(out, err);
    if (status != SPOOR_OK) {
        (void)io_writer_close(out->w, false, NULL);
        return status;
    }
    return io_writer_close(out->w, true, err);
}

spoor_status data_convert(void *options, spoor_context *ctx, spoor_error *err) {
    data_options *o = options;
    manifest *m;
    TRY(data_read(ctx, o, &m, err));
    output out = {.m = m, .full = o->root != NULL || manifest_own_root(m)};
    bool here = !out.full || (getcwd(out.here, sizeof out.here) && !strpbrk(out.here, ",\"\r\n"));
    spoor_status status = here ? write_out(ctx, o, &out, err)
                               : error_set(err, SPOOR_ERR_IO,
                                           "the name of the current folder cannot be written into a manifest; "
                                           "give --root from / on");
    ctx_free(ctx, out.trained);
    manifest_free(m);
    return status;
}
